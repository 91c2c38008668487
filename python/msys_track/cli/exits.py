"""How a command ends: one line for the person who called it and a code for the script that did.

A stack trace is for us; whoever runs a command gets what was wrong and what to do.
"""

import errno
import os
import sys
from typing import Any

import click

from msys_track.errors import SettingsError, TrackingError


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

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was asked for.

        Raises:
            Failure: a `TrackingError`, an operating system's refusal, a closed output.
        """
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except SettingsError as error:
            raise Misconfigured(str(error)) from error
        except TrackingError as error:
            raise Failure(f"msys-track: {error}") from error
        except OSError as error:
            raise Failure(f"msys-track: {_said(error)}") from error
        return result


def _said(error: OSError) -> str:
    if error.errno == errno.EPIPE:
        _stop_writing()
        return "standard output was closed before everything was written"
    what = error.strerror or str(error)
    return f"{error.filename}: {what}" if error.filename else what


def _stop_writing() -> None:
    """Keep the interpreter from flushing, and failing on, what nobody reads any more."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stdout.fileno())
    os.close(devnull)
