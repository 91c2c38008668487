"""A visit becomes an event: what the link's token says, joined with who came.

Events stay free of HTTP, and so do tokens.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from msys_track.event_fields import EventType, make_hit
from msys_track.events import Event
from msys_track.keys.ring import Claims
from msys_track.tracking.classify.classifier import Classifier, describe_agent
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


def make_events(
    visit: Visit,
    classifier: Classifier | None = None,
    request: Mapping[str, object] | None = None,
    *,
    also_click: bool,
) -> Iterator[Event]:
    """Make the events of a visit.

    Args:
        visit: What was fetched.
        classifier: Judges who did; None: nobody does.
        request: What else is known of the request, as a line of a hit log has it.
        also_click: One that unsubscribes is a click as well.
    """
    types: list[EventType | None] = [None]
    if also_click and visit.claims.kind == "link_unsubscribe":
        types = [None, EventType.CLICK]
    for as_type in types:
        event = make_event(visit, as_type=as_type)
        yield event if classifier is None else _judge(event, visit, classifier, request)


def _judge(
    event: Event, visit: Visit, classifier: Classifier, request: Mapping[str, object] | None
) -> Event:
    client = visit.client
    hit = make_hit(
        visit.claims,
        int(visit.at * 1000),
        client.ip_address,
        client.user_agent,
        client.accept_language,
    )
    verdict = classifier.classify(hit if request is None else {**hit, "request": request})
    parsed = event.user_agent_parsed
    if parsed:
        agent = classifier.agents(event.user_agent or "")
        parsed = describe_agent(agent, verdict.reader_class)
    return replace(event, verdict=verdict, user_agent_parsed=parsed)


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
