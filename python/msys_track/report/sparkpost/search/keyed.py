"""Finds events by an index, where a request names ids, messages or recipients.

All places in the index are read first, which are a few bytes each; then as many rows as a page
wants.
"""

# ruff: noqa: S608 - the parts of a query are ours, values are bound

from collections.abc import Iterator, Sequence
from typing import Any, Final, TypeAlias

from msys_track.report.sparkpost.search.cursor import Cursor
from msys_track.report.sparkpost.search.wanted import Wanted, write_marks
from msys_track.sinks.store.form import BLOCK_BITS, DAY_BITS
from msys_track.sinks.store.reading import Store
from msys_track.sinks.store.rows import make_message_key, pack_id, read_fields

MAX_ROWS_READ: Final = 20_000
"""How many rows a page looks at where each row's JSON must be read to be judged."""

_MAX_KEYED: Final = 20_000
_NUMBERS_A_QUERY: Final = 500

Rows: TypeAlias = tuple[list[dict[str, Any]], bool, tuple[int, int]]
"""Events, whether there are no more, the time and sequence of the last row looked at."""


def find_places(store: Store, wanted: Wanted, cursor: Cursor) -> list[tuple[int, int]] | None:
    """Return time and sequence of all rows by an index; None where that would be too many."""
    if not (wanted.events or wanted.messages or wanted.recipients):
        return None
    condition, values = wanted.condition()
    condition += " AND at >= ? AND at < ? AND sequence <= ?"
    values += [cursor.since, cursor.until, cursor.newest]
    found: list[tuple[int, int]] = []
    for index, keys in _narrow(store, wanted, cursor):
        found += store.select(
            f"SELECT at, sequence FROM events {index} AND {condition} LIMIT ?",
            *keys,
            *values,
            _MAX_KEYED + 1 - len(found),
        )
        if len(found) > _MAX_KEYED:
            return None
    return sorted(found, reverse=True)


def take_rows(
    store: Store,
    wanted: Wanted,
    cursor: Cursor,
    places: Sequence[tuple[int, int]],
    size: int,
) -> Rows:
    """Read the rows at places behind a cursor, the newest first, at most so many events."""
    behind = [each for each in places if each < (cursor.at, cursor.sequence)]
    rows: list[dict[str, Any]] = []
    last = (cursor.at, cursor.sequence)
    for first in range(0, len(behind), _NUMBERS_A_QUERY):
        chunk = behind[first : first + _NUMBERS_A_QUERY]
        numbers = [sequence for _, sequence in chunk]
        events = dict(
            store.select(
                f"SELECT sequence, event FROM events WHERE sequence IN ({write_marks(numbers)})",
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
        if first + _NUMBERS_A_QUERY >= MAX_ROWS_READ and len(rows) < size:
            return rows, first + _NUMBERS_A_QUERY >= len(behind), last
    return rows, True, last


def _narrow(store: Store, wanted: Wanted, cursor: Cursor) -> Iterator[tuple[str, Sequence[Any]]]:
    """Yield what is to be looked through: an index, with the beginning of a condition."""
    if wanted.events:
        ids = [pack_id(each) for each in wanted.events]
        yield f"INDEXED BY events_id WHERE event_id IN ({write_marks(ids)})", ids
    elif wanted.messages:
        for day in _find_days(store):
            keys = [make_message_key(each, day) for each in wanted.messages]
            yield f"INDEXED BY events_message WHERE message_key IN ({write_marks(keys)})", keys
    else:
        addresses = [each.lower() for each in wanted.recipients]
        marks = write_marks(addresses)
        where = f"INDEXED BY events_recipient WHERE block = ? AND rcpt_to IN ({marks})"
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
