"""SQLite files of ours: opened safely, written durably, and explained where they can't be used."""

import errno
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from msys_track.errors import TrackingError, describe_os_error

# Such a file says who reads which mail, or holds it: only its owner may read it.
_FILE_MODE = 0o600


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """What one kind of file holds, and the words and errors that speak of it."""

    application_id: int
    """Stands in the header of the file (SQLite file format, section 1.3): it is known by it."""
    version: int
    statements: tuple[str, ...]
    """Make the tables."""
    first_pragmas: tuple[str, ...] = ()
    """Are carried out once, before there is a table."""
    has_log: bool = True
    """Whether a write-ahead log lets readers and a writer go on beside each other."""
    pragmas: tuple[str, ...] = ()
    """Are carried out each time it is opened to be written."""
    name: str
    """What it is, in one word."""
    contents: str
    maker: str
    """Who makes it, and when."""
    error: type[TrackingError]
    earlier: str = ""
    """What to do with a file of an earlier version; empty: what one does with a later one."""
    errors: Mapping[int, type[TrackingError]] = field(default_factory=dict)
    """Errors in place of `error`, by the primary code of SQLite's."""

    def advise(self, code: int) -> str | None:
        """Say what an error of SQLite means here and what to do; None for a rare one."""
        return {
            sqlite3.SQLITE_BUSY: "locked by another program; end it "
            "(a backup, an open sqlite3 shell?)",
            sqlite3.SQLITE_NOTADB: "not an SQLite file; move it away, "
            f"or give the {self.name} another place",
            sqlite3.SQLITE_CORRUPT: 'damaged; move it away ("sqlite3 FILE .recover" may save '
            f"its {self.contents})",
            sqlite3.SQLITE_FULL: "the disk is full; make room",
            sqlite3.SQLITE_READONLY: "this user can't write it; check its owner and mode",
        }.get(code)


def open_database(
    path: Path, form: Form, busy_timeout_seconds: float, *, read_only: bool = False
) -> sqlite3.Connection:
    """Open a file of this form; make it if it does not exist and is to be written.

    `synchronous = FULL`: what was committed survives a power cut.

    Raises:
        TrackingError: `form.error`, the file can't be used; the text says what to do.
    """
    if read_only and not path.exists():
        raise form.error(f"{path}: no such {form.name}; {form.maker}")
    with explain_errors(path, form):
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
            # Whoever ends a program closes what another thread has read with.
            check_same_thread=not read_only,
        )
        try:
            if not read_only and _is_empty(connection):
                _make_tables(connection, form, busy_timeout_seconds)
            _check_is_ours(connection, path, form)
            for pragma in () if read_only else ("PRAGMA synchronous = FULL", *form.pragmas):
                connection.execute(pragma)
        except BaseException:
            connection.close()
            raise
    return connection


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
def explain_errors(path: Path, form: Form) -> Iterator[None]:
    """Say what is wrong with the file, and what to do, to the person who chose it.

    Raises:
        TrackingError: an error of the form, in place of one of SQLite or of the system.
    """
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        code = primary_code(error)
        try:
            advice = _advise_on_place(path, form) or form.advise(code)
        except OSError as denied:  # it can't even be looked at
            advice = describe_os_error(denied)
        advice = advice or f"{error}; can this user write the file and its folder?"
        raise form.errors.get(code, form.error)(f"{path}: {advice}") from error


def _advise_on_place(path: Path, form: Form) -> str:
    if not path.parent.is_dir():
        missing = f"the folder {path.parent} does not exist"
        return f"{missing}; make it, or give the {form.name} another place"
    return f"is a folder; give the {form.name} a file name" if path.is_dir() else ""


def primary_code(error: sqlite3.Error | OSError) -> int:
    """Return the primary code of an error of SQLite (its "Result and Error Codes", section 3)."""
    if isinstance(error, OSError):
        return sqlite3.SQLITE_FULL if error.errno in {errno.ENOSPC, errno.EDQUOT} else 0
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def identify_file(path: Path) -> tuple[int, int] | None:
    """Return what stays the same while a file is the same; None if it can't be had."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _make_tables(connection: sqlite3.Connection, form: Form, timeout_seconds: float) -> None:
    for pragma in form.first_pragmas:
        connection.execute(pragma)
    if form.has_log:
        _switch_to_wal(connection, timeout_seconds)
    with transaction(connection):
        # Another process may have been first.
        if not _is_empty(connection):
            return
        for statement in form.statements:
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {form.application_id}")
        connection.execute(f"PRAGMA user_version = {form.version}")


def _switch_to_wal(connection: sqlite3.Connection, timeout_seconds: float) -> None:
    # SQLite does not wait by itself where two processes switch at once.
    deadline = time.monotonic() + timeout_seconds
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if primary_code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _is_empty(connection: sqlite3.Connection) -> bool:
    return not _read_pragma(connection, "application_id") and not _read_pragma(
        connection, "schema_version"
    )


def _check_is_ours(connection: sqlite3.Connection, path: Path, form: Form) -> None:
    place = f"give the {form.name} another place"
    if _read_pragma(connection, "application_id") != form.application_id:
        raise form.error(f"{path}: another program's database; {place}")
    version = _read_pragma(connection, "user_version")
    if version != form.version:
        advice = f"use the release that wrote it, or {place}"
        if version < form.version:
            advice = form.earlier or advice
        raise form.error(
            f"{path}: schema version {version}, this msys-track knows {form.version}; {advice}"
        )


def _read_pragma(connection: sqlite3.Connection, name: str) -> int:
    (value,) = connection.execute(f"PRAGMA {name}").fetchone()
    return int(value)
