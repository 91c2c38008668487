"""Fills the store from the event log: durable, idempotent, and counted in the same transaction."""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from threading import get_ident
from types import TracebackType
from typing import Final, Self, TypeVar

from msys_track.databases import explain_errors, identify_file, open_database, transaction
from msys_track.errors import SinkError
from msys_track.logs import event_logger
from msys_track.sinks.delivery import EmptiedError, EventBatch
from msys_track.sinks.store.counting import Grouping, count_new
from msys_track.sinks.store.form import CHECKPOINT_BYTES, FORM
from msys_track.sinks.store.reading import Store, connect_to_read
from msys_track.sinks.store.rows import make_rows

log = event_logger(__name__)

_Result = TypeVar("_Result")

_BUSY_TIMEOUT_SECONDS: Final = 5.0
_SECONDS_A_DAY: Final = 86_400

# A step must not keep events waiting: 20 ms at most, of which each row takes about 30 µs.
_ROWS_A_STEP: Final = 500
_PAUSE_SECONDS: Final = 0.05
_RETENTION_SECONDS: Final = 60.0

_INSERT: Final = (
    "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (event_id) DO NOTHING"
)
_NOTE_PROGRESS: Final = (
    "UPDATE progress SET last_sequence ="
    " max(last_sequence, (SELECT coalesce(max(sequence), 0) FROM events))"
)


class SqliteSink:
    """Stores events in a SQLite file; an event that it has is not stored twice.

    Its sequence is its own, and never reused. `synchronous = FULL`: when `write` returns, the
    batch survives a power cut.

    Args:
        path: The file; it is made if it does not exist.
        keep_days: Older events are removed, a few at a time; None keeps all. The counts stay.
        busy_timeout_seconds: How long another program's lock is waited for.
    """

    name: str = "store"
    max_events: int = 10_000
    max_age_seconds: float = 0.1

    def __init__(
        self,
        path: Path,
        *,
        keep_days: int | None = None,
        busy_timeout_seconds: float = _BUSY_TIMEOUT_SECONDS,
    ) -> None:
        self._path = path
        self._keep_days = keep_days
        self._busy_timeout_seconds = busy_timeout_seconds
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._is_asked = False
        # Reading beside the thread that writes, by the one that asks what was seen.
        self._lookup: Store | None = None
        self._lookup_place: object = None
        self._retention: asyncio.Task[None] | None = None
        # One thread: a connection of sqlite3 belongs to the thread that made it.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="event-store")
        # Copies what was written from the write-ahead log into the file, while more is written.
        self._checkpointer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint")
        self._checkpoint: Future[None] | None = None
        self._copied_bytes = 0

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
        if self._keep_days is not None and self._retention is None:
            self._retention = asyncio.create_task(
                self._remove_old(self._keep_days), name="event-store-retention"
            )

    async def write(self, batch: EventBatch) -> None:
        """Store the events, all or none; returns when they are on disk.

        Raises:
            EmptiedError: the file was deleted or moved away; a new one wants what the log has.
            SinkError: they may not be stored; the text says what to do.
        """
        await self._run_in_thread(lambda: self._write(batch))

    async def close(self) -> None:
        """Close the file and end the thread; nothing can be written afterwards."""
        if self._retention is not None:
            self._retention.cancel()
            await asyncio.gather(self._retention, return_exceptions=True)
        if self._checkpoint is not None:
            await asyncio.wrap_future(self._checkpoint)
        self._close_lookup()
        await self._run_in_thread(self._close)
        self._checkpointer.shutdown(wait=False)
        self._thread.shutdown(wait=False)

    def has_seen(self, message_id: str, types: Sequence[str], link: str | None = None) -> bool:
        """Whether the store has such an event of a message; see `Store.has_event`.

        Raises:
            SinkError: the store can't be read, so it is not known.
        """
        place = (get_ident(), identify_file(self._path))
        if self._lookup is None or self._lookup_place != place:
            self._close_lookup()
            self._lookup = Store(self._path, connect_to_read(self._path))
            self._lookup_place = place
        try:
            return self._lookup.has_event(message_id, types, link)
        except SinkError:
            self._close_lookup()
            raise

    def _close_lookup(self) -> None:
        if self._lookup is not None:
            # Forgotten only, it would stay open, and the log could not go into the file.
            self._lookup.close()
            self._lookup = None

    async def _run_in_thread(self, call: Callable[[], _Result]) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None and self._file == identify_file(self._path):
            return self._connection
        # The file was moved or deleted, so events in the old one would be lost.
        self._close()
        self._is_asked = False
        self._connection = open_database(self._path, FORM, self._busy_timeout_seconds)
        self._file = identify_file(self._path)
        return self._connection

    def _write(self, batch: EventBatch) -> None:
        connection = self._open()
        with explain_errors(self._path, FORM):
            try:
                if batch.first_sequence > 1 and self._is_new(connection):
                    raise EmptiedError(f"{self._path}: is new; it is filled from the event log")
                with transaction(connection):
                    insert(connection, batch.lines, int(time.time()))
            except sqlite3.Error:
                # A fresh connection next time: after an I/O error this one may stay broken.
                self._close()
                raise
        if self._file != identify_file(self._path):
            raise SinkError(f"{self._path}: was moved away while events were written to it")
        self._start_checkpoint()

    def _start_checkpoint(self) -> None:
        """Copy what the write-ahead log holds, unless that is little or under way."""
        if self._checkpoint is not None and not self._checkpoint.done():
            return
        try:
            size = self._path.with_name(f"{self._path.name}-wal").stat().st_size
        except OSError:
            return
        # It has begun anew where it is shorter than before.
        if size < self._copied_bytes:
            self._copied_bytes = 0
        if size - self._copied_bytes >= CHECKPOINT_BYTES:
            self._copied_bytes = size
            self._checkpoint = self._checkpointer.submit(checkpoint, self._path)

    def _is_new(self, connection: sqlite3.Connection) -> bool:
        """Whether a file never had an event; it is asked once, for the log may begin later."""
        is_asked, self._is_asked = self._is_asked, True
        return not is_asked and find_last_sequence(connection) == 0

    def _close(self) -> None:
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    async def _remove_old(self, keep_days: int) -> None:
        """Remove events that are too old; those that come are written between two steps."""
        while True:
            try:
                removed = await self._run_in_thread(lambda: self._remove_step(keep_days))
            except SinkError as error:
                log.warning("store.retention_failed", error=str(error))
                removed = 0
            await asyncio.sleep(_PAUSE_SECONDS if removed else _RETENTION_SECONDS)

    def _remove_step(self, keep_days: int) -> int:
        oldest = int(time.time()) - keep_days * _SECONDS_A_DAY
        connection = self._open()
        with explain_errors(self._path, FORM), transaction(connection):
            return remove_step(connection, oldest)


def checkpoint(path: Path) -> None:
    """Copy what the write-ahead log holds into the file, as far as no reader needs it as it was.

    Nothing is lost where that can't be done: the next one does it.
    """
    with suppress(SinkError, sqlite3.Error):
        connection = open_database(path, FORM, _BUSY_TIMEOUT_SECONDS)
        with closing(connection):
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()


def insert(connection: sqlite3.Connection, lines: Iterable[bytes], now: int) -> int:
    """Store lines of the event log within a transaction; return how many were new.

    Args:
        connection: To a store.
        lines: JSON as a webhook has it.
        now: Unix seconds; the time of lines that have none.

    Raises:
        sqlite3.Error: they can't be stored.
    """
    first = find_last_sequence(connection) + 1
    grouping = Grouping()
    rows = make_rows(lines, first, now, grouping.note)
    added = connection.executemany(_INSERT, rows).rowcount
    connection.execute(_NOTE_PROGRESS)
    count_new(connection, first, grouping)
    return added


def find_last_sequence(connection: sqlite3.Connection) -> int:
    """Return the number of the newest event that a store ever had; 0 without one.

    Raises:
        sqlite3.Error: the store can't be read.
    """
    (last,) = connection.execute("SELECT last_sequence FROM progress").fetchone()
    return int(last)


def remove_step(connection: sqlite3.Connection, before: int) -> int:
    """Remove a few of the events before a time in Unix seconds; return how many."""
    return connection.execute(
        "DELETE FROM events WHERE sequence IN"
        " (SELECT sequence FROM events INDEXED BY events_at WHERE at < ? ORDER BY at LIMIT ?)",
        (before, _ROWS_A_STEP),
    ).rowcount
