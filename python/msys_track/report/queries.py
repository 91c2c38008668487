"""What pages and read APIs ask of the store. Each call reads; none takes long."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, TypeAlias

from msys_track.report.period import Period
from msys_track.sinks.store.reading import Store
from msys_track.sinks.store.stats import Stats

FoundKind: TypeAlias = Literal["recipient", "message", "campaign", "link"]


class Dimension(StrEnum):
    """What events are grouped by; the store counts them by each."""

    TAG = "tag"
    DOMAIN = "domain"
    """The recipient's, in lower case."""
    CLIENT = "client"
    """`user_agent_parsed.agent_family`."""
    OS = "os"
    COUNTRY = "country"
    """`geo_ip.country`."""
    LINK = "link"


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkStats:
    """The clicks of one link of a campaign.

    Attributes:
        part: `html`, `text` or `amp`; empty if the link says nothing.
        number: Its place among the links of the part, from 1; 0 if the link says nothing.
        target: Where it leads, without query and fragment.
        name: `data-msys-linkname`, or empty.
        events: Clicks, by people, machines and unknown.
        messages: Messages with such a click, by the same.
    """

    part: str
    number: int
    target: str
    name: str
    events: Mapping[str, int]
    messages: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class EventView:
    """One event as a timeline shows it.

    Attributes:
        sequence: Its number in the store.
        at: Unix seconds.
        type: SparkPost's name of it.
        campaign: Empty without one.
        message_id: Zeros where it is not known (privacy `aggregate`).
        recipient: Empty where it is not known.
        reader_class: The latest verdict on it, as in `human`; empty for mail's own events.
        first_class: The verdict that it was written with.
        findings: The rules that led there, each as the event has it.
        target: Of a click.
        link_name: Of a click.
        link: Part and number of a click, as in `html:3`.
        client: `agent_family` on `os_family`, where they are known.
        country: Where it is known.
        address: The reader's, where it is known.
        fields: All of the event's.
    """

    sequence: int
    at: int
    type: str
    campaign: str
    message_id: str
    recipient: str
    reader_class: str
    first_class: str
    findings: Sequence[Mapping[str, Any]]
    target: str
    link_name: str
    link: str
    client: str
    country: str
    address: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a search found.

    Attributes:
        kind: What it is.
        text: The address, the message's id, the campaign, or the link's target.
        campaign: Of a message or a link; else empty.
        events: How many; 0 where nobody counts them.
        last_at: Unix seconds of the newest event; 0 where it is not known.
    """

    kind: FoundKind
    text: str
    campaign: str = ""
    events: int = 0
    last_at: int = 0


def read_totals(store: Store, period: Period, campaign: str | None = None) -> Stats:
    """Read what happened in a period, to all mail or to a campaign's; `key` is the campaign."""
    raise NotImplementedError


def read_series(store: Store, period: Period, campaign: str | None = None) -> list[Stats]:
    """Read the same for each step of the period, without gaps; `key` is where it begins."""
    raise NotImplementedError


def read_campaigns(store: Store, period: Period, *, limit: int = 500) -> list[Stats]:
    """Read the campaigns with mail or readers in a period, most events first."""
    raise NotImplementedError


def read_groups(
    store: Store,
    period: Period,
    dimension: Dimension,
    campaign: str | None = None,
    *,
    limit: int = 200,
) -> list[Stats]:
    """Read what happened by each value of a dimension, most events first; `key` is the value.

    An event with several tags counts for each.
    """
    raise NotImplementedError


def read_links(store: Store, campaign: str, period: Period | None = None) -> list[LinkStats]:
    """Read the links of a campaign that were clicked, in the order of part and number."""
    raise NotImplementedError


def read_message(store: Store, message_id: str) -> list[EventView]:
    """Read all events of a message, the oldest first."""
    raise NotImplementedError


def read_recipient(
    store: Store, address: str, *, limit: int = 500, before: int | None = None
) -> list[EventView]:
    """Read the newest events of a recipient, the newest first; `before` is a sequence."""
    raise NotImplementedError


def search(store: Store, text: str, *, limit: int = 50) -> list[Found]:
    """Find addresses, messages, campaigns and links by a text."""
    raise NotImplementedError
