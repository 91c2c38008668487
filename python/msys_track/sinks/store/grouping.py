"""What an event is counted by beside its campaign: tags, domain, client, country, link."""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from msys_track.events import OWN_OBJECT

Group: TypeAlias = tuple[str, str]
"""A dimension and a value."""
Known: TypeAlias = tuple[tuple[Any, ...], Any, Any, Any, str | None]
"""Tags, domain, client, country, link."""

TAG: Final = "tag"
DOMAIN: Final = "domain"
CLIENT: Final = "client"
COUNTRY: Final = "country"
LINK: Final = "link"

_MAX_VALUE: Final = 255


def find_groups(fields: Mapping[str, Any]) -> list[Group]:
    """Find what an event is counted by; each group stands there once.

    Args:
        fields: Those of the event. A consumer may have been sent them by a stranger, so that
            their types are not relied on.
    """
    link = find_link(fields)
    return list_groups(read_known(fields, link and link[0]))


def read_known(fields: Mapping[str, Any], link: str | None) -> Known:
    """Read the fields that groups are made of, as they are."""
    find = fields.get
    tags = find("rcpt_tags")
    parsed = find("user_agent_parsed")
    client: Mapping[str, Any] = parsed if isinstance(parsed, dict) else {}
    geo = find("geo_ip")
    return (
        tuple(tags) if isinstance(tags, list) else (),
        find("recipient_domain"),
        client.get("agent_family"),
        geo.get("country") if isinstance(geo, dict) else None,
        link,
    )


def list_groups(known: Known) -> list[Group]:
    """List the groups of an event, each once."""
    tags, *others = known
    named = [(TAG, tag) for tag in tags]
    named += zip((DOMAIN, CLIENT, COUNTRY, LINK), others, strict=True)
    return list(
        dict.fromkeys(
            (dimension, value[:_MAX_VALUE])
            for dimension, value in named
            if isinstance(value, str) and value
        )
    )


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
    own = fields.get(OWN_OBJECT)
    position = own.get("target_link_position") if isinstance(own, dict) else None
    if not isinstance(position, dict):
        return place, place
    name = fields.get("target_link_name")
    text = name if isinstance(name, str) else ""
    return f"{position.get('part')}:{position.get('number')} {text}"[:_MAX_VALUE], place
