"""The event store as a file: its schema, how to open it safely, and what to do if that fails."""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from msys_track.errors import SinkError

# "msys" in the header of the file (SQLite file format 1.3): a store is known by it.
_APPLICATION_ID = 0x6D737973
_SCHEMA_VERSION = 1
_SCHEMA = (
    # sequence: the order of arrival; event: the JSON that a webhook would send.
    """CREATE TABLE events (
        sequence INTEGER PRIMARY KEY,
        event_id TEXT NOT NULL UNIQUE,
        event TEXT NOT NULL
    )""",
    f"PRAGMA application_id = {_APPLICATION_ID}",
    f"PRAGMA user_version = {_SCHEMA_VERSION}",
)

# It says who opened a mail, when and from where: only its owner may read it.
_FILE_MODE = 0o600

_ADVICE = {
    sqlite3.SQLITE_BUSY: "locked by another program; end it (a backup, an open sqlite3 shell?)",
    sqlite3.SQLITE_NOTADB: "not an SQLite file; move it away, or give the store another place",
    sqlite3.SQLITE_CORRUPT: 'damaged; move it away ("sqlite3 FILE .recover" may save its events)',
    sqlite3.SQLITE_FULL: "the disk is full; make room",
    sqlite3.SQLITE_READONLY: "this user can't write it; check its owner and mode",
}


def open_store(
    path: Path, busy_timeout_seconds: float, *, read_only: bool = False
) -> sqlite3.Connection:
    """Open a store; make it if it does not exist and is to be written.

    Raises:
        SinkError: the file can't be used; the text says what to do.
    """
    if read_only and not path.exists():
        raise SinkError(f"{path}: no such event store; the tracker makes it when it starts")
    with explain_errors(path):
        if not read_only:
            # SQLite gives its -wal and -shm files the mode of this one. Only a new file is opened
            # here: closing one that SQLite has open in this process drops its locks ("How To
            # Corrupt An SQLite Database File", section 2.2).
            with suppress(FileExistsError):
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, _FILE_MODE))
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rw'}",
            uri=True,
            timeout=busy_timeout_seconds,
            isolation_level=None,
        )
        try:
            if not read_only and _is_empty(connection):
                _switch_to_wal(connection, busy_timeout_seconds)
                with transaction(connection):
                    # Another process may have been first.
                    if _is_empty(connection):
                        for statement in _SCHEMA:
                            connection.execute(statement)
            _check_is_ours(connection, path)
            connection.execute("PRAGMA synchronous = FULL")
        except BaseException:
            connection.close()
            raise
    return connection


def _switch_to_wal(connection: sqlite3.Connection, timeout_seconds: float) -> None:
    # SQLite does not wait by itself where two processes switch at once.
    deadline = time.monotonic() + timeout_seconds
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            is_busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not is_busy or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Write all or nothing; the lock is taken first, so that no statement meets a busy file."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


@contextmanager
def explain_errors(path: Path) -> Iterator[None]:
    """Say what is wrong with the file, and what to do, to the person who chose it.

    Raises:
        SinkError: in place of an error of SQLite or of the system.
    """
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        # The low byte is the primary code (SQLite result codes, section 3).
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if not path.parent.is_dir():
            missing = f"the folder {path.parent} does not exist"
            advice = f"{missing}; make it, or give the store another place"
        elif path.is_dir():
            advice = "is a folder; give the store a file name"
        else:
            advice = _ADVICE.get(code, f"{error}; can this user write the file and its folder?")
        raise SinkError(f"{path}: {advice}") from error


def _is_empty(connection: sqlite3.Connection) -> bool:
    return not _read_pragma(connection, "application_id") and not _read_pragma(
        connection, "schema_version"
    )


def _check_is_ours(connection: sqlite3.Connection, path: Path) -> None:
    if _read_pragma(connection, "application_id") != _APPLICATION_ID:
        raise SinkError(f"{path}: another program's database; give the store another place")
    version = _read_pragma(connection, "user_version")
    if version != _SCHEMA_VERSION:
        raise SinkError(
            f"{path}: schema version {version}, this msys-track knows {_SCHEMA_VERSION}; "
            "use the release that wrote it, or give the store another place"
        )


def _read_pragma(connection: sqlite3.Connection, name: str) -> int:
    (value,) = connection.execute(f"PRAGMA {name}").fetchone()
    return int(value)
