"""How a command ends: one line for the person who called it and a code for the script that did.

Stack traces are for developers; the line says what was wrong and what to do.
"""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import IntEnum
from typing import Any, Final

import click

from msys_track.errors import (
    MissingExtraError,
    SettingsError,
    TrackingError,
    describe_os_error,
)


class ExitCode(IntEnum):
    """How a command ended, for the script that called it: the same in every command."""

    DONE = 0
    FAILED = 1
    MISUSED = 2

    @property
    def meaning(self) -> str:
        """What the code says, for the manual."""
        return _MEANINGS[self]


_MEANINGS: Final = {
    ExitCode.DONE: "Done. A server was stopped, and lost nothing.",
    ExitCode.FAILED: "Refused or failed: a fault was found, a file or a server can't be used, "
    "output can't be written, Ctrl-C. Standard error says what to do.",
    ExitCode.MISUSED: "Wrong usage, a faulty configuration, or an extra that is not installed. "
    "Nothing was begun; the same call ends so again.",
}


class CommandError(click.ClickException):
    """The command was refused or failed."""

    exit_code = ExitCode.FAILED

    def show(self, file: Any = None) -> None:
        """Write the message to standard error, each line unchanged."""
        click.echo(self.format_message(), file=file, err=True)


class MisconfiguredError(CommandError):
    """The command can't start as it is set up."""

    exit_code = ExitCode.MISUSED


@contextmanager
def end_in_one_line() -> Iterator[None]:
    """Make errors that are known `CommandError`: of ours, of the system, of a closed output."""
    try:
        yield
    except MissingExtraError as error:
        raise MisconfiguredError(f"msys-track: {error}") from error
    except SettingsError as error:
        raise MisconfiguredError(str(error)) from error
    except TrackingError as error:
        raise CommandError(f"msys-track: {error}") from error
    except OSError as error:
        if error.filename is not None:
            reason = f"{error.filename}: {describe_os_error(error)}"
            raise CommandError(f"msys-track: {reason}") from error
        # An error without a file name is about standard output. At exit the interpreter would
        # flush into the closed output, and fail again.
        with suppress(OSError):  # a replaced stream may have no number
            devnull = os.open(os.devnull, os.O_WRONLY)
            os.dup2(devnull, sys.stdout.fileno())
            os.close(devnull)
        reason = f"standard output: {describe_os_error(error)}"
        if error.errno == errno.EPIPE:
            reason = "standard output was closed before everything was written"
        raise CommandError(f"msys-track: {reason}") from error
