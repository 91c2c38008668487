"""Standard input and output as bytes: a mail is no text, and either end may be closed.

Python has None for a stream that was closed before it started.
"""

import os
import shutil
import sys
from typing import BinaryIO, Final

import click

from msys_track.cli.exits import Failure
from msys_track.errors import describe_os_error

_STANDARD: Final = (0, 1, 2)
_COLUMNS: Final = 80


def occupy() -> None:
    """Put the null device where a standard stream is closed.

    Else the next socket gets its number: libuv aborts on that, and what is written to a standard
    stream, by whatever code, goes to that socket.
    """
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    for number in _STANDARD:
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one


def columns() -> int:
    """Return how wide a terminal standard output is; 80 where it is none."""
    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    return shutil.get_terminal_size().columns if is_terminal else _COLUMNS


def message() -> bytes:
    """Read standard input to its end.

    Raises:
        click.UsageError: it is closed or a terminal, so nobody has given a message.
        Failure: it can't be read.
    """
    if sys.stdin is None or sys.stdin.isatty():
        raise click.UsageError("no message: give one on standard input, as in < message.eml")
    try:
        return sys.stdin.buffer.read()
    except OSError as error:
        raise Failure(f"msys-track: standard input: {describe_os_error(error)}") from error


def output() -> BinaryIO:
    """Return standard output.

    Raises:
        Failure: it is closed, so nobody wants what would be written.
    """
    if sys.stdout is None:
        raise Failure("msys-track: standard output is closed")
    return sys.stdout.buffer
