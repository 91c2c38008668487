"""Kinds of values that a key of a configuration file may hold.

A kind is a function from the file's value to the setting's, and what it allows, in words for
people and as JSON Schema for editors. It refuses a value by `NotAllowedError`, with words that
help.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from msys_track.errors import PicklableError

_MAX_SHOWN: Final = 60
_MAX_COUNT: Final = 2**31 - 1
_SINK_NAME: Final = r"[A-Za-z0-9_-]{1,64}"
_HOSTNAME: Final = r"[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*|\[[0-9A-Za-z.:]+\]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What one key may hold."""

    read: Callable[[object], Any]
    """Makes the setting of the file's value; raises `NotAllowedError`."""
    allowed: str
    """What is allowed, in words that follow "allowed:"."""
    json_schema: Mapping[str, Any]
    """The same as a JSON Schema (draft 2020-12), which may allow a little more."""

    def allows(self, value: object) -> bool:
        """Whether a file may have this value."""
        try:
            self.read(value)
        except NotAllowedError:
            return False
        return True


class NotAllowedError(PicklableError, ValueError):
    """What was found and what is allowed; `faults` has each with its item.

    An item is an array's place or a table's name, None where the value as a whole is wrong.
    """

    def __init__(self, found: object, allowed: str, *, item: str | int | None = None) -> None:
        text = f"found {write_found(found)}, allowed: {allowed}"
        super().__init__(text)
        self.faults: Sequence[tuple[str | int | None, str]] = ((item, text),)

    @classmethod
    def of_items(
        cls, found: object, errors: Iterable[tuple[str | int, "NotAllowedError"]]
    ) -> Self:
        """Gather what is wrong with the items of one value."""
        whole = cls(found, "good items")
        whole.faults = tuple((item, text) for item, each in errors for _, text in each.faults)
        return whole


def write_found(value: object) -> str:
    """Write a value on one line, about as the file does, cut where it is long."""
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, bool | int | float | str | list):
        text = json.dumps(value, default=str, ensure_ascii=False)
    else:
        text = str(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"


def _kind(
    allows: Callable[[Any], bool],
    allowed: str,
    json_schema: Mapping[str, Any],
    make: Callable[[Any], Any] = lambda value: value,
) -> Kind:
    def read_value(value: object) -> Any:
        if not allows(value):
            raise NotAllowedError(value, allowed)
        return make(value)

    return Kind(read=read_value, allowed=allowed, json_schema=json_schema)


def array(item: Kind, items: str) -> Kind:
    """Make the kind of an array, of `items` in words; every refused item is reported."""
    allowed = f"an array of {items}"

    def read_value(value: object) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise NotAllowedError(value, allowed)
        read_items, errors = [], []
        for place, each in enumerate(value):
            try:
                read_items.append(item.read(each))
            except NotAllowedError as error:
                errors.append((place, error))
        if errors:
            raise NotAllowedError.of_items(value, errors)
        return tuple(read_items)

    return Kind(
        read=read_value, allowed=allowed, json_schema={"type": "array", "items": item.json_schema}
    )


def whole_number(*, lowest: int = 1, highest: int = _MAX_COUNT, unit: str = "") -> Kind:
    """Make the kind of a count or of a size in bytes."""
    return _kind(
        lambda value: type(value) is int and lowest <= value <= highest,
        f"{unit}a whole number from {lowest} to {highest}",
        {"type": "integer", "minimum": lowest, "maximum": highest},
    )


def seconds(*, highest: int) -> Kind:
    """Make the kind of a duration: above 0, fractions allowed."""
    return _kind(
        lambda value: type(value) in (int, float) and 0 < value <= highest,  # nor is NaN
        f"seconds, a number above 0 and at most {highest}",
        {"type": "number", "exclusiveMinimum": 0, "maximum": highest},
        float,
    )


def choice(*words: str) -> Kind:
    """Make the kind of one of a few words."""
    *most, last = (f'"{word}"' for word in words)
    return _kind(words.__contains__, f"{', '.join(most)} or {last}", {"enum": list(words)})


def text(
    allows: Callable[[str], bool], allowed: str, json_schema: Mapping[str, Any], make: Any = str
) -> Kind:
    """Make the kind of a text; `make` makes the setting of one that is allowed."""
    schema = {"type": "string", **json_schema}
    return _kind(lambda value: isinstance(value, str) and allows(value), allowed, schema, make)


SWITCH: Final = _kind(
    lambda value: isinstance(value, bool), "true or false, without quotes", {"type": "boolean"}
)
COUNT: Final = whole_number()
COUNT_OR_AUTO: Final = _kind(
    lambda value: value == "auto" or COUNT.allows(value),
    f'{COUNT.allowed}, or "auto"',
    {"anyOf": [COUNT.json_schema, {"const": "auto"}]},
)
BYTES: Final = whole_number(unit="bytes, ")
LARGE_BYTES: Final = whole_number(highest=2**62, unit="bytes, ")
BYTES_OR_NONE: Final = whole_number(lowest=0, unit="bytes, ")
SECONDS: Final = seconds(highest=86_400)
SHARE: Final = _kind(
    lambda value: type(value) in (int, float) and 0 <= value <= 1,
    "a number from 0 to 1",
    {"type": "number", "minimum": 0, "maximum": 1},
    float,
)
FILE_NAME: Final = text(
    lambda name: name != "" and "\0" not in name,
    "the name of a file, in quotes",
    {"minLength": 1},
    Path,
)
HOSTNAME: Final = text(
    # A domain, or an address in brackets (RFC 5321 section 4.1.2).
    lambda name: re.fullmatch(_HOSTNAME, name) is not None,
    'a host name in ASCII, or an address as "[192.0.2.1]"',
    {"pattern": f"^({_HOSTNAME})$"},
)
HEADER_TEXT: Final = text(
    lambda text: text.isascii() and text.isprintable(),
    "printable ASCII on one line, in quotes",
    {"pattern": "^[ -~]*$"},
)
SINK_NAME: Final = text(
    lambda name: re.fullmatch(_SINK_NAME, name) is not None,
    'letters, digits, "-" and "_", at most 64: it names files',
    {"pattern": f"^{_SINK_NAME}$"},
)
NAME: Final = text(
    lambda name: name != "" and name.isprintable(), "a name, in quotes", {"minLength": 1}
)
