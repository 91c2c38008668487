"""Around one fault of a TOML text: which line is to blame, and the lines without it.

`tomllib` tells where it could not go on. That is the right line for most faults, but a bracket
that is missing shows only where the next key begins, and a table that stands there twice hides
all that follows it.
"""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from msys_track.config.document import KeyPath, dotted
from msys_track.config.problems import Problem
from msys_track.config.toml import statements
from msys_track.config.toml.statements import Line

_WORD: Final = re.compile(r"\s*([\w-]+)")
_OPENS: Final = ("[", "{", '"""', "'''")
_HINTS: Final = {
    "Invalid value": "no value; a text needs quotes",
    "Expected newline or end of document after a statement": (
        "something after the value; a text needs quotes"
    ),
    "Illegal character '\\n'": "a quote is missing",
    "Cannot overwrite a value": "set a second time; keep one",
    "Unclosed array": "a comma or ] is missing",
}


class Fault(NamedTuple):
    """Where the parser could not go on: the index of a line, a column from 1, and why."""

    at: int
    column: int | None
    what: str


class Repaired(NamedTuple):
    """What to tell, and what is left to be read."""

    problem: Problem
    lines: list[Line]
    unread: frozenset[KeyPath] = frozenset()


def around(fault: Fault, lines: list[Line]) -> Repaired:
    """Find the line that is to blame, and what can be read without it."""
    begin = statements.begin_of(fault.at, lines)
    if statements.is_header(lines[begin].text):
        return _header(begin, fault, lines)
    end = statements.end_of(begin, lines)
    if fault.at > begin and "overwrite" not in fault.what:
        return _inside(begin, end, fault, lines)
    if fault.at == begin and not any(mark in lines[begin].text for mark in _OPENS):
        end = begin + 1
    return _without(begin, end, lines, _told(fault, lines[begin].text))


def _inside(begin: int, end: int, fault: Fault, lines: list[Line]) -> Repaired:
    """Judge a fault after the first line of a value: an item's, or the value does not end."""
    at, column = fault.at, fault.column
    if column is None or at >= end:
        return _without(
            begin, end, lines, "not TOML: the value does not end; ] or a quote is missing"
        )
    text, key = lines[at].text, statements.key_of(lines[begin].text)
    if "Unclosed" not in fault.what:
        told = _problem(lines[at], key, _told(fault, text))
        return Repaired(told, _changed(lines, at, ""))
    # A comma is missing, most likely at the end of the line before.
    with_comma = _changed(lines, at, f"{text[: column - 1]},{text[column - 1 :]}")
    if text[: column - 1].strip():
        return Repaired(_problem(lines[at], key, _told(fault, text)), with_comma)
    before = next((here for here in range(at - 1, begin, -1) if lines[here].text.strip()), begin)
    return Repaired(_problem(lines[before], key, _told(fault, "")), with_comma)


def _changed(lines: list[Line], at: int, text: str) -> list[Line]:
    return [*lines[:at], Line(lines[at].number, text), *lines[at + 1 :]]


def _without(begin: int, end: int, lines: list[Line], what: str) -> Repaired:
    line = lines[begin]
    name = statements.names_of(statements.key_of(line.text)) or tuple(_WORD.findall(line.text)[:1])
    unread = (
        frozenset({(*statements.table_around(begin, lines), *name)})
        if name
        else frozenset[KeyPath]()
    )
    left = [*lines[:begin], *lines[end:]]
    return Repaired(_problem(line, statements.key_of(line.text), what), left, unread)


# Headers of tables


def _header(begin: int, fault: Fault, lines: list[Line]) -> Repaired:
    line = lines[begin]
    path = statements.header_path(line.text)
    if path is not None:
        return _second(begin, path, fault, lines)
    told = _problem(line, "", f"not TOML: {_hint(fault)}; a table begins as [name]")
    for candidate in _repairs(line.text):
        if statements.header_path(candidate) is not None:
            return Repaired(told, _changed(lines, begin, candidate))
    return _dropped(begin, told, lines)


def _second(begin: int, path: KeyPath, fault: Fault, lines: list[Line]) -> Repaired:
    """Put what stands below a table's second header below its first one."""
    line, end = lines[begin], statements.section_end(begin, lines)
    first = next(
        (at for at in range(begin) if statements.header_path(lines[at].text) == path), None
    )
    if first is None or line.text.lstrip().startswith("[["):
        return _dropped(begin, _problem(line, dotted(path), _told(fault, "")), lines)
    there = f"[{dotted(path)}] begins in line {lines[first].number} too"
    told = _problem(line, dotted(path), f"a table that is there already: {there}; keep one")
    home = statements.section_end(first, lines)
    body = lines[begin + 1 : end]
    return Repaired(told, [*lines[:home], *body, *lines[home:begin], *lines[end:]])


def _dropped(begin: int, told: Problem, lines: list[Line]) -> Repaired:
    end = statements.section_end(begin, lines)
    path = statements.header_path(lines[begin].text)
    unread = frozenset({path}) if path else frozenset[KeyPath]()
    return Repaired(told, [*lines[:begin], *lines[end:]], unread)


def _repairs(text: str) -> Iterator[str]:
    """Write a broken header as it was probably meant, the likeliest first."""
    header = text.split("#", 1)[0].strip()
    header = header if header.startswith("[") else f"[{header}"
    header = header if header.endswith("]") else f"{header}]"
    yield header
    for at in range(len(header), 0, -1):
        yield f'{header[:at]}"{header[at:]}'
    family, _, name = header.strip("[]").partition(".")
    name = name.strip("\"'")
    yield f'[{family}."{name}"]'


# Words


def _problem(line: Line, key: str, text: str) -> Problem:
    return Problem(line=line.number, key=key, text=text)


def _told(fault: Fault, text: str) -> str:
    is_here = fault.column is not None and text
    return f"not TOML: {f'column {fault.column}: ' if is_here else ''}{_hint(fault)}"


def _hint(fault: Fault) -> str:
    return _HINTS.get(fault.what, fault.what)
