"""What an event is counted by beside its campaign: tags, domain, client, country, link."""

from collections.abc import Mapping
from functools import lru_cache
from itertools import chain, repeat
from typing import Any, Final, TypeAlias

from msys_track.event_fields import OWN_OBJECT
from msys_track.sinks.store.rows import ACTIONS

Group: TypeAlias = tuple[str, str]
"""A dimension and a value."""

MAIL: Final = "mail"
TAG: Final = "tag"
DOMAIN: Final = "domain"
CLIENT: Final = "client"
COUNTRY: Final = "country"
LINK: Final = "link"
DIMENSIONS: Final = (MAIL, TAG, DOMAIN, CLIENT, COUNTRY, LINK)

ALL_MAIL: Final[Group] = (MAIL, "")
"""What every event is counted by."""

_FOLLOWED: Final = frozenset({"click", "unsubscribe"})
_MAX_VALUE: Final = 255
_FOR_ALL: Final = {dimension: f"all {dimension}" for dimension in DIMENSIONS}


def name_for_all(dimension: str) -> str:
    """Name the dimension under which all campaigns are counted as one, whose name is empty."""
    return _FOR_ALL[dimension]


def find_groups(fields: Mapping[str, Any]) -> tuple[Group, ...]:
    """Find what an event is counted by, beside its link; each group stands there once.

    Args:
        fields: Those of the event. A consumer may have been sent them by a stranger, so that
            their types are not relied on.
    """
    find = fields.get
    tags, client, place = find("rcpt_tags"), find("user_agent_parsed"), find("geo_ip")
    values = (
        find("recipient_domain"),
        client.get("agent_family") if isinstance(client, dict) else None,
        place.get("country") if isinstance(place, dict) else None,
        *(tags if isinstance(tags, list) else ()),
    )
    try:
        return _make_groups(*values)
    except TypeError:  # an array or an object, which no cache takes
        return _make_groups(*(each if isinstance(each, str) else None for each in values))


# Many readers have the same.
@lru_cache(maxsize=16_384)
def _make_groups(*values: Any) -> tuple[Group, ...]:
    dimensions = chain((DOMAIN, CLIENT, COUNTRY), repeat(TAG))
    named = zip(dimensions, values, strict=False)
    groups = [(name, value[:_MAX_VALUE]) for name, value in named if isinstance(value, str)]
    return tuple(dict.fromkeys([ALL_MAIL, *(group for group in groups if group[1])]))


def find_link(fields: Mapping[str, Any]) -> tuple[str, str] | None:
    """Find the link that was followed: its name among those of its campaign, and its target.

    The name is part, number and the link's own name, as in `html:3 Buy now`, so that it does not
    differ from reader to reader. Where the number is not known it is the target. Query and
    fragment of a target, which often tell who reads, are left out. A target may be unknown.
    """
    if ACTIONS.get(fields.get("type", "")) not in _FOLLOWED:
        return None
    target = fields.get("target_link_url")
    page = cut_target(target) if isinstance(target, str) else ""
    own = fields.get(OWN_OBJECT)
    position = own.get("target_link_position") if isinstance(own, dict) else None
    if not isinstance(position, dict):
        return (page, page) if page else None
    name = fields.get("target_link_name")
    own_name = name if isinstance(name, str) else ""
    return f"{position.get('part')}:{position.get('number')} {own_name}"[:_MAX_VALUE], page


def cut_target(target: str) -> str:
    """Return a target without query and fragment, and not longer than what is counted by."""
    return target.partition("#")[0].partition("?")[0][:_MAX_VALUE]
