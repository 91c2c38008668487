"""Strict JSON (RFC 8259) whose errors have a line and a column.

The standard library's parser is fast. But it accepts text that other parsers refuse (NaN, half
of a surrogate pair, numbers that become infinite), and deep nesting is a RecursionError.
"""

import json
import math
import re
from typing import Any, Final, NoReturn, TypeVar

from msys_track.errors import PicklableError

_Value = TypeVar("_Value")

_MAX_DEPTH: Final = 64
_MAX_INTEGER_DIGITS: Final = 308  # the range of an IEEE double, which other parsers use
_BYTE_ORDER_MARK: Final = "\ufeff"
_SHORT: Final = 60
"""In a text of so many characters a column is found without help."""
_AROUND: Final = 24

_STRING_OR_WORD: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[^\s",:\[\]{}]+', re.DOTALL)
_STRING_OR_BRACKET: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)
_ESCAPED: Final = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|(?P<half>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
_NAMES: Final[dict[type, str]] = {
    dict: "an object",
    list: "an array",
    str: "a string",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    type(None): "null",
}


class JsonError(PicklableError, ValueError):
    """A text is not strict JSON.

    Attributes:
        line: Where, from 1.
        column: Where in the line, in characters from 1.
        what: What is wrong there.
        around: The characters around it, if the text is long.
        is_cut_short: Whether the text ends before its object does.
    """

    def __init__(self, text: str, position: int, what: str, *, is_cut_short: bool = False) -> None:
        super().__init__(what)
        self.line = text.count("\n", 0, position) + 1
        self.column = position - text.rfind("\n", 0, position)
        self.what = what
        self.around = _find_around(text, position) if len(text) > _SHORT else ""
        self.is_cut_short = is_cut_short


class _NotANumberError(ValueError):
    """`args` are a literal and what is wrong with it."""


def parse_object(text: str) -> dict[str, Any]:
    """Parse one JSON object; the last of two equal keys wins.

    Raises:
        JsonError: the text is not JSON or not an object, is nested deeper than 64 levels, or
            has a number that no double holds or half of a surrogate pair.
    """
    return _parse(text, dict)


def parse_array(text: str) -> list[Any]:
    """Parse one JSON array; raises as `parse_object` does."""
    return _parse(text, list)


def _parse(text: str, kind: type[_Value]) -> _Value:
    _refuse_deep_nesting(text)
    value: Any
    try:
        # Most texts begin with a bracket: that saves the search for white space.
        value, end = _DECODER.raw_decode(text) if text.startswith(("{", "[")) else (None, -1)
        if end != len(text):
            value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise _describe(text, error) from None
    except _NotANumberError as error:
        literal, what = error.args
        places = (t.start() for t in _STRING_OR_WORD.finditer(text) if t.group() == literal)
        raise JsonError(text, next(places, 0), what) from None
    if not isinstance(value, kind):
        start = len(text) - len(text.lstrip(" \t\r\n"))
        what = f"expected {_NAMES[kind]}, found {_NAMES[type(value)]}"
        raise JsonError(text, start, what)
    if "\\" in text and ("\\ud" in text or "\\uD" in text):
        for escape in _ESCAPED.finditer(text):
            if half := escape["half"]:
                raise JsonError(text, escape.start(), f"\\{half} is half of a surrogate pair")
    return value


def compact(value: object) -> str:
    """Serialise without spaces, and without escapes that UTF-8 does not need."""
    return _ENCODER.encode(value)


def _describe(text: str, error: json.JSONDecodeError) -> JsonError:
    what = error.msg.removesuffix(" at").removesuffix(" starting")
    is_open = error.pos >= len(text.rstrip(" \t\r\n")) or what == "Unterminated string"
    if text.startswith(_BYTE_ORDER_MARK, error.pos):
        what = "a byte order mark, which JSON does not have"
    return JsonError(
        text,
        error.pos,
        what[:1].lower() + what[1:],
        is_cut_short=is_open and text.lstrip(" \t\r\n").startswith("{"),
    )


def _find_around(text: str, position: int) -> str:
    """Return the characters around a place, without a word that would be cut at its end.

    Logs hide the local part of an address by its @, which must not be cut off.
    """
    end = position + _AROUND
    around = text[max(position - _AROUND, 0) : end]
    return around if end >= len(text) else re.sub(r"[^\s\"]*\Z", "", around)


def _refuse_deep_nesting(text: str) -> None:
    if text.count("{") + text.count("[") <= _MAX_DEPTH:
        return
    depth = 0
    for token in _STRING_OR_BRACKET.finditer(text):
        mark = token.group()
        if mark in "[{":
            depth += 1
        elif mark in "]}":
            depth -= 1
        if depth > _MAX_DEPTH:
            raise JsonError(text, token.start(), f"nested deeper than {_MAX_DEPTH} levels")


def _refuse_constant(literal: str) -> NoReturn:
    raise _NotANumberError(literal, f"{literal} is not JSON")


def _parse_integer(literal: str) -> int:
    if len(literal) > _MAX_INTEGER_DIGITS:
        raise _NotANumberError(literal, "number out of range")
    return int(literal)


def _parse_float(literal: str) -> float:
    value = float(literal)
    if math.isinf(value):
        raise _NotANumberError(literal, "number out of range")
    return value


_DECODER: Final = json.JSONDecoder(
    parse_constant=_refuse_constant, parse_int=_parse_integer, parse_float=_parse_float
)
_ENCODER: Final = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":")
)
