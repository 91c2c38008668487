"""TOML as text: around a broken line the rest is still read, so that one run finds all faults."""

import re
import tomllib
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from msys_track.config.problems import Problem

_MAX_PROBLEMS: Final = 100
_PLACE: Final = re.compile(
    r" \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)$"
)
_KEY_LINE: Final = re.compile(r"\s*(?P<key>[\w.\"'-]+)\s*=")
_HINTS: Final = {
    "Invalid value": "no value; a text needs quotes",
    "Expected newline or end of document after a statement": (
        "something after the value; a text needs quotes"
    ),
    "Illegal character '\\n'": "a quote is missing",
    "Cannot overwrite a value": "set a second time; keep one",
}


class Parsed(NamedTuple):
    """What could be read; `text` lacks the lines that could not."""

    text: str
    members: dict[str, object]
    problems: tuple[Problem, ...]


class _Fault(ValueError):  # noqa: N818 - never leaves this module
    def __init__(self, line: int, what: str) -> None:
        super().__init__(what)
        self.line = line
        self.what = what


def parsed(text: str) -> Parsed:
    """Parse TOML; a broken `key = …` line is left out, a worse fault ends the reading there."""
    lines = text.replace("\r\n", "\n").split("\n")
    problems: list[Problem] = []
    while True:
        try:
            members = _members(lines)
        except _Fault as fault:
            if not _follows(problems, fault, lines):
                problems.append(_problem(fault, lines))
            lines = _without(fault.line, lines) if len(problems) < _MAX_PROBLEMS else []
        else:
            return Parsed("\n".join(lines), members, tuple(problems))


def _members(lines: Sequence[str]) -> dict[str, object]:
    try:
        return tomllib.loads("\n".join(lines))
    except tomllib.TOMLDecodeError as error:
        raise _located(str(error), lines) from None
    except RecursionError:
        raise _Fault(_first_failing(lines), "nested too deeply") from None
    except ValueError:  # int() refuses thousands of digits
        raise _Fault(_first_failing(lines), "number too long") from None


def _located(message: str, lines: Sequence[str]) -> _Fault:
    place = _PLACE.search(message)
    what = message if place is None else message[: place.start()]
    what = _HINTS.get(what, what)
    if place is None or place["line"] is None:
        return _Fault(_last_written(lines), what)
    return _Fault(int(place["line"]), f"column {place['column']}: {what}")


def _problem(fault: _Fault, lines: Sequence[str]) -> Problem:
    key = _KEY_LINE.match(lines[fault.line - 1])
    rest = "" if key else "; what follows was not checked"
    return Problem(
        line=fault.line, key=key["key"] if key else "", text=f"not TOML: {fault.what}{rest}"
    )


def _without(number: int, lines: list[str]) -> list[str]:
    before = lines[: number - 1]
    if not _is_toml(before):
        return []
    if _KEY_LINE.match(lines[number - 1]):
        return [*before, "", *lines[number:]]
    return before


def _follows(problems: Sequence[Problem], fault: _Fault, lines: Sequence[str]) -> bool:
    """Tell whether the fault only shows the rest of a value whose first line was left out."""
    if not problems or fault.line != problems[-1].line + 1:
        return False
    line = lines[fault.line - 1]
    return not _KEY_LINE.match(line) and not re.match(r"\s*\[+\s*[\w\"']", line)


def _is_toml(lines: Sequence[str]) -> bool:
    try:
        _members(lines)
    except _Fault:
        return False
    return True


def _first_failing(lines: Sequence[str]) -> int:
    return next(_failing(lines), 1)


def _failing(lines: Sequence[str]) -> Iterator[int]:
    for number in range(1, len(lines) + 1):
        try:
            tomllib.loads("\n".join(lines[:number]))
        except tomllib.TOMLDecodeError:
            continue
        except (RecursionError, ValueError):
            yield number


def _last_written(lines: Sequence[str]) -> int:
    written = (number for number in range(len(lines), 0, -1) if lines[number - 1].strip())
    return next(written, 1)
