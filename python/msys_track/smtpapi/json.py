"""JSON as RFC 8259 has it, with the place of every fault: senders repair by line and column.

The standard library's parser is fast but lets through what other parsers refuse (NaN, half
surrogate pairs, numbers that become infinite) and answers deep nesting with a RecursionError.
"""

import json
import re
from typing import Final, NoReturn

from msys_track.errors import PicklableError

_MAX_DEPTH: Final = 64
_MAX_INTEGER_DIGITS: Final = 308  # an IEEE double, what other parsers hold numbers in

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


class JsonFault(PicklableError, ValueError):  # noqa: N818 - the fault of a text, raised for its reader
    """A text is not strict JSON: `line` and `column` count characters from 1."""

    def __init__(self, text: str, position: int, what: str) -> None:
        super().__init__(what)
        self.line = text.count("\n", 0, position) + 1
        self.column = position - text.rfind("\n", 0, position)
        self.what = what


class _NotANumber(PicklableError, ValueError):  # noqa: N818 - never leaves this module
    def __init__(self, literal: str, what: str) -> None:
        super().__init__(literal)
        self.literal = literal
        self.what = what


def parse_object(text: str) -> dict[str, object]:
    """Parse one JSON object; of two equal keys the last wins.

    Raises:
        JsonFault: not JSON, not an object, nested deeper than 64, a number no double holds,
            half of a surrogate pair.
    """
    _refuse_deep_nesting(text)
    value = _decoded(text)
    if not isinstance(value, dict):
        found = _NAMES[type(value)]
        raise JsonFault(text, _start(text), f"expected an object, found {found}")
    _refuse_half_surrogates(text)
    return value


def compact(value: object) -> str:
    """Serialise without spaces and without escapes that UTF-8 does not need."""
    return _ENCODER.encode(value)


def _decoded(text: str) -> object:
    value: object
    try:
        if text.startswith("{"):  # the common case, without the search for white space
            value, end = _DECODER.raw_decode(text)
            if end == len(text):
                return value
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        what = error.msg.removesuffix(" at").removesuffix(" starting")
        raise JsonFault(text, error.pos, what[:1].lower() + what[1:]) from None
    except _NotANumber as error:
        raise JsonFault(text, _position(text, error.literal), error.what) from None
    return value


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
            raise JsonFault(text, token.start(), f"nested deeper than {_MAX_DEPTH} levels")


def _refuse_half_surrogates(text: str) -> None:
    if "\\" not in text or ("\\ud" not in text and "\\uD" not in text):
        return
    for escape in _ESCAPED.finditer(text):
        if escape["half"]:
            what = f"\\{escape['half']} is half of a surrogate pair"
            raise JsonFault(text, escape.start(), what)


def _start(text: str) -> int:
    return len(text) - len(text.lstrip(" \t\r\n"))


def _position(text: str, literal: str) -> int:
    places = (t.start() for t in _STRING_OR_WORD.finditer(text) if t.group() == literal)
    return next(places, 0)


def _constant(literal: str) -> NoReturn:
    raise _NotANumber(literal, f"{literal} is not JSON")


def _integer(literal: str) -> int:
    if len(literal) > _MAX_INTEGER_DIGITS:
        raise _NotANumber(literal, "number out of range")
    return int(literal)


def _float(literal: str) -> float:
    value = float(literal)
    if value in (float("inf"), float("-inf")):
        raise _NotANumber(literal, "number out of range")
    return value


_DECODER: Final = json.JSONDecoder(
    parse_constant=_constant, parse_int=_integer, parse_float=_float
)
_ENCODER: Final = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":")
)
