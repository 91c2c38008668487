"""The embedded store: one SQLite file that a tracker fills and a report reads meanwhile.

Write-ahead logging lets readers and a writer go on beside each other, in one process or several;
`docs/tracker.md` says what that costs.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Self

from msys_track.databases import (
    Form,
    explain_errors,
    identify_file,
    open_database,
    transaction,
)
from msys_track.errors import SinkError
from msys_track.events import Event

_BUSY_TIMEOUT_SECONDS = 5.0
_ROWS_PER_READ = 500
_STORE = Form(
    application_id=0x6D737973,  # "msys"
    version=1,
    statements=(
        # sequence: the order of arrival; event: the JSON that a webhook would send.
        """CREATE TABLE events (
            sequence INTEGER PRIMARY KEY,
            event_id TEXT NOT NULL UNIQUE,
            event TEXT NOT NULL
        )""",
    ),
    name="event store",
    contents="events",
    maker="the tracker makes it when it starts",
    error=SinkError,
)


class SqliteSink:
    """Stores events in a SQLite file; an event that it has is not stored twice.

    `synchronous = FULL`: when `write` returns, the batch survives a power cut. NORMAL would save
    one fsync for each batch, and lose the last batches; batches are few.

    ```python
    async with SqliteSink(path) as sink:
        await sink.write(events)
    ```
    """

    def __init__(self, path: Path, *, busy_timeout_seconds: float = _BUSY_TIMEOUT_SECONDS) -> None:
        self._path = path
        self._busy_timeout_seconds = busy_timeout_seconds
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        # One thread: a connection of sqlite3 belongs to the thread that made it.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="event-store")

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def open(self) -> None:
        """Make or check the file now, so that a wrong path is known before the first event.

        Raises:
            SinkError: the file can't be used; the text says what to do.
        """
        await self._run_in_thread(self._open)

    async def write(self, events: Sequence[Event]) -> None:
        """Store the events, all or none; returns when they are on disk.

        Raises:
            SinkError: nothing was stored; the text says what to do.
        """
        await self._run_in_thread(lambda: self._write(events))

    async def close(self) -> None:
        """Close the file and end the thread; nothing can be written afterwards."""
        await self._run_in_thread(self._close)
        self._thread.shutdown(wait=False)

    async def _run_in_thread(self, call: Callable[[], object]) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, call)

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None and self._file == identify_file(self._path):
            return self._connection
        # The file was moved or deleted, so events in the old one would be lost.
        self._close()
        self._connection = open_database(self._path, _STORE, self._busy_timeout_seconds)
        self._file = identify_file(self._path)
        return self._connection

    def _write(self, events: Sequence[Event]) -> None:
        connection = self._open()
        with explain_errors(self._path, _STORE):
            try:
                with transaction(connection):
                    connection.executemany(
                        "INSERT INTO events (event_id, event) VALUES (?, ?)"
                        " ON CONFLICT (event_id) DO NOTHING",
                        ((event.event_id, event.as_json()) for event in events),
                    )
            except sqlite3.Error:
                # A fresh connection next time: after an I/O error this one may stay broken.
                self._close()
                raise

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def events(path: Path) -> Iterator[Event]:
    """Read a store in the order the events came, while trackers go on writing.

    Raises:
        SinkError: the file can't be read; the text says what to do.
    """
    last_sequence = 0
    with closing(open_database(path, _STORE, _BUSY_TIMEOUT_SECONDS, read_only=True)) as connection:
        while True:
            # In pages: SQLite can't shorten the write-ahead log during a long read.
            with explain_errors(path, _STORE):
                page = connection.execute(
                    "SELECT sequence, event FROM events WHERE sequence > ? ORDER BY sequence"
                    " LIMIT ?",
                    (last_sequence, _ROWS_PER_READ),
                ).fetchall()
            if not page:
                return
            for sequence, text in page:
                try:
                    event = Event.from_json(text)
                except ValueError as error:
                    raise SinkError(f"{path}: row {sequence}: {error}") from error
                yield event
            last_sequence = page[-1][0]
