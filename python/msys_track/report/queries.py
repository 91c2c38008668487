"""What pages and read APIs ask of the store. Each call reads; none takes long."""

# ruff: noqa: S608 - the parts of a query are ours, values are bound

import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from typing import Any, Final, Literal, NamedTuple, Self, TypeAlias

from msys_track.events import NO_MESSAGE_ID, OWN_OBJECT, UNNAMED
from msys_track.report.period import SECONDS_A_DAY, SECONDS_AN_HOUR, Period
from msys_track.sinks.store.form import BLOCK_BITS
from msys_track.sinks.store.grouping import name_for_all
from msys_track.sinks.store.reading import Filter, Store
from msys_track.sinks.store.rows import (
    ACTIONS,
    READERS,
    RECLASSIFIED,
    UNKNOWN,
    pack_id,
    read_fields,
)
from msys_track.sinks.store.stats import KINDS, Stats, make_stats

FoundKind: TypeAlias = Literal["recipient", "message", "campaign", "link"]

# What nobody looks at on one page is not read.
_MAX_EVENTS: Final = 10_000
# How many entries of an index are looked through for addresses, and campaigns are counted.
_MAX_ENTRIES: Final = 20_000
_MAX_CAMPAIGNS: Final = 1_000

_NEWEST_DAYS: Final = 30
_EPOCH: Final = date(1970, 1, 1).toordinal()

_EACH_DAY: Final = (
    "WITH RECURSIVE days (day) AS (SELECT ? UNION ALL SELECT day + 1 FROM days WHERE day < ?)"
)
_EACH_BLOCK: Final = (
    "WITH RECURSIVE blocks (block) AS"
    " (SELECT ? UNION ALL SELECT block - 1 FROM blocks WHERE block > ?)"
)
# One step for each campaign, however many rows it has.
_CAMPAIGNS: Final = (
    "WITH RECURSIVE names (name) AS (SELECT min(campaign_id) FROM counts UNION ALL"
    " SELECT (SELECT min(campaign_id) FROM counts WHERE campaign_id > name)"
    " FROM names WHERE name IS NOT NULL) SELECT name FROM names WHERE name <> ''"
)
_COLUMNS: Final = (
    "sequence, event_id, at, type, class, campaign_id, message_id, rcpt_to, link, event,"
    " message_key"
)
_ACTION_TYPES: Final = ", ".join(f"'{type_}'" for type_ in ACTIONS)
_CLICK_TYPES: Final = ", ".join(
    f"'{type_}'" for type_, action in ACTIONS.items() if action == "click"
)
_PLACED: Final = re.compile(r"([a-z]+):([0-9]{1,9}) (.*)", re.DOTALL)


class Dimension(StrEnum):
    """What events are grouped by; the store counts them by each."""

    MAIL = "mail"
    """All of it, as one group with an empty value."""
    TAG = "tag"
    DOMAIN = "domain"
    """The recipient's, in lower case."""
    CLIENT = "client"
    """`user_agent_parsed.agent_family`."""
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
    """Read what happened in a period, to all mail or to a campaign's.

    Its `key` is the campaign, empty for all mail.

    Raises:
        SinkError: the store can't be read; the text says what to do.
    """
    counted = _Counted.of(_Days.of(period), Dimension.MAIL, campaign)
    for stats in _read_stats(store, counted, key="''"):
        return replace(stats, key=campaign or "")
    return Stats(key=campaign or "")


def read_series(store: Store, period: Period, campaign: str | None = None) -> list[Stats]:
    """Read the same for each step of the period, without gaps; `key` is where it begins.

    Raises:
        SinkError: the store can't be read; the text says what to do.
    """
    if period.step == "day":
        counted = _Counted.of(_Days.of(period), Dimension.MAIL, campaign)
        found = _read_stats(store, counted, key="day", seconds=SECONDS_A_DAY)
        seconds = SECONDS_A_DAY
    else:
        found = _read_hours(store, period, campaign)
        seconds = SECONDS_AN_HOUR
    known = {stats.key: stats for stats in found}
    steps = range(period.since, period.until, seconds)
    return [known.get(step) or Stats(key=step) for step in steps]


def read_campaigns(store: Store, period: Period, *, limit: int = 500) -> list[Stats]:
    """Read the campaigns with mail or readers in a period, most events first.

    Mail without a campaign is one with an empty name.

    Raises:
        SinkError: the store can't be read; the text says what to do.
    """
    days = _Days.of(period)
    found = make_stats(
        store.select(
            "SELECT campaign_id, type, class, sum(events) FROM groups"
            " WHERE dimension = ? AND day BETWEEN ? AND ? GROUP BY 1, 2, 3",
            Dimension.MAIL,
            *days,
        ),
        store.select(
            "SELECT campaign_id, action, reader, sum(messages), sum(new_messages)"
            " FROM group_uniques WHERE dimension = ? AND day BETWEEN ? AND ? GROUP BY 1, 2, 3",
            Dimension.MAIL,
            *days,
        ),
    )
    return _sort(found)[:limit]


def read_groups(
    store: Store,
    period: Period,
    dimension: Dimension,
    campaign: str | None = None,
    *,
    limit: int = 200,
) -> list[Stats]:
    """Read what happened by each value of a dimension, most events first; `key` is the value.

    An event with several tags counts for each. A message counts for the value of the event that
    was the first of its kind, and for each link that it clicked.

    Raises:
        SinkError: the store can't be read; the text says what to do.
    """
    counted = _Counted.of(_Days.of(period), dimension, campaign)
    largest = store.select(
        f"{_EACH_DAY} SELECT value FROM days CROSS JOIN groups USING (day)"
        f" WHERE dimension = ? AND campaign_id = ? AND type IN ({_ACTION_TYPES})"
        " GROUP BY value HAVING sum(events) ORDER BY sum(events) DESC, value LIMIT ?",
        *counted,
        limit,
    )
    values = tuple(value.decode("utf-8", "replace") for (value,) in largest)
    return _sort(_read_stats(store, counted, key="value", values=values))


def read_links(store: Store, campaign: str, period: Period | None = None) -> list[LinkStats]:
    """Read the links of a campaign that were clicked, in the order of part and number.

    Raises:
        SinkError: the store can't be read; the text says what to do.
    """
    counted = _Counted.of(_find_days(store, period), Dimension.LINK, campaign)
    events, messages = (
        defaultdict[str, Counter[str]](Counter),
        defaultdict[str, Counter[str]](Counter),
    )
    for value, class_, count in store.select(
        f"{_EACH_DAY} SELECT value, class, sum(events) FROM days CROSS JOIN groups USING (day)"
        f" WHERE dimension = ? AND campaign_id = ? AND type IN ({_CLICK_TYPES}) GROUP BY 1, 2",
        *counted,
    ):
        events[_text(value)][READERS.get(class_.decode(), UNKNOWN)] += count
    for value, reader, count in store.select(
        f"{_EACH_DAY} SELECT value, reader, sum(messages) FROM days"
        " CROSS JOIN group_uniques USING (day)"
        " WHERE dimension = ? AND campaign_id = ? AND action = 'click' GROUP BY 1, 2",
        *counted,
    ):
        messages[_text(value)][_text(reader)] += count
    targets = {
        _text(link): _text(target)
        for link, target in store.select(
            "SELECT link, target FROM links WHERE campaign_id = ?", campaign
        )
    }
    found = [
        _make_link(link, targets.get(link, ""), events[link], messages[link])
        for link in events
        if events[link].total()
    ]
    return sorted(found, key=lambda link: (link.part, link.number, link.name, link.target))


def find_period(store: Store, campaign: str | None = None) -> Period | None:
    """Find the newest days with events, at most 30; None if there never were any.

    Args:
        store: It is read.
        campaign: Only its events; empty: those without a campaign; None: all.

    Raises:
        SinkError: the store can't be read; the text says what to do.
    """
    if campaign is None:
        dimension = name_for_all(Dimension.MAIL)
        found = store.select(
            "SELECT (SELECT min(day) FROM groups WHERE dimension = ?1),"
            " (SELECT max(day) FROM groups WHERE dimension = ?1)",
            dimension,
        )
    else:
        found = store.select(
            "SELECT (SELECT min(hour) / 24 FROM counts WHERE campaign_id = ?1),"
            " (SELECT max(hour) / 24 FROM counts WHERE campaign_id = ?1)",
            campaign,
        )
    first, last = found[0]
    if last is None:
        return None
    try:
        return Period(
            date.fromordinal(_EPOCH + max(first, last - _NEWEST_DAYS + 1)),
            date.fromordinal(_EPOCH + last),
        )
    except (ValueError, OverflowError):  # a time that no calendar has
        return None


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
            _MAX_EVENTS,
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
        f"{_EACH_BLOCK} SELECT {_COLUMNS} FROM events WHERE sequence IN"
        " (SELECT sequence FROM blocks CROSS JOIN events INDEXED BY events_recipient USING (block)"
        " WHERE rcpt_to = ? AND sequence < ? ORDER BY sequence DESC LIMIT ?)"
        " ORDER BY sequence DESC",
        *_find_blocks(store),
        address.lower(),
        store.last_sequence() + 1 if before is None else before,
        limit,
    )
    return _make_views(store, found)


def search(store: Store, text: str, *, limit: int = 50) -> list[Found]:
    """Find addresses, messages, campaigns and links by a text.

    An address is found by how it begins, a message by its whole id, a campaign and a link by any
    part of their names; case is ignored but for the id. Addresses are looked for among the newest
    events that fit.

    Raises:
        SinkError: the store can't be read; the text says what to do.
    """
    text = text.strip().encode("utf-8", "replace").decode()
    if not text:
        return []
    found = [
        *_search_messages(store, text),
        *_search_campaigns(store, text, limit),
        *_search_recipients(store, text, limit),
        *_search_links(store, text, limit),
    ]
    return found[:limit]


class _Days(NamedTuple):
    """The first and the last day, since 1970."""

    first: int
    last: int

    @classmethod
    def of(cls, period: Period) -> Self:
        return cls(period.since // SECONDS_A_DAY, period.until // SECONDS_A_DAY - 1)


class _Counted(NamedTuple):
    """What is counted: on which days, under which dimension and campaign."""

    first: int
    last: int
    dimension: str
    campaign: str

    @classmethod
    def of(cls, days: _Days, dimension: Dimension, campaign: str | None) -> Self:
        if campaign is None:
            return cls(*days, name_for_all(dimension), "")
        return cls(*days, dimension, campaign)


def _read_stats(
    store: Store,
    counted: _Counted,
    *,
    key: Literal["''", "day", "value"],
    values: Sequence[str] | None = None,
    seconds: int = 1,
) -> list[Stats]:
    condition = "dimension = ? AND campaign_id = ?"
    if values is not None:
        # With a plus: all values of a day lie together, so none is sought.
        condition += f" AND +value IN ({', '.join('?' * len(values))})"
    bound = (*counted, *(values or ()))
    return make_stats(
        store.select(
            f"{_EACH_DAY} SELECT {key}, type, class, sum(events)"
            f" FROM days CROSS JOIN groups USING (day) WHERE {condition} GROUP BY 1, 2, 3",
            *bound,
        ),
        store.select(
            f"{_EACH_DAY} SELECT {key}, action, reader, sum(messages), sum(new_messages)"
            f" FROM days CROSS JOIN group_uniques USING (day) WHERE {condition} GROUP BY 1, 2, 3",
            *bound,
        ),
        seconds,
    )


def _read_hours(store: Store, period: Period, campaign: str | None) -> list[Stats]:
    hours = (period.since // SECONDS_AN_HOUR, period.until // SECONDS_AN_HOUR - 1)
    if campaign is None:
        campaigns = "SELECT campaign_id FROM groups WHERE dimension = ? AND day BETWEEN ? AND ?"
        bound: tuple[Any, ...] = (Dimension.MAIL, *_Days.of(period), *hours)
    else:
        campaigns, bound = "?", (campaign, *hours)
    condition = f"campaign_id IN ({campaigns}) AND hour BETWEEN ? AND ?"
    return make_stats(
        store.select(
            "SELECT hour, type, class, sum(events) FROM counts"
            f" WHERE {condition} GROUP BY 1, 2, 3",
            *bound,
        ),
        store.select(
            "SELECT hour, action, reader, sum(messages), sum(new_messages) FROM uniques"
            f" WHERE {condition} GROUP BY 1, 2, 3",
            *bound,
        ),
        SECONDS_AN_HOUR,
    )


def _sort(found: Iterable[Stats]) -> list[Stats]:
    return sorted(found, key=lambda stats: (-stats.events, stats.key))


def _find_days(store: Store, period: Period | None) -> _Days:
    if period is not None:
        return _Days.of(period)
    first, last = store.select(
        "SELECT (SELECT min(day) FROM groups WHERE dimension = ?1),"
        " (SELECT max(day) FROM groups WHERE dimension = ?1)",
        Dimension.MAIL,
    )[0]
    return _Days(0, 0) if first is None else _Days(first, last)


def _find_blocks(store: Store) -> tuple[int, int]:
    """Return the newest and the oldest block of events."""
    first, last = store.bounds(Filter())
    return last >> BLOCK_BITS, first >> BLOCK_BITS


def _make_link(
    link: str, target: str, events: Mapping[str, int], messages: Mapping[str, int]
) -> LinkStats:
    placed = _PLACED.fullmatch(link)
    part, number, name = placed.groups() if placed else ("", "0", "")
    return LinkStats(
        part=part,
        number=int(number),
        target=target,
        name="" if name == UNNAMED else name,
        events={reader: events.get(reader, 0) for reader in KINDS},
        messages={reader: messages.get(reader, 0) for reader in KINDS},
    )


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
        type=_text(type_),
        campaign=_text(campaign),
        message_id=_text(message_id),
        recipient=_text(recipient),
        reader_class=_text(class_),
        first_class=_text(own.get("class")),
        findings=(*later.get(event_id, ()), *_read_findings(own)),
        target=_text(fields.get("target_link_url")),
        link_name=_text(fields.get("target_link_name")),
        link=_text(link) if "target_link_position" in own else "",
        client=" on ".join(each for each in families if isinstance(each, str) and each),
        country=_text(_read_object(fields, "geo_ip").get("country")),
        address=_text(fields.get("ip_address")),
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
            _MAX_EVENTS,
        ):
            own = _read_object(read_fields(line), OWN_OBJECT)
            event_id = pack_id(_text(own.get("reclassifies")))
            found[event_id] = [*_read_findings(own), *found.get(event_id, ())]
    return found


def _read_findings(own: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    rules = own.get("rules")
    return [each for each in rules if isinstance(each, dict)] if isinstance(rules, list) else []


def _read_object(fields: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = fields.get(name)
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else ""


def _search_messages(store: Store, text: str) -> Iterator[Found]:
    if text == NO_MESSAGE_ID:
        return
    rows = [
        row
        for key in store.message_keys(text)
        for row in store.select(
            "SELECT at, campaign_id FROM events INDEXED BY events_message"
            " WHERE message_key = ? AND message_id = ? LIMIT ?",
            key,
            text,
            _MAX_EVENTS,
        )
    ]
    if rows:
        last_at, campaign = max(rows, key=lambda row: row[0])
        yield Found(
            kind="message",
            text=text,
            campaign=_text(campaign),
            events=len(rows),
            last_at=last_at,
        )


def _search_campaigns(store: Store, text: str, limit: int) -> list[Found]:
    wanted = text.casefold()
    names = (_text(name) for (name,) in store.select(_CAMPAIGNS))
    fitting = [name for name in names if wanted in name.casefold()]
    found = []
    for name in fitting[:_MAX_CAMPAIGNS]:
        events, hour = store.select(
            "SELECT sum(events), max(hour) FROM counts WHERE campaign_id = ?", name
        )[0]
        found.append(
            Found(
                kind="campaign", text=name, events=events, last_at=(hour + 1) * SECONDS_AN_HOUR - 1
            )
        )
    return sorted(found, key=lambda each: (-each.last_at, each.text))[:limit]


def _search_recipients(store: Store, text: str, limit: int) -> list[Found]:
    begin = text.lower()
    blocks = _find_blocks(store)
    addresses = store.select(
        f"{_EACH_BLOCK} SELECT rcpt_to FROM (SELECT rcpt_to"
        " FROM blocks CROSS JOIN events INDEXED BY events_recipient USING (block)"
        " WHERE rcpt_to >= ? AND rcpt_to < ? LIMIT ?) GROUP BY 1 ORDER BY rcpt_to <> ?, 1 LIMIT ?",
        *blocks,
        begin,
        begin + chr(sys.maxunicode),
        _MAX_ENTRIES,
        begin,
        limit,
    )
    found = []
    for (address,) in addresses:
        count, newest = store.select(
            f"{_EACH_BLOCK} SELECT count(*), max(sequence)"
            " FROM blocks CROSS JOIN events INDEXED BY events_recipient USING (block)"
            " WHERE rcpt_to = ?",
            *blocks,
            _text(address),
        )[0]
        at = store.select("SELECT at FROM events WHERE sequence = ?", newest)
        found.append(
            Found(
                kind="recipient",
                text=_text(address),
                events=count,
                last_at=at[0][0] if at else 0,
            )
        )
    return found


def _search_links(store: Store, text: str, limit: int) -> list[Found]:
    return [
        Found(kind="link", text=_text(target), campaign=_text(campaign))
        for campaign, target in store.select(
            "SELECT DISTINCT campaign_id, target FROM links"
            " WHERE instr(lower(target), lower(?1)) OR instr(lower(link), lower(?1)) LIMIT ?2",
            text,
            limit,
        )
    ]
