"""How a command ends: one line for the person who called it and a code for the script that did.

Stack traces are for developers; the line says what was wrong and what to do.
"""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import click

from msys_track.errors import SettingsError, TrackingError, describe_os_error


class CommandError(click.ClickException):
    """The command was refused or failed: exit code 1."""

    exit_code = 1

    def show(self, file: Any = None) -> None:
        """Write the message to standard error, each line unchanged."""
        click.echo(self.format_message(), file=file, err=True)


class MisconfiguredError(CommandError):
    """The command can't start as it is set up: exit code 2, as for wrong usage."""

    exit_code = 2


class Commands(click.Group):
    """A group whose commands end with one line if they fail for a known reason."""

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        """Read the command line; `--help` and `--version` already print here.

        Raises:
            CommandError: standard output can't be written.
        """
        with _end_in_one_line():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was named.

        Raises:
            CommandError: a `TrackingError`, an error of the operating system, a closed output.
        """
        with _end_in_one_line():
            result = super().invoke(ctx)
            if sys.stdout is not None:  # None if it was closed before we started
                sys.stdout.flush()
            return result


@contextmanager
def _end_in_one_line() -> Iterator[None]:
    try:
        yield
    except SettingsError as error:
        raise MisconfiguredError(str(error)) from error
    except TrackingError as error:
        raise CommandError(f"msys-track: {error}") from error
    except OSError as error:
        if error.filename is not None:
            reason = f"{error.filename}: {describe_os_error(error)}"
            raise CommandError(f"msys-track: {reason}") from error
        # An error without a file name is about standard output. At exit the interpreter would #
        # flush into the closed output, and fail again.
        with suppress(OSError):  # a replaced stream may have no number
            devnull = os.open(os.devnull, os.O_WRONLY)
            os.dup2(devnull, sys.stdout.fileno())
            os.close(devnull)
        reason = f"standard output: {describe_os_error(error)}"
        if error.errno == errno.EPIPE:
            reason = "standard output was closed before everything was written"
        raise CommandError(f"msys-track: {reason}") from error
