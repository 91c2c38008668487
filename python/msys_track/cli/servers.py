"""What the commands of servers have in common; they run until they are stopped.

All settings are checked before a port is opened.
"""

import os
import select
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from msys_track.cli.exits import CommandError, MisconfiguredError
from msys_track.config.configuration import Configuration
from msys_track.errors import SettingsError

_STDOUT: Final = 1


def announce(line: str) -> None:
    """Print where a server listens, which its log says too.

    A full disk, and a reader that is gone or slow, are no reason to end or to wait.
    """
    output = select.poll()
    output.register(_STDOUT, select.POLLOUT)
    # Past Python's buffer, which would keep the line and fail again when the command ends.
    with suppress(OSError):
        if output.poll(0):
            os.write(_STDOUT, f"{line}\n".encode())


def make_missing_table_error(table: str, read: Configuration) -> MisconfiguredError:
    """Make the error that there is nothing to start, as a configuration lacks a table."""
    needed = {"proxy": "upstream", "tracker": "store"}
    hint = read.document.hints.get((table, needed.get(table, "")))
    why = f"nothing to start; {hint}" if hint else f"no [{table}] table: nothing to start"
    return MisconfiguredError(f"{read.path}: {why}")


@contextmanager
def blame_machine() -> Iterator[None]:
    """End with 1: the configuration is good, the fault is in the state of the machine."""
    try:
        yield
    except SettingsError as error:
        raise CommandError(f"msys-track: {error}") from error
