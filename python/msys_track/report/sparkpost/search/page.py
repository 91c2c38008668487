"""Finds a page of events by the shortest way that the store has, and how many there are on all."""

# ruff: noqa: S608 - the parts of a query are ours, values are bound

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from msys_track.report.period import SECONDS_AN_HOUR
from msys_track.report.sparkpost.search.cursor import Cursor
from msys_track.report.sparkpost.search.keyed import find_places, take_rows
from msys_track.report.sparkpost.search.scan import scan
from msys_track.report.sparkpost.search.wanted import Wanted
from msys_track.sinks.store.reading import Store

_MAX_EDGE_ROWS: Final = 50_000


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
    places = find_places(store, wanted, cursor)
    if places is not None:
        rows, is_done, last = take_rows(store, wanted, cursor, places, size)
        known = len(places) if not wanted.texts else None
    else:
        rows, is_done, last = scan(store, wanted, cursor, size)
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


def _count(store: Store, wanted: Wanted, cursor: Cursor) -> int | None:
    """Count the events on all pages by the counts of whole hours; None where they can't tell.

    Counts stay when events are removed, so hours before the oldest event are left out.
    """
    if wanted.texts or wanted.recipients or wanted.domains or wanted.messages or wanted.events:
        return None
    oldest = store.select("SELECT at FROM events INDEXED BY events_at ORDER BY at LIMIT 1")
    since = max(cursor.since, oldest[0][0]) if oldest else cursor.since
    first, last = -(-since // SECONDS_AN_HOUR), cursor.until // SECONDS_AN_HOUR
    edges = [(since, cursor.until)]
    if first < last:
        edges = [
            (since, first * SECONDS_AN_HOUR),
            (last * SECONDS_AN_HOUR, cursor.until),
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
    condition, values = wanted.condition_of_counts()
    total += store.select(
        "SELECT coalesce(sum(events), 0) FROM counts"
        f" WHERE hour >= ? AND hour < ? AND {condition}",
        first, last, *values,
    )[0][0]  # fmt: skip
    return int(total)
