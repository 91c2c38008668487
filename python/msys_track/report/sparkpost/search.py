"""Finds the events that a request wants, newest first, a bounded number of rows at a time.

A page never looks at more than some ten thousand rows, however many the store has: a page may be
shorter than it could be, but has a cursor to go on from. Events that come later than the first
page are in no page, so that nothing moves from one page to the next.
"""

# ruff: noqa: S608 - the parts of a query are ours, values are bound

import base64
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self

import orjson

from msys_track.sinks.store.form import BLOCK_BITS, DAY_BITS
from msys_track.sinks.store.reading import Store
from msys_track.sinks.store.rows import RECLASSIFIED, make_message_key, pack_id, read_fields

_SECONDS_AN_HOUR: Final = 3_600
_ROWS_A_SLICE: Final = 2_000
_MAX_ROWS: Final = 60_000
# Where each row's JSON must be read to be judged.
_MAX_ROWS_READ: Final = 20_000
_MAX_KEYED: Final = 20_000
_MAX_EDGE_ROWS: Final = 50_000
# An hour is searched by the index of campaigns where few of not too many events are wanted.
_MAX_FEW: Final = 5_000
_FEW_AT_ONCE: Final = 1_500
_MAX_SPARSE_EVENTS: Final = 500_000
_INDEX_ENTRIES_A_ROW: Final = 10
_NUMBERS_A_QUERY: Final = 500
_LARGEST: Final = 2**62


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which events are wanted; an empty list is no condition.

    Patterns may have `*` for any text, and are compared with regard to case.

    Attributes:
        types: Empty: all but our own `reclassified`.
        campaigns: Patterns.
        recipients: Addresses; case is ignored.
        domains: Patterns of recipients' domains, in lower case.
        messages: Ids.
        events: Ids.
        texts: Patterns that a field of the event must fit, by its name.
    """

    types: tuple[str, ...] = ()
    campaigns: tuple[str, ...] = ()
    recipients: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    messages: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    texts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def condition(self) -> tuple[str, list[Any]]:
        """Return what the columns of a row say of it in SQL, and the values in it."""
        parts: list[tuple[str, Sequence[Any]]] = [self._condition_of_type()]
        parts += [
            _one_of("campaign_id", self.campaigns),
            _one_of("rcpt_to", map(str.lower, self.recipients), has_patterns=False),
            _one_of("rcpt_to", (f"*@{each}" for each in self.domains)),
            _one_of("message_id", self.messages, has_patterns=False),
            _one_of("event_id", map(pack_id, self.events), has_patterns=False),
        ]
        condition = " AND ".join(text for text, _ in parts if text)
        return condition, [each for _, values in parts for each in values]

    def fits(self, fields: Mapping[str, Any]) -> bool:
        """Tell whether an event's fields fit the patterns of `texts`."""
        return all(
            any(fits_pattern(str(fields.get(name, "")), each) for each in patterns)
            for name, patterns in self.texts.items()
        )

    def _condition_of_type(self) -> tuple[str, Sequence[Any]]:
        if not self.types:
            return "type NOT IN ('', ?)", (RECLASSIFIED,)
        return f"type IN ({_marks(self.types)})", self.types


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """Where a page begins, and what the first one found out.

    Attributes:
        since: Unix seconds; events of this second or later.
        until: Unix seconds; events before this second.
        newest: The highest sequence that existed then.
        at: The time of the event before, in Unix seconds.
        sequence: The sequence of the event before.
        total: How many events there are on all pages; where that is unknown, how many were found
            so far, less one, as a negative number.
    """

    since: int
    until: int
    newest: int
    at: int
    sequence: int
    total: int = -1

    @classmethod
    def begin(cls, store: Store, since: int, until: int) -> Self:
        """Return the cursor of a first page.

        Raises:
            SinkError: the store can't be read.
        """
        newest = store.last_sequence()
        return cls(since=since, until=until, newest=newest, at=until, sequence=0)

    @classmethod
    def read(cls, text: str) -> Self:
        """Read what `write` returned.

        Raises:
            ValueError: it is something else.
        """
        try:
            values = orjson.loads(base64.urlsafe_b64decode(text.encode()))
            since, until, newest, at, sequence, total = values
        except (TypeError, ValueError) as error:
            raise ValueError("not a cursor") from error
        if not all(type(each) is int and -_LARGEST < each < _LARGEST for each in values):
            raise ValueError("not a cursor")
        return cls(since=since, until=until, newest=newest, at=at, sequence=sequence, total=total)

    def write(self) -> str:
        """Return it as a text for a query string."""
        values = (self.since, self.until, self.newest, self.at, self.sequence, self.total)
        return base64.urlsafe_b64encode(orjson.dumps(values)).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some of the events that are wanted.

    Attributes:
        events: Their fields, newest first.
        total: How many there are on all pages; on all pages so far, where that is not known.
        next: Where the next page begins; None after the last one.
    """

    events: Sequence[dict[str, Any]]
    total: int
    next: Cursor | None


def find_page(store: Store, wanted: Wanted, cursor: Cursor, size: int) -> Page:
    """Find the events behind a cursor, the newest first, at most so many.

    Raises:
        SinkError: the store can't be read; the text says what to do.
    """
    candidates = _find_by_key(store, wanted, cursor)
    if candidates is not None:
        rows, is_done, last = _take_keyed(store, wanted, cursor, candidates, size)
        known = len(candidates) if not wanted.texts else None
    else:
        rows, is_done, last = _scan(store, wanted, cursor, size)
        known = None
    total = cursor.total
    if total < 0:
        found = -total - 1 + len(rows)
        if is_done or cursor.total != -1:
            known = None
        elif known is None:
            known = _count(store, wanted, cursor)
        total = found if known is None else known
    following = None
    if not is_done:
        kept = total if cursor.total >= 0 or known is not None else -total - 1
        at, sequence = last
        following = replace(cursor, at=at, sequence=sequence, total=kept)
    return Page(events=rows, total=total, next=following)


_Rows = tuple[list[dict[str, Any]], bool, tuple[int, int]]
"""Events, whether there are no more, the time and sequence of the last row looked at."""


def _find_by_key(store: Store, wanted: Wanted, cursor: Cursor) -> list[tuple[int, int]] | None:
    """Return time and sequence of all rows by an index; None where that would be too many."""
    if not (wanted.events or wanted.messages or wanted.recipients):
        return None
    condition, values = wanted.condition()
    condition += " AND at >= ? AND at < ? AND sequence <= ?"
    values += [cursor.since, cursor.until, cursor.newest]
    found: list[tuple[int, int]] = []
    for place, keys in _narrow(store, wanted, cursor):
        found += store.select(
            f"SELECT at, sequence FROM events {place} AND {condition} LIMIT ?",
            *keys,
            *values,
            _MAX_KEYED + 1 - len(found),
        )
        if len(found) > _MAX_KEYED:
            return None
    return sorted(found, reverse=True)


def _narrow(store: Store, wanted: Wanted, cursor: Cursor) -> Iterator[tuple[str, Sequence[Any]]]:
    """Yield the places to look at: an index, with the beginning of a condition."""
    if wanted.events:
        ids = [pack_id(each) for each in wanted.events]
        yield f"INDEXED BY events_id WHERE event_id IN ({_marks(ids)})", ids
    elif wanted.messages:
        for day in _find_days(store):
            keys = [make_message_key(each, day) for each in wanted.messages]
            yield f"INDEXED BY events_message WHERE message_key IN ({_marks(keys)})", keys
    else:
        addresses = [each.lower() for each in wanted.recipients]
        where = f"INDEXED BY events_recipient WHERE block = ? AND rcpt_to IN ({_marks(addresses)})"
        for block in range(cursor.newest >> BLOCK_BITS, -1, -1):
            yield where, (block, *addresses)


def _find_days(store: Store) -> Iterator[int]:
    """Yield the days on which the messages of a store were injected."""
    key = -1
    while True:
        found = store.select(
            "SELECT message_key FROM events WHERE message_key > ? ORDER BY message_key LIMIT 1",
            key,
        )
        if not found:
            return
        day = int(found[0][0]) >> DAY_BITS
        yield day
        key = (day + 1 << DAY_BITS) - 1


def _take_keyed(
    store: Store,
    wanted: Wanted,
    cursor: Cursor,
    candidates: Sequence[tuple[int, int]],
    size: int,
) -> _Rows:
    behind = [each for each in candidates if each < (cursor.at, cursor.sequence)]
    rows: list[dict[str, Any]] = []
    last = (cursor.at, cursor.sequence)
    for first in range(0, len(behind), _NUMBERS_A_QUERY):
        chunk = behind[first : first + _NUMBERS_A_QUERY]
        numbers = [sequence for _, sequence in chunk]
        events = dict(
            store.select(
                f"SELECT sequence, event FROM events WHERE sequence IN ({_marks(numbers)})",
                *numbers,
            )
        )
        for at, sequence in chunk:
            if len(rows) == size:
                return rows, False, last
            fields = dict(read_fields(events[sequence])) if sequence in events else {}
            if fields and wanted.fits(fields):
                rows.append(fields)
            last = (at, sequence)
        if first + _NUMBERS_A_QUERY >= _MAX_ROWS_READ and len(rows) < size:
            return rows, first + _NUMBERS_A_QUERY >= len(behind), last
    return rows, True, last


def _scan(store: Store, wanted: Wanted, cursor: Cursor, size: int) -> _Rows:
    """Go back in time through the rows, as far as one page may."""
    left = max(_MAX_ROWS_READ if wanted.texts else _MAX_ROWS, size)
    rows: list[dict[str, Any]] = []
    for span in _find_spans(store, wanted, cursor):
        at, sequence = min((cursor.at, cursor.sequence), (span.until, 0))
        cursor = replace(cursor, at=at, sequence=sequence)
        if left <= 0:
            return rows, False, (at, sequence)
        read = _read_few if span.is_sparse else _read_slices
        found, is_done, (at, sequence), cost = read(
            store, wanted, cursor, span, size=size - len(rows), budget=left
        )
        rows += found
        left -= cost
        cursor = replace(cursor, at=at, sequence=sequence)
        if not is_done:
            return rows, False, (at, sequence)
    return rows, True, (cursor.at, cursor.sequence)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Span:
    """A time in which there may be events that are wanted.

    Attributes:
        since: Unix seconds; events of this second or later.
        until: Unix seconds; events before this second.
        events: How many events there are; 0 where nobody counted.
        few: How many of them are wanted, where these are few of some campaigns; else None.
    """

    since: int
    until: int
    events: int = 0
    few: int | None = None

    @property
    def is_sparse(self) -> bool:
        """Whether the events that are wanted are found by the index of campaigns."""
        return self.few is not None and self.events <= _MAX_SPARSE_EVENTS

    def join(self, later: "_Span") -> "_Span | None":
        """Return both as one, so that a block of their events is read once; None if too large."""
        if self.until != later.since or self.few is None or later.few is None:
            return None
        joined = _Span(
            since=self.since,
            until=later.until,
            events=self.events + later.events,
            few=self.few + later.few,
        )
        return joined if joined.is_sparse and (joined.few or 0) <= _FEW_AT_ONCE else None


def _read_few(  # noqa: PLR0913 - what a page and a span are
    store: Store, wanted: Wanted, cursor: Cursor, span: _Span, *, size: int, budget: int
) -> tuple[list[dict[str, Any]], bool, tuple[int, int], int]:
    """Read the rows of campaigns in a span by the index of campaigns.

    It is sorted within blocks, so the blocks that the span's events are in are found first.
    """
    del budget  # a span has few of these rows
    condition, values = wanted.condition()
    blocks = store.select(
        f"SELECT DISTINCT sequence >> {BLOCK_BITS} FROM events INDEXED BY events_at"
        " WHERE at >= ? AND at < ?",
        span.since,
        span.until,
    )
    candidates = store.select(
        "SELECT at, sequence FROM events INDEXED BY events_campaign"
        f" WHERE block IN ({', '.join(str(block) for (block,) in blocks)})"
        f" AND {condition} AND at >= ? AND at < ? AND sequence <= ?",
        *values,
        span.since,
        span.until,
        cursor.newest,
    )
    rows, is_done, last = _take_keyed(store, wanted, cursor, sorted(candidates)[::-1], size)
    return rows, is_done, last, len(candidates) + span.events // _INDEX_ENTRIES_A_ROW


def _read_slices(  # noqa: PLR0913 - what a page and a span are
    store: Store, wanted: Wanted, cursor: Cursor, span: _Span, *, size: int, budget: int
) -> tuple[list[dict[str, Any]], bool, tuple[int, int], int]:
    """Read the rows of a span one after another, whatever they are."""
    condition, values = wanted.condition()
    rows: list[dict[str, Any]] = []
    last = (cursor.at, cursor.sequence)
    cost = 0
    while True:
        # The rows of the next slice end here; this reads the index alone.
        ends = store.select(
            "SELECT at, sequence FROM events INDEXED BY events_at"
            " WHERE at >= ? AND at <= ? AND (at, sequence) < (?, ?)"
            " ORDER BY at DESC, sequence DESC LIMIT 1 OFFSET ?",
            span.since, last[0], *last, _ROWS_A_SLICE - 1,
        )  # fmt: skip
        end = ends[0] if ends else (span.since, 0)
        found = store.select(
            "SELECT at, sequence, event FROM events INDEXED BY events_at"
            " WHERE at >= ? AND at <= ? AND (at, sequence) < (?, ?)"
            " AND (at, sequence) >= (?, ?)"
            f" AND sequence <= ? AND {condition} ORDER BY at DESC, sequence DESC LIMIT ?",
            end[0], last[0], *last, *end, cursor.newest, *values,
            _LARGEST if wanted.texts else size - len(rows) + 1,
        )  # fmt: skip
        for at, sequence, event in found:
            if len(rows) == size:
                return rows, False, last, cost
            fields = dict(read_fields(event))
            if fields and wanted.fits(fields):
                rows.append(fields)
            last = (at, sequence)
        last = (end[0], end[1])
        if not ends:
            return rows, True, last, cost + min(span.events or _ROWS_A_SLICE, _ROWS_A_SLICE)
        cost += _ROWS_A_SLICE
        if cost >= budget:
            return rows, False, last, cost


def _find_spans(store: Store, wanted: Wanted, cursor: Cursor) -> Iterable[_Span]:
    """Return when events can be, the latest first.

    A rare type or campaign is not searched for in hours that never had it.
    """
    # Before the first row of a second nothing of it is left: its hour was looked through.
    since, until = cursor.since, min(cursor.until, cursor.at + (cursor.sequence > 0))
    if not (wanted.types or wanted.campaigns):
        return [_Span(since=since, until=until)]
    condition, values = _condition_of_counts(wanted)
    hours = store.select(
        f"SELECT hour, sum(events) FILTER (WHERE {condition}) AS wanted, sum(events)"
        " FROM counts WHERE hour >= ? AND hour <= ?"
        " GROUP BY hour HAVING wanted > 0 ORDER BY hour DESC",
        *values,
        since // _SECONDS_AN_HOUR,
        (until - 1) // _SECONDS_AN_HOUR,
    )
    is_exact = bool(wanted.campaigns) and not any("*" in each for each in wanted.campaigns)
    spans: list[_Span] = []
    for hour, few, events in hours:
        span = _Span(
            since=max(since, hour * _SECONDS_AN_HOUR),
            until=min(until, (hour + 1) * _SECONDS_AN_HOUR),
            events=events,
            few=few if is_exact and few <= min(_MAX_FEW, events // 4) else None,
        )
        joined = span.join(spans[-1]) if spans else None
        spans[-1:] = [joined] if joined else [*spans[-1:], span]
    return spans


def _count(store: Store, wanted: Wanted, cursor: Cursor) -> int | None:
    """Count the events on all pages by the counts of whole hours; None where they can't tell.

    Counts stay when events are removed, so hours before the oldest event are left out.
    """
    if wanted.texts or wanted.recipients or wanted.domains or wanted.messages or wanted.events:
        return None
    oldest = store.select("SELECT at FROM events INDEXED BY events_at ORDER BY at LIMIT 1")
    since = max(cursor.since, oldest[0][0]) if oldest else cursor.since
    first, last = -(-since // _SECONDS_AN_HOUR), cursor.until // _SECONDS_AN_HOUR
    edges = [(since, cursor.until)]
    if first < last:
        edges = [
            (since, first * _SECONDS_AN_HOUR),
            (last * _SECONDS_AN_HOUR, cursor.until),
        ]
    total = 0
    condition, values = wanted.condition()
    for begin, end in edges:
        (rows,) = store.select(
            "SELECT count(*) FROM (SELECT 1 FROM events INDEXED BY events_at"
            " WHERE at >= ? AND at < ? LIMIT ?)",
            begin, end, _MAX_EDGE_ROWS + 1,
        )[0]  # fmt: skip
        if rows > _MAX_EDGE_ROWS:
            return None
        total += store.select(
            "SELECT count(*) FROM events INDEXED BY events_at"
            f" WHERE at >= ? AND at < ? AND sequence <= ? AND {condition}",
            begin, end, cursor.newest, *values,
        )[0][0]  # fmt: skip
    condition, values = _condition_of_counts(wanted)
    total += store.select(
        "SELECT coalesce(sum(events), 0) FROM counts"
        f" WHERE hour >= ? AND hour < ? AND {condition}",
        first, last, *values,
    )[0][0]  # fmt: skip
    return int(total)


def _condition_of_counts(wanted: Wanted) -> tuple[str, list[Any]]:
    return replace(wanted, recipients=(), domains=(), messages=(), events=()).condition()


def _one_of(
    column: str, values: Iterable[Any], *, has_patterns: bool = True
) -> tuple[str, Sequence[Any]]:
    """Return the condition that a column is one of these; an empty one without any."""
    known = tuple(values)
    patterns = tuple(each for each in known if has_patterns and "*" in each)
    exact = tuple(each for each in known if each not in patterns)
    parts = [f"{column} IN ({_marks(exact)})"] if exact else []
    parts += [f"{column} GLOB ?"] * len(patterns)
    condition = f"({' OR '.join(parts)})" if parts else ""
    return condition, (*exact, *map(write_glob, patterns))


def _marks(values: Sequence[Any]) -> str:
    return ", ".join("?" * len(values))


def write_glob(pattern: str) -> str:
    """Return a pattern with `*` as SQLite's GLOB has it, where more characters mean something."""
    return re.sub(r"[\[?]", lambda found: f"[{found[0]}]", pattern)


def fits_pattern(text: str, pattern: str) -> bool:
    """Tell whether a text fits a pattern in which `*` is any text; in one pass through it."""
    first, *pieces = pattern.split("*")
    if not pieces:
        return text == pattern
    *pieces, last = pieces
    if not text.startswith(first) or not text[len(first) :].endswith(last):
        return False
    place, end = len(first), len(text) - len(last)
    for piece in pieces:
        found = text.find(piece, place, end)
        if found < 0:
            return False
        place = found + len(piece)
    return True
