"""TOML as text: around a broken line the rest is still read, so that one run finds all faults."""

import re
import tomllib
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from msys_track.config.document import KeyPath
from msys_track.config.problems import Problem
from msys_track.config.toml import repair
from msys_track.config.toml.statements import Line

_MAX_REPAIRS: Final = 100
_PLACE: Final = re.compile(
    r" \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)$"
)


class Parsed(NamedTuple):
    """What could be read; `text` lacks the lines that could not."""

    text: str
    members: dict[str, object]
    problems: tuple[Problem, ...]
    numbers: tuple[int, ...]
    """For each line of `text` the line of the file that it comes from."""
    unread: frozenset[KeyPath]
    """Keys and tables of the lines that could not be read."""


def parsed(text: str) -> Parsed:
    """Parse TOML, and go on without the lines that are none."""
    lines = [
        Line(number, written)
        for number, written in enumerate(text.replace("\r\n", "\n").split("\n"), start=1)
    ]
    problems: dict[int, Problem] = {}
    unread: set[KeyPath] = set()
    for _ in range(_MAX_REPAIRS):
        fault = _fault(lines)
        if fault is None:
            break
        repaired = repair.around(fault, lines)
        # What a repair brings to light on a line that is told already only follows from it.
        problems.setdefault(repaired.problem.line, repaired.problem)
        unread |= repaired.unread
        lines = repaired.lines
    else:
        lines = []
    return Parsed(
        text="\n".join(line.text for line in lines),
        members=_members(lines),
        problems=tuple(problems.values()),
        numbers=tuple(line.number for line in lines) or (1,),
        unread=frozenset(unread),
    )


def _members(lines: Sequence[Line]) -> dict[str, object]:
    return tomllib.loads("\n".join(line.text for line in lines))


def _fault(lines: Sequence[Line]) -> repair.Fault | None:
    try:
        _members(lines)
    except tomllib.TOMLDecodeError as error:
        return _located(str(error), lines)
    except RecursionError:
        return repair.Fault(_first_failing(lines), None, "nested too deeply")
    except ValueError:  # int() refuses thousands of digits
        return repair.Fault(_first_failing(lines), None, "number too long")
    return None


def _located(message: str, lines: Sequence[Line]) -> repair.Fault:
    place = _PLACE.search(message)
    what = message if place is None else message[: place.start()]
    if place is None or place["line"] is None:
        return repair.Fault(_last_written(lines), None, what)
    return repair.Fault(int(place["line"]) - 1, int(place["column"]), what)


def _first_failing(lines: Sequence[Line]) -> int:
    return next(_failing(lines), 0)


def _failing(lines: Sequence[Line]) -> Iterator[int]:
    for at in range(len(lines)):
        try:
            _members(lines[: at + 1])
        except tomllib.TOMLDecodeError:
            continue
        except (RecursionError, ValueError):
            yield at


def _last_written(lines: Sequence[Line]) -> int:
    written = (at for at in range(len(lines) - 1, -1, -1) if lines[at].text.strip())
    return next(written, 0)
