"""What an event is counted by beside its campaign: tags, domain, client, country, link."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

from msys_track.events import OWN_OBJECT

Group: TypeAlias = tuple[str, str]
"""A dimension and a value."""

TAG: Final = "tag"
DOMAIN: Final = "domain"
CLIENT: Final = "client"
OS: Final = "os"
COUNTRY: Final = "country"
LINK: Final = "link"

_MAX_VALUE: Final = 255
_NOTHING: Final[Mapping[str, Any]] = {}


def find_groups(fields: Mapping[str, Any]) -> list[Group]:
    """Find what an event is counted by; each group stands there once.

    Args:
        fields: Those of the event. A consumer may have been sent them by a stranger, so that
            their types are not relied on.
    """
    return list(dict.fromkeys(_find_groups(fields)))


def find_link(fields: Mapping[str, Any]) -> tuple[str, str] | None:
    """Find the name of an event's link among those of its campaign, and its target.

    The name is part, number and the link's own name, as in `html:3 Buy now`, so that it does not
    differ from reader to reader. Where the number is not known it is the target. Query and
    fragment of a target, which often tell who reads, are left out.
    """
    target = fields.get("target_link_url")
    if not isinstance(target, str) or not target:
        return None
    place = target.partition("#")[0].partition("?")[0][:_MAX_VALUE]
    position = _read_object(fields, OWN_OBJECT).get("target_link_position")
    if not isinstance(position, dict):
        return place, place
    name = fields.get("target_link_name")
    own = name if isinstance(name, str) else ""
    return f"{position.get('part')}:{position.get('number')} {own}"[:_MAX_VALUE], place


def _find_groups(fields: Mapping[str, Any]) -> Iterator[Group]:
    tags = fields.get("rcpt_tags")
    for tag in tags if isinstance(tags, list) else ():
        if isinstance(tag, str) and tag:
            yield TAG, tag[:_MAX_VALUE]
    client = _read_object(fields, "user_agent_parsed")
    for dimension, value in (
        (DOMAIN, fields.get("recipient_domain")),
        (CLIENT, client.get("agent_family")),
        (OS, client.get("os_family")),
        (COUNTRY, _read_object(fields, "geo_ip").get("country")),
    ):
        if isinstance(value, str) and value:
            yield dimension, value[:_MAX_VALUE]
    if (link := find_link(fields)) is not None:
        yield LINK, link[0]


def _read_object(fields: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = fields.get(name)
    return value if isinstance(value, dict) else _NOTHING
