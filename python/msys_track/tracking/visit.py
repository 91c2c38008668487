"""A visit becomes an event: what the link's token says, joined with who came.

The one place that knows both tokens and events: events stay free of keys, tokens of HTTP.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass

from msys_track.events import Event, EventType, make_event_id, parse_metadata
from msys_track.keys.ring import Claims
from msys_track.tracking.client import Client, parse_user_agent

# SparkPost's word for a link that its sender gave no name.
_UNNAMED = "Raw URL"


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
    claims, client, engagement = visit.claims, visit.client, visit.claims.engagement
    kind = as_type or EventType(claims.kind)
    milliseconds = int(visit.at * 1000)
    return Event(
        type=kind,
        event_id=make_event_id(milliseconds, os.urandom(10) if randomness is None else randomness),
        timestamp=milliseconds // 1000,
        message_id=engagement.message_id,
        raw_rcpt_to=engagement.recipient,
        customer_id=engagement.customer_id,
        injection_time=engagement.injected_at,
        subaccount_id=engagement.subaccount_id,
        transmission_id=engagement.transmission_id or None,
        campaign_id=engagement.campaign_id,
        rcpt_type=None if engagement.recipient_type == "to" else engagement.recipient_type,
        rcpt_meta=parse_metadata(engagement.metadata),
        rcpt_tags=tuple(engagement.tags),
        open_tracking=engagement.open_tracking,
        click_tracking=engagement.click_tracking,
        initial_pixel=engagement.initial_pixel,
        amp_enabled=engagement.amp_enabled,
        transactional=engagement.transactional,
        ip_address=client.ip_address,
        user_agent=client.user_agent,
        # SparkPost's unsubscribes have the name alone.
        user_agent_parsed=(
            parse_user_agent(client.user_agent) if kind.envelope == "track_event" else {}
        ),
        accept_language=client.accept_language,
        target_link_url=claims.target,
        target_link_name=None if claims.target is None else claims.link_name or _UNNAMED,
    )
