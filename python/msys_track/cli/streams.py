"""Standard input and output as bytes: a mail is not text, and either end may be closed.

A stream that was closed before Python started is None.
"""

import os
import shutil
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO, Final, TextIO, cast

import click

from msys_track.cli.exits import CommandError
from msys_track.errors import describe_os_error

if TYPE_CHECKING:
    import io

_STANDARD: Final = (0, 1, 2)
_COLUMNS: Final = 80
_CHUNK_BYTES: Final = 65_536
_COLOURLESS: Final = ("dumb", "unknown")  # types of terminals, by TERM


def occupy() -> None:
    """Open the null device in place of each closed standard stream.

    Else the next socket gets its number: libuv aborts on that, and any code that writes to a
    standard stream writes to that socket.
    """
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    for number in _STANDARD:
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one


def columns() -> int:
    """Return the width of the terminal at standard output; 80 if it is not a terminal."""
    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    return shutil.get_terminal_size().columns if is_terminal else _COLUMNS


def has_colour(stream: TextIO | None) -> bool:
    """Return whether text for people on a stream has colours, and bold or dim letters.

    The rule is that of Python's own tracebacks: NO_COLOR forbids them (https://no-color.org), or
    else FORCE_COLOR wants them, in a pipe too (https://force-color.org); both count if they are
    not empty. Without these, a terminal has them unless its type says that it can't.
    """
    if stream is None or os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return os.environ.get("TERM") not in _COLOURLESS and stream.isatty()


def message() -> bytes:
    """Read standard input to its end.

    Raises:
        click.UsageError: it is closed or a terminal, so there is no message.
        CommandError: it can't be read.
    """
    return b"".join(chunks("message", "message.eml"))


def chunks(what: str, example: str) -> Iterator[bytes]:
    """Read standard input to its end, as much at a time as is there.

    Args:
        what: names what is expected, for people.
        example: the name of a file that holds one.

    Raises:
        click.UsageError: it is closed or a terminal, so there is nothing.
        CommandError: it can't be read.
    """
    if sys.stdin is None or sys.stdin.isatty():
        raise click.UsageError(f"no {what}: give one on standard input, as in < {example}")
    # What is there may be less than a chunk; a plain read would wait for all of it.
    buffer = cast("io.BufferedReader", sys.stdin.buffer)
    try:
        while chunk := buffer.read1(_CHUNK_BYTES):
            yield chunk
    except OSError as error:
        raise CommandError(f"msys-track: standard input: {describe_os_error(error)}") from error


def output() -> BinaryIO:
    """Return standard output.

    Raises:
        CommandError: standard output is closed.
    """
    if sys.stdout is None:
        raise CommandError("msys-track: standard output is closed")
    return sys.stdout.buffer
