"""A visit becomes an event: what the link's token says, joined with who came.

Events stay free of HTTP, and so do tokens.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from msys_track.events import Event, EventType
from msys_track.keys.ring import Claims
from msys_track.tracking.client import Client


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """An authentic link that has not expired was fetched.

    Attributes:
        claims: What the link's token says.
        client: Who fetched it.
        at: When, Unix seconds.
    """

    claims: Claims
    client: Client
    at: float


def make_events(visit: Visit, *, also_click: bool) -> Iterator[Event]:
    """Make the events of a visit; with `also_click` one that unsubscribes is a click as well."""
    yield make_event(visit)
    if also_click and visit.claims.kind == "link_unsubscribe":
        yield make_event(visit, as_type=EventType.CLICK)


def make_event(
    visit: Visit, *, as_type: EventType | None = None, randomness: bytes | None = None
) -> Event:
    """Make one event of a visit, of its link's kind unless `as_type` is given.

    `randomness` is 10 bytes for the event's id, fresh ones unless given.

    Raises:
        ValueError: no event can be of the token's kind.
    """
    return Event.from_claims(
        visit.claims,
        at=visit.at,
        ip_address=visit.client.ip_address,
        user_agent=visit.client.user_agent,
        accept_language=visit.client.accept_language,
        as_type=as_type,
        randomness=randomness,
    )
