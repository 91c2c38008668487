"""Goes back in time through the rows of a store, as far as one page may.

Hours that never had a type or campaign are passed over, and where few of an hour's events are
wanted these are found by the index of campaigns.
"""

# ruff: noqa: S608 - the parts of a query are ours, values are bound

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

from msys_track.report.period import SECONDS_AN_HOUR
from msys_track.report.sparkpost.search.cursor import Cursor
from msys_track.report.sparkpost.search.keyed import MAX_ROWS_READ, Rows, take_rows
from msys_track.report.sparkpost.search.wanted import Wanted
from msys_track.sinks.store.form import BLOCK_BITS
from msys_track.sinks.store.reading import Store
from msys_track.sinks.store.rows import read_fields

_ROWS_A_SLICE: Final = 2_000
_MAX_ROWS: Final = 60_000
# An hour is searched by the index of campaigns where few of not too many events are wanted.
_MAX_FEW: Final = 5_000
_FEW_AT_ONCE: Final = 1_500
_MAX_SPARSE_EVENTS: Final = 500_000
_INDEX_ENTRIES_A_ROW: Final = 10
_NO_LIMIT: Final = -1  # to SQLite


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


def scan(store: Store, wanted: Wanted, cursor: Cursor, size: int) -> Rows:
    """Go back in time through the rows, as far as one page may."""
    left = max(MAX_ROWS_READ if wanted.texts else _MAX_ROWS, size)
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


def _find_spans(store: Store, wanted: Wanted, cursor: Cursor) -> Iterable[_Span]:
    """Return when events can be, the latest first.

    A rare type or campaign is not searched for in hours that never had it.
    """
    # Before the first row of a second nothing of it is left: its hour was looked through.
    since, until = cursor.since, min(cursor.until, cursor.at + (cursor.sequence > 0))
    if not (wanted.types or wanted.campaigns):
        return [_Span(since=since, until=until)]
    condition, values = wanted.condition_of_counts()
    hours = store.select(
        f"SELECT hour, sum(events) FILTER (WHERE {condition}) AS wanted, sum(events)"
        " FROM counts WHERE hour >= ? AND hour <= ?"
        " GROUP BY hour HAVING wanted > 0 ORDER BY hour DESC",
        *values,
        since // SECONDS_AN_HOUR,
        (until - 1) // SECONDS_AN_HOUR,
    )
    is_exact = bool(wanted.campaigns) and not any("*" in each for each in wanted.campaigns)
    spans: list[_Span] = []
    for hour, few, events in hours:
        span = _Span(
            since=max(since, hour * SECONDS_AN_HOUR),
            until=min(until, (hour + 1) * SECONDS_AN_HOUR),
            events=events,
            few=few if is_exact and few <= min(_MAX_FEW, events // 4) else None,
        )
        joined = span.join(spans[-1]) if spans else None
        spans[-1:] = [joined] if joined else [*spans[-1:], span]
    return spans


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
    places = store.select(
        "SELECT at, sequence FROM events INDEXED BY events_campaign"
        f" WHERE block IN ({', '.join(str(block) for (block,) in blocks)})"
        f" AND {condition} AND at >= ? AND at < ? AND sequence <= ?",
        *values,
        span.since,
        span.until,
        cursor.newest,
    )
    rows, is_done, last = take_rows(store, wanted, cursor, sorted(places)[::-1], size)
    return rows, is_done, last, len(places) + span.events // _INDEX_ENTRIES_A_ROW


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
            _NO_LIMIT if wanted.texts else size - len(rows) + 1,
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
