"""What a message or a recipient did, event by event, with the verdicts and why."""

# ruff: noqa: S608 - the parts of a query are ours, values are bound

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from msys_track.event_fields import OWN_OBJECT
from msys_track.sinks.store.form import BLOCK_BITS
from msys_track.sinks.store.reading import Filter, Store, read_text
from msys_track.sinks.store.rows import RECLASSIFIED, pack_id, read_fields

MAX_EVENTS: Final = 10_000
"""What nobody looks at on one page is not read."""

EACH_BLOCK: Final = (
    "WITH RECURSIVE blocks (block) AS"
    " (SELECT ? UNION ALL SELECT block - 1 FROM blocks WHERE block > ?)"
)
"""Begins a query over the blocks of an index, the newest first; `find_blocks` gives its values."""

_COLUMNS: Final = (
    "sequence, event_id, at, type, class, campaign_id, message_id, rcpt_to, link, event,"
    " message_key"
)


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


def read_message(store: Store, message_id: str) -> list[EventView]:
    """Read the first 10,000 events of a message, the oldest first.

    Raises:
        SinkError: the store can't be read; the text says what to do.
    """
    found = [
        row
        for key in store.message_keys(message_id)
        for row in store.select(
            f"SELECT {_COLUMNS} FROM events INDEXED BY events_message"
            " WHERE message_key = ? AND message_id = ? LIMIT ?",
            key,
            message_id,
            MAX_EVENTS,
        )
    ]
    return _make_views(store, sorted(found))


def read_recipient(
    store: Store, address: str, *, limit: int = 500, before: int | None = None
) -> list[EventView]:
    """Read the newest events of a recipient, the newest first; `before` is a sequence.

    Raises:
        SinkError: the store can't be read; the text says what to do.
    """
    found = store.select(
        f"{EACH_BLOCK} SELECT {_COLUMNS} FROM events WHERE sequence IN"
        " (SELECT sequence FROM blocks CROSS JOIN events INDEXED BY events_recipient USING (block)"
        " WHERE rcpt_to = ? AND sequence < ? ORDER BY sequence DESC LIMIT ?)"
        " ORDER BY sequence DESC",
        *find_blocks(store),
        address.lower(),
        store.last_sequence() + 1 if before is None else before,
        limit,
    )
    return _make_views(store, found)


def find_blocks(store: Store) -> tuple[int, int]:
    """Return the newest and the oldest block of events."""
    first, last = store.bounds(Filter())
    return last >> BLOCK_BITS, first >> BLOCK_BITS


def _make_views(store: Store, rows: Sequence[Any]) -> list[EventView]:
    later = _read_later_verdicts(store, rows)
    return [_make_view(row, later) for row in rows]


def _make_view(row: Any, later: Mapping[bytes, Sequence[Mapping[str, Any]]]) -> EventView:
    sequence, event_id, at, type_, class_, campaign, message_id, recipient, link, line, _ = row
    fields = read_fields(line)
    own = _read_object(fields, OWN_OBJECT)
    agent = _read_object(fields, "user_agent_parsed")
    families = (agent.get("agent_family"), agent.get("os_family"))
    return EventView(
        sequence=sequence,
        at=at,
        type=read_text(type_),
        campaign=read_text(campaign),
        message_id=read_text(message_id),
        recipient=read_text(recipient),
        reader_class=read_text(class_),
        first_class=read_text(own.get("class")),
        findings=(*later.get(event_id, ()), *_read_findings(own)),
        target=read_text(fields.get("target_link_url")),
        link_name=read_text(fields.get("target_link_name")),
        link=read_text(link) if "target_link_position" in own else "",
        client=" on ".join(each for each in families if isinstance(each, str) and each),
        country=read_text(_read_object(fields, "geo_ip").get("country")),
        address=read_text(fields.get("ip_address")),
        fields=fields,
    )


def _read_later_verdicts(
    store: Store, rows: Sequence[Any]
) -> Mapping[bytes, Sequence[Mapping[str, Any]]]:
    """Read the findings of later verdicts on events, the last verdict's first."""
    found: dict[bytes, list[Mapping[str, Any]]] = {}
    for key in {row[-1] for row in rows}:
        for (line,) in store.select(
            "SELECT event FROM events WHERE message_key = ? AND action = '' AND type = ?"
            " ORDER BY sequence LIMIT ?",
            key,
            RECLASSIFIED,
            MAX_EVENTS,
        ):
            own = _read_object(read_fields(line), OWN_OBJECT)
            event_id = pack_id(read_text(own.get("reclassifies")))
            found[event_id] = [*_read_findings(own), *found.get(event_id, ())]
    return found


def _read_findings(own: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    rules = own.get("rules")
    return [each for each in rules if isinstance(each, dict)] if isinstance(rules, list) else []


def _read_object(fields: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = fields.get(name)
    return value if isinstance(value, dict) else {}
