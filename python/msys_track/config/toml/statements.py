"""Lines of a TOML text that may be none: where its statements begin and end, and their names.

Only a parser knows for sure, and it gives up at the first fault. These are the guesses that let
`repair` go on behind it.
"""

import re
import tomllib
from bisect import bisect_left
from collections.abc import Sequence
from typing import Final, NamedTuple

from msys_track.config.document import KeyPath

_NAME: Final = r"(?:[\w-]+|\"[^\"\n]*\"|'[^'\n]*')"
_KEY_LINE: Final = re.compile(rf"\s*(?P<key>{_NAME}(?:\s*\.\s*{_NAME})*)\s*=")
_HEADER: Final = re.compile(r"\s*\[{1,2}\s*[\w\"'-][^,]*$")
_HEADER_WITHOUT_BRACKET: Final = re.compile(
    rf"\s*[A-Za-z_][\w-]*(?:\s*\.\s*{_NAME})*\s*\]\s*(?:#.*)?$"
)


class Line(NamedTuple):
    """A line and its number in the file."""

    number: int
    text: str


def begin_of(at: int, lines: Sequence[Line]) -> int:
    """Find the line in which the statement begins that a line belongs to.

    All was well before that statement, and nothing is from it on: a bisection finds it.
    """
    if is_toml(lines[:at]):
        return at
    starts = [here for here in range(at) if is_statement(lines[here].text)]
    broken = bisect_left(starts, 1, key=lambda here: not is_toml(lines[:here]))
    return starts[broken - 1] if broken else at


def end_of(begin: int, lines: Sequence[Line]) -> int:
    """Find the line after a statement's last: where the next one seems to begin."""
    below = range(begin + 1, len(lines))
    return next((at for at in below if is_statement(lines[at].text)), len(lines))


def section_end(begin: int, lines: Sequence[Line]) -> int:
    """Find the line after a table's last: where the next table seems to begin."""
    below = range(begin + 1, len(lines))
    return next((at for at in below if is_header(lines[at].text)), len(lines))


def table_around(at: int, lines: Sequence[Line]) -> KeyPath:
    """Read the names of the table that a line stands in."""
    above = (header_path(lines[here].text) for here in range(at - 1, -1, -1))
    return next((path for path in above if path is not None), ())


def is_statement(text: str) -> bool:
    """Whether a line looks as if a key or a table began in it."""
    return _KEY_LINE.match(text) is not None or is_header(text)


def is_header(text: str) -> bool:
    """Whether a line looks like a table's header, one of its brackets missing perhaps."""
    return _HEADER.match(text) is not None or _HEADER_WITHOUT_BRACKET.match(text) is not None


def is_toml(lines: Sequence[Line]) -> bool:
    """Whether lines are TOML."""
    try:
        tomllib.loads("\n".join(line.text for line in lines))
    except (ValueError, RecursionError):
        return False
    return True


def header_path(text: str) -> KeyPath | None:
    """Read the names of a header; None where it is no header."""
    if not text.lstrip().startswith("["):
        return None
    try:
        table: object = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return None
    names: list[str] = []
    while isinstance(table, dict) and table:
        ((name, table),) = table.items()
        names.append(name)
        table = table[0] if isinstance(table, list) and table else table
    return tuple(names)


def key_of(text: str) -> str:
    """Give the key that a line sets, as it is written; empty where it sets none."""
    match = _KEY_LINE.match(text)
    return match["key"] if match else ""


def names_of(key: str) -> KeyPath:
    """Read the names of a key as it is written."""
    if not key:
        return ()
    try:
        table: object = tomllib.loads(f"{key} = 0")
    except tomllib.TOMLDecodeError:
        return (key,)
    names: list[str] = []
    while isinstance(table, dict):
        ((name, table),) = table.items()
        names.append(name)
    return tuple(names)
