"""How a command ends: one line for the person who called it and a code for the script that did.

A stack trace is for us; whoever runs a command gets what was wrong and what to do.
"""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import click

from msys_track.errors import SettingsError, TrackingError, describe_os_error


class Failure(click.ClickException):
    """The command was refused or failed: exit code 1."""

    exit_code = 1

    def show(self, file: Any = None) -> None:
        """Write the message to standard error, each line as it stands."""
        click.echo(self.format_message(), file=file, err=True)


class Misconfigured(Failure):
    """The command can't start as it is set up: exit code 2, as for wrong usage."""

    exit_code = 2


class Commands(click.Group):
    """A group whose commands end with one line where they fail for a known reason."""

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        """Read the command line; `--help` and `--version` write already here.

        Raises:
            Failure: standard output can't take it.
        """
        with _ending_in_one_line():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was asked for.

        Raises:
            Failure: a `TrackingError`, an operating system's refusal, a closed output.
        """
        with _ending_in_one_line():
            result = super().invoke(ctx)
            if sys.stdout is not None:  # as it is where it was closed before we started
                sys.stdout.flush()
            return result


@contextmanager
def _ending_in_one_line() -> Iterator[None]:
    try:
        yield
    except SettingsError as error:
        raise Misconfigured(str(error)) from error
    except TrackingError as error:
        raise Failure(f"msys-track: {error}") from error
    except OSError as error:
        if error.filename is not None:
            reason = f"{error.filename}: {describe_os_error(error)}"
            raise Failure(f"msys-track: {reason}") from error
        # Everything that is read or opened by a name has one: what is left is standard output.
        # Keep the interpreter from flushing, and failing on, what nobody reads any more.
        with suppress(OSError):  # not the interpreter's own, so nothing to keep it from
            devnull = os.open(os.devnull, os.O_WRONLY)
            os.dup2(devnull, sys.stdout.fileno())
            os.close(devnull)
        reason = f"standard output: {describe_os_error(error)}"
        if error.errno == errno.EPIPE:
            reason = "standard output was closed before everything was written"
        raise Failure(f"msys-track: {reason}") from error
