"""The spool's file: made, opened, checked, and moved aside where it is damaged.

The spool's folder holds the folder `queue` with the file and its journal, `lock`, `reserve`, a
file `worker-…` for each worker, and a folder `damaged-…` for each `queue` that was moved aside.
"""

import fcntl
import os
import resource
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from msys_track.databases import (
    Form,
    explain_errors,
    identify_file,
    open_database,
    primary_code,
)
from msys_track.errors import SpoolDamagedError, SpoolError, SpoolFullError
from msys_track.logs import event_logger

log = event_logger(__name__)

_BUSY_TIMEOUT_SECONDS: Final = 30.0
_FOLDER_MODE: Final = 0o700
_JOURNAL_BYTES: Final = 1024 * 1024
# Given back to a full disk, so that copies can be claimed and removed; taken again when there is
# several times as much. Without it nothing more is kept, nor where the file has come that near to
# the longest that it may be.
_RESERVE_BYTES: Final = 512 * 1024
_FREE_FOR_RESERVE: Final = 4 * _RESERVE_BYTES

SPOOL: Final = Form(
    application_id=0x6D737971,  # "msyq"
    version=1,
    first_pragmas=("PRAGMA auto_vacuum = INCREMENTAL",),  # what was sent gives its room back
    has_log=False,
    pragmas=(
        # A log can't be written back to a full disk, so nothing could be removed from it. This
        # journal keeps its room. Measured: 0.6 to 1.7 times as many copies a second.
        "PRAGMA journal_mode = PERSIST",
        f"PRAGMA journal_size_limit = {_JOURNAL_BYTES}",
        # Some builds overwrite what is removed: that takes a journal of its size.
        "PRAGMA secure_delete = OFF",
    ),
    statements=(
        # uptime_seconds: when `uptime` columns were last true, in the start `boot_id`.
        "CREATE TABLE clock (boot_id TEXT NOT NULL, uptime_seconds REAL NOT NULL)",
        "INSERT INTO clock VALUES ('', 0)",
        "CREATE TABLE totals (copies INTEGER NOT NULL, bytes INTEGER NOT NULL)",
        "INSERT INTO totals VALUES (0, 0)",
        # A body is what copies send to different recipients in transactions of their own.
        "CREATE TABLE bodies (id INTEGER PRIMARY KEY AUTOINCREMENT, bytes INTEGER NOT NULL)",
        """CREATE TABLE pieces (
            body INTEGER NOT NULL REFERENCES bodies, number INTEGER NOT NULL, wire BLOB NOT NULL,
            PRIMARY KEY (body, number)
        )""",
        # mail, number: what people name it by. state: waiting, or failed until it is reported.
        """CREATE TABLE copies (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            mail TEXT NOT NULL,
            number INTEGER NOT NULL,
            envelope_id TEXT NOT NULL,
            sender TEXT NOT NULL,
            mail_parameters TEXT NOT NULL,
            recipients TEXT NOT NULL,
            body INTEGER NOT NULL REFERENCES bodies,
            size INTEGER NOT NULL,
            is_seven_bit INTEGER NOT NULL,
            kept_at REAL NOT NULL,
            kept_uptime REAL NOT NULL,
            due_uptime REAL NOT NULL,
            attempts INTEGER NOT NULL DEFAULT 0,
            answer TEXT NOT NULL,
            state TEXT NOT NULL DEFAULT 'waiting',
            failed_uptime REAL,
            is_delay_reported INTEGER NOT NULL DEFAULT 0,
            claimed_by TEXT,
            UNIQUE (mail, number)
        )""",
        """CREATE INDEX copies_due ON copies (due_uptime)
            WHERE state = 'waiting' AND claimed_by IS NULL""",
        "CREATE INDEX copies_claimed ON copies (claimed_by) WHERE claimed_by IS NOT NULL",
        "CREATE INDEX copies_failed ON copies (mail) WHERE state = 'failed'",
        "CREATE INDEX copies_by_age ON copies (kept_uptime) WHERE state = 'waiting'",
        """CREATE INDEX copies_unreported ON copies (kept_uptime)
            WHERE state = 'waiting' AND is_delay_reported = 0""",
        "CREATE INDEX copies_body ON copies (body)",
        """CREATE TRIGGER copy_kept AFTER INSERT ON copies BEGIN
            UPDATE totals SET copies = copies + 1;
        END""",
        """CREATE TRIGGER copy_gone AFTER DELETE ON copies BEGIN
            UPDATE totals SET copies = copies - 1;
            DELETE FROM bodies WHERE id = OLD.body
                AND NOT EXISTS (SELECT 1 FROM copies WHERE body = OLD.body);
        END""",
        """CREATE TRIGGER body_kept AFTER INSERT ON bodies BEGIN
            UPDATE totals SET bytes = bytes + NEW.bytes;
        END""",
        """CREATE TRIGGER body_gone AFTER DELETE ON bodies BEGIN
            UPDATE totals SET bytes = bytes - OLD.bytes;
            DELETE FROM pieces WHERE body = OLD.id;
        END""",
    ),
    name="spool",
    contents="mail",
    maker="the proxy makes it when it starts",
    error=SpoolError,
    errors={
        sqlite3.SQLITE_CORRUPT: SpoolDamagedError,
        sqlite3.SQLITE_NOTADB: SpoolDamagedError,
        sqlite3.SQLITE_FULL: SpoolFullError,
    },
)


class SpoolFile:
    """The file of one process; use it in one thread."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # A folder of its own, so that one rename moves the file together with its journal.
        self.path = folder / "queue" / "queue.sqlite"
        self._reserve = folder / "reserve"
        self._connection: sqlite3.Connection | None = None
        self._opened: tuple[int, int] | None = None

    @contextmanager
    def use(self) -> Iterator[sqlite3.Connection]:
        """Give the connection for one batch of work; open the file if need be.

        A damaged file is moved aside and another one begun: mail goes on, and what was kept is
        there for `sqlite3 FILE .recover`.

        Raises:
            SpoolError: the file can't be used; the text says what to do.
        """
        with explain_errors(self.path, SPOOL):
            connection = self._connection
            if connection is None or self._opened != identify_file(self.path):
                connection = self._open()
            # While a batch is written no process moves the file: what was committed into it
            # after that would be lost.
            with self._lock(fcntl.LOCK_SH):
                if self._opened != identify_file(self.path):
                    raise SpoolError(f"{self.path}: was moved while it was in use; try again")
                try:
                    yield connection
                except sqlite3.Error:
                    # After an I/O error a connection may stay broken.
                    self.close()
                    raise

    def close(self) -> None:
        """Close the connection; `use` opens it again."""
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    @property
    def has_reserve(self) -> bool:
        """Whether room is left to remove what is kept; only then may more be kept."""
        return self._reserve.exists() and self._may_grow()

    def take_reserve(self) -> bool:
        """Take the reserve if the disk has several times as much; return as `has_reserve` does.

        Raises:
            OSError: the folder can't be written, though there is room.
        """
        if not self._reserve.exists():
            disk = os.statvfs(self.folder)
            if disk.f_bavail * disk.f_frsize < _FREE_FOR_RESERVE:
                return False
            try:
                self._reserve.write_bytes(bytes(_RESERVE_BYTES))
            except OSError as error:
                if primary_code(error) != sqlite3.SQLITE_FULL:
                    raise
                self.give_reserve()  # a part of it is none: there is a quota, or others were first
                return False
        return self._may_grow()

    def _may_grow(self) -> bool:
        """Whether the process may make the file longer by the reserve (`ulimit -f`)."""
        limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
        if limit == resource.RLIM_INFINITY:
            return True
        return self.path.stat().st_size + _RESERVE_BYTES <= limit

    def give_reserve(self) -> None:
        """Give the reserve back to a disk that is full."""
        with suppress(OSError):
            self._reserve.unlink()

    def read(self) -> sqlite3.Connection:
        """Open another connection that only reads, for commands.

        Raises:
            SpoolError: there is no file, or it can't be read.
        """
        return open_database(self.path, SPOOL, _BUSY_TIMEOUT_SECONDS, read_only=True)

    def _make_folders(self) -> None:
        for folder in (self.folder, self.path.parent):
            with suppress(FileExistsError):
                folder.mkdir(_FOLDER_MODE)

    def _open(self) -> sqlite3.Connection:
        self.close()
        self._make_folders()
        with self._lock(fcntl.LOCK_EX):
            try:
                connection = self._open_checked()
            except SpoolDamagedError as damage:
                self._move_aside(damage)
                connection = self._open_checked()
            self._opened = identify_file(self.path)
        self._connection = connection
        return connection

    def _open_checked(self) -> sqlite3.Connection:
        connection = open_database(self.path, SPOOL, _BUSY_TIMEOUT_SECONDS)
        try:
            with explain_errors(self.path, SPOOL):
                (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        except SpoolError:
            connection.close()
            raise
        if verdict != "ok":
            connection.close()
            raise SpoolDamagedError(f"{self.path}: damaged: {verdict}")
        return connection

    def _move_aside(self, damage: SpoolDamagedError) -> None:
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        aside = self.folder / f"damaged-{stamp}-{os.getpid()}"
        self.path.parent.rename(aside)
        self._make_folders()
        log.error(
            "spool.damaged",
            why=str(damage),
            moved_to=str(aside),
            hint='mail in it is not sent; "sqlite3 queue.sqlite .recover" may save it',
        )

    @contextmanager
    def _lock(self, kind: int) -> Iterator[None]:
        descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, kind)
            yield
        finally:
            os.close(descriptor)
