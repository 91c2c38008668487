"""Adds the events of a file to a store, which a sink may fill meanwhile."""

import gzip
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final, cast

from msys_track.databases import explain_errors, open_database, transaction
from msys_track.errors import SinkError, describe_os_error
from msys_track.sinks.store.form import FORM
from msys_track.sinks.store.sink import insert

_BUSY_TIMEOUT_SECONDS: Final = 5.0
_EVENTS_A_STEP: Final = 2_000
_SQLITE: Final = b"SQLite format 3\0"
_GZIP: Final = b"\x1f\x8b"


def import_events(source: Path, store: Path, note: Callable[[int], None]) -> int:
    """Add events in their order, those that are there already left out; return how many.

    Args:
        source: Lines of JSON, plain or compressed, or a store of this or an earlier release.
        store: It is made if it does not exist.
        note: Called with the number of bytes that were read since the last call, about.

    Raises:
        SinkError: one of the two can't be used; the text says what to do.
    """
    added = 0
    with closing(open_database(store, FORM, _BUSY_TIMEOUT_SECONDS)) as connection:
        lines = _read_lines(source)
        while batch := list(islice(lines, _EVENTS_A_STEP)):
            with explain_errors(store, FORM), transaction(connection):
                added += insert(connection, batch, int(time.time()))
            note(sum(map(len, batch)))
    return added


def _read_lines(source: Path) -> Iterator[bytes]:
    try:
        with source.open("rb") as file:
            start = file.read(len(_SQLITE))
            if start == _SQLITE:
                yield from _read_store(source)
                return
            file.seek(0)
            is_compressed = start.startswith(_GZIP)
            lines = cast("BinaryIO", gzip.GzipFile(fileobj=file)) if is_compressed else file
            yield from filter(None, (line.rstrip(b"\n") for line in lines))
    except (OSError, EOFError) as error:
        reason = describe_os_error(error) if isinstance(error, OSError) else "it is cut off"
        raise SinkError(f"{source}: can't be read: {reason}") from error


def _read_store(source: Path) -> Iterator[bytes]:
    """Read a store of any release: each has had this table, sequence and JSON."""
    uri = f"{source.absolute().as_uri()}?mode=ro"
    last = 0
    with explain_errors(source, FORM), closing(sqlite3.connect(uri, uri=True)) as connection:
        connection.text_factory = bytes
        while page := connection.execute(
            "SELECT sequence, event FROM events WHERE sequence > ? ORDER BY sequence LIMIT ?",
            (last, _EVENTS_A_STEP),
        ).fetchall():
            yield from (event for _, event in page)
            last = page[-1][0]
