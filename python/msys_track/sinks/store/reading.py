"""Reads a store while a sink fills it: in pages, so that its write-ahead log stays short."""

# ruff: noqa: S608 - the parts of a query are ours, values are bound

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from msys_track.databases import explain_errors, open_database
from msys_track.sinks.store.form import BLOCK_BITS, DAY_BITS, FORM
from msys_track.sinks.store.rows import make_message_key

_BUSY_TIMEOUT_SECONDS: Final = 5.0
_ROWS_A_PAGE: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which events are wanted; None: whichever.

    Attributes:
        recipient: Their address; case is ignored.
        since: Unix seconds; events of this second or later.
        until: Unix seconds; events before this second.
        after: Those behind this sequence.
    """

    campaign: str | None = None
    recipient: str | None = None
    message: str | None = None
    types: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    since: int | None = None
    until: int | None = None
    after: int = 0

    def condition(self) -> tuple[str, list[Any]]:
        """Return it in SQL, without `after`, and the values in it."""
        known: list[tuple[str, Sequence[Any]]] = [
            ("campaign_id = ?", () if self.campaign is None else (self.campaign,)),
            ("rcpt_to = ?", () if self.recipient is None else (self.recipient.lower(),)),
            ("message_id = ?", () if self.message is None else (self.message,)),
            (f"type IN ({_marks(self.types)})", self.types),
            (f"class IN ({_marks(self.classes)})", self.classes),
            ("at >= ?", () if self.since is None else (self.since,)),
            ("at < ?", () if self.until is None else (self.until,)),
        ]
        parts = [part for part, values in known if values]
        return " AND ".join(parts) or "true", [each for _, values in known for each in values]


class Store:
    """A store that is read; one thread may use it.

    ```python
    with open_store(path) as store:
        for page in store.pages(Filter(campaign="Summer Sale")):
            …
    ```
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection = connection
        connection.text_factory = bytes

    def close(self) -> None:
        """Close the file; `open_store` does it too."""
        self._connection.close()

    def last_sequence(self) -> int:
        """Return the number of the newest event ever stored; 0 without one."""
        return int(self.select("SELECT last_sequence FROM progress")[0][0])

    def pages(self, wanted: Filter) -> Iterator[list[tuple[int, bytes]]]:
        """Return events as sequence and JSON, in the order they came, some at a time.

        Raises:
            SinkError: the store can't be read; the text says what to do.
        """
        if wanted.message is not None:
            yield from self._pages_of_message(wanted)
        elif wanted.recipient is not None or wanted.campaign is not None:
            yield from self._pages_of_blocks(wanted)
        else:
            yield from self._pages_in_order(wanted)

    def newest(self, wanted: Filter, count: int) -> list[tuple[int, bytes]]:
        """Return the newest events, the oldest of them first.

        Raises:
            SinkError: the store can't be read; the text says what to do.
        """
        condition, values = wanted.condition()
        return self.select(
            f"SELECT sequence, event FROM events WHERE {condition} ORDER BY sequence DESC LIMIT ?",
            *values,
            count,
        )[::-1]

    def has_event(self, message_id: str, types: Sequence[str], link: str | None = None) -> bool:
        """Whether a message has an event of one of these types, and of this link if one is given.

        Args:
            message_id: The message's.
            types: Those that count.
            link: Its part and number as in `html:3`, or its target where these are unknown.

        Raises:
            SinkError: the store can't be read; the text says what to do.
        """
        condition, values = Filter(message=message_id, types=tuple(types)).condition()
        if link is not None:
            condition, values = f"{condition} AND link = ?", [*values, link]
        return any(
            self.select(
                f"SELECT 1 FROM events WHERE message_key = ? AND {condition} LIMIT 1", key, *values
            )
            for key in self.message_keys(message_id)
        )

    def message_keys(self, message_id: str) -> Iterator[int]:
        """Yield what a message's key is for each day that a message was injected on."""
        key = -1
        while True:
            found = self.select(
                "SELECT message_key FROM events WHERE message_key > ?"
                " ORDER BY message_key LIMIT 1",
                key,
            )
            if not found:
                return
            day = int(found[0][0]) >> DAY_BITS
            yield make_message_key(message_id, day)
            key = (day + 1 << DAY_BITS) - 1

    def bounds(self, wanted: Filter) -> tuple[int, int]:
        """Return the first and the last sequence that may be wanted, by time and `after`."""
        times = Filter(since=wanted.since, until=wanted.until)
        if times == Filter():
            # Two queries of one row each; SQLite would look at all rows for both in one.
            query = "SELECT (SELECT min(sequence) FROM events), (SELECT max(sequence) FROM events)"
            values = list[Any]()
        else:
            condition, values = times.condition()
            query = (
                "SELECT min(sequence), max(sequence) FROM events INDEXED BY events_at"
                f" WHERE {condition}"
            )
        first, last = self.select(query, *values)[0]
        return (1, 0) if first is None else (max(first, wanted.after + 1), last)

    def select(self, query: str, *values: Any) -> list[Any]:
        """Return the rows of a query, texts as bytes.

        Raises:
            SinkError: the store can't be read; the text says what to do.
        """
        with explain_errors(self._path, FORM):
            return self._connection.execute(query, values).fetchall()

    def _pages_in_order(self, wanted: Filter) -> Iterator[list[tuple[int, bytes]]]:
        first, last = self.bounds(wanted)
        condition, values = wanted.condition()
        while first <= last:
            # Rows that don't fit are passed over here, so that no page takes long.
            end = min(last, first + _ROWS_A_PAGE * 10 - 1)
            page = self.select(
                f"SELECT sequence, event FROM events WHERE sequence BETWEEN ? AND ?"
                f" AND {condition} ORDER BY sequence",
                first,
                end,
                *values,
            )
            if page:
                yield page
            first = end + 1

    def _pages_of_blocks(self, wanted: Filter) -> Iterator[list[tuple[int, bytes]]]:
        first, last = self.bounds(wanted)
        condition, values = wanted.condition()
        index = "events_campaign" if wanted.recipient is None else "events_recipient"
        for block in range(first >> BLOCK_BITS, (last >> BLOCK_BITS) + 1):
            after = first - 1
            while True:
                page = self.select(
                    f"SELECT sequence, event FROM events INDEXED BY {index}"
                    f" WHERE block = ? AND {condition} AND sequence > ?"
                    " ORDER BY sequence LIMIT ?",
                    block,
                    *values,
                    after,
                    _ROWS_A_PAGE,
                )
                if page:
                    yield page
                if len(page) < _ROWS_A_PAGE:
                    break
                after = page[-1][0]

    def _pages_of_message(self, wanted: Filter) -> Iterator[list[tuple[int, bytes]]]:
        condition, values = wanted.condition()
        found: list[tuple[int, bytes]] = []
        for key in self.message_keys(wanted.message or ""):
            found += self.select(
                "SELECT sequence, event FROM events INDEXED BY events_message"
                f" WHERE message_key = ? AND {condition} AND sequence > ?",
                key,
                *values,
                wanted.after,
            )
        if found:
            yield sorted(found)


@contextmanager
def open_store(path: Path) -> Iterator[Store]:
    """Open a store to read it.

    Raises:
        SinkError: it can't be read; the text says what to do.
    """
    with closing(connect_to_read(path)) as connection:
        yield Store(path, connection)


def connect_to_read(path: Path) -> sqlite3.Connection:
    """Open a store to read it; the caller closes it.

    Raises:
        SinkError: it can't be read; the text says what to do.
    """
    return open_database(path, FORM, _BUSY_TIMEOUT_SECONDS, read_only=True)


def read_text(value: Any) -> str:
    """Return the text of a column as `Store.select` returns it; empty for what is no text."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else ""


def _marks(values: Sequence[str]) -> str:
    return ", ".join("?" * len(values))
