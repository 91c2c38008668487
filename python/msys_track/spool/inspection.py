"""What an owner looks at and changes in a spool, while the proxy runs or not."""

import re
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from sqlite3 import Connection
from typing import Final

from msys_track.databases import explain_errors, transaction
from msys_track.errors import SpoolError
from msys_track.smtp import data
from msys_track.spool import queue, worker
from msys_track.spool.clock import Clock
from msys_track.spool.copy import KeptCopy
from msys_track.spool.file import SPOOL, SpoolFile

_NAME: Final = re.compile(r"([0-9A-Z]+)(?:\.([0-9]{1,9}))?", re.IGNORECASE)
_ROWS_PER_READ: Final = 500


def list_copies(folder: Path) -> Iterator[KeptCopy]:
    """Yield every copy, the oldest first.

    Raises:
        SpoolError: there is no spool, or it can't be read.
    """
    file, last = SpoolFile(folder), 0
    with closing(file.read()) as connection:
        while True:
            # In pages: writers wait for a read to end.
            with explain_errors(file.path, SPOOL):
                page = queue.read_copies(connection, "id > ?", last, limit=_ROWS_PER_READ)
            if not page:
                return
            yield from page
            last = page[-1].id


def find_copies(folder: Path, name: str) -> list[KeptCopy]:
    """Find the copies of a queue id, or one of them.

    Raises:
        SpoolError: there is none by this name, or the spool can't be read.
    """
    file = SpoolFile(folder)
    with closing(file.read()) as connection, explain_errors(file.path, SPOOL):
        return _select(connection, name)


def read_message(folder: Path, copy: KeptCopy) -> bytes:
    """Return the message of a copy, without SMTP's dots.

    Raises:
        SpoolError: it has been sent meanwhile, or the spool can't be read.
    """
    file = SpoolFile(folder)
    with closing(file.read()) as connection, explain_errors(file.path, SPOOL):
        wire = queue.read_body(connection, copy.body)
    end = data.find_end_of_data(wire, 0)
    if end is None:
        raise SpoolError(f"{copy.name}: is no longer in the spool")
    return data.unstuff(wire[:end])


def make_due(folder: Path, names: Sequence[str], clock: Clock | None = None) -> int:
    """Make copies due now, all where no name is given; return how many.

    Raises:
        SpoolError: there is none by a name, or the spool can't be written.
    """
    now = (clock or Clock.of_machine()).uptime()
    with _change(folder) as connection:
        copies = [copy for name in names for copy in _select(connection, name)]
        if not names:
            copies = queue.read_copies(connection, "true")
        waiting = [copy for copy in copies if copy.state == "waiting"]
        connection.executemany(
            "UPDATE copies SET due_uptime = ? WHERE id = ?", ((now, copy.id) for copy in waiting)
        )
    return len(waiting)


def remove_copies(folder: Path, names: Sequence[str]) -> int:
    """Remove copies without a report; return how many.

    Raises:
        SpoolError: there is none by a name, one is being sent, or the spool can't be written.
    """
    with _change(folder) as connection:
        copies = [copy for name in names for copy in _select(connection, name)]
        for copy in copies:
            if copy.claimed_by is not None and worker.is_alive(folder, copy.claimed_by):
                raise SpoolError(f"{copy.name}: is being sent; try again when that has ended")
            queue.remove(connection, copy)
    return len(copies)


@contextmanager
def _change(folder: Path) -> Iterator[Connection]:
    """Open the spool's file for one transaction; never makes one."""
    file = SpoolFile(folder)
    file.read().close()
    try:
        with file.use() as connection, transaction(connection):
            yield connection
    finally:
        file.close()


def _select(connection: Connection, name: str) -> list[KeptCopy]:
    found = _NAME.fullmatch(name)
    copies: list[KeptCopy] = []
    if found is not None:
        copies = queue.read_copies(connection, "mail = ?", found[1].upper())
        if found[2] is not None:
            copies = [copy for copy in copies if copy.number == int(found[2])]
    if not copies:
        raise SpoolError(
            f"{name}: no such mail or copy in the spool; `msys-track spool list` shows those "
            "that are there"
        )
    return copies
