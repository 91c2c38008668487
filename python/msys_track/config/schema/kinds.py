"""What a key of a configuration file may hold: parsed once, or refused in words that help.

A kind is a function from the file's value to the setting's, and what it allows, in words for
people and as JSON Schema for editors. What it refuses it raises as `NotAllowedError`.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from msys_track.config.problems import shown
from msys_track.errors import KeyRingError, MessageRefusedError, PicklableError
from msys_track.keys.file import KeySource, key_source
from msys_track.options import variables as policy_variables
from msys_track.options.tracking import PATTERNS, RULES, is_pattern
from msys_track.policy.context import Context, Contexts

_MAX_COUNT: Final = 2**31 - 1
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


class NotAllowedError(PicklableError, ValueError):
    """What was found and what is allowed; `faults` has each with its item.

    An item is an array's place or a table's name, None where the value as a whole is wrong.
    """

    def __init__(self, found: object, allowed: str, *, item: str | int | None = None) -> None:
        text = f"found {shown(found)}, allowed: {allowed}"
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


def array(item: Kind, items: str) -> Kind:
    """Make the kind of an array, of `items` in words; every item that is refused is told."""
    allowed = f"an array of {items}"

    def read(value: object) -> tuple[Any, ...]:
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
        read=read, allowed=allowed, json_schema={"type": "array", "items": item.json_schema}
    )


def whole_number(*, lowest: int = 1, highest: int = _MAX_COUNT, unit: str = "") -> Kind:
    """Make the kind of a count or of a size in bytes."""
    allowed = f"{unit}a whole number from {lowest} to {highest}"

    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
            raise NotAllowedError(value, allowed)
        return value

    schema = {"type": "integer", "minimum": lowest, "maximum": highest}
    return Kind(read=read, allowed=allowed, json_schema=schema)


def seconds(*, highest: int) -> Kind:
    """Make the kind of a duration: above 0, fractions allowed."""
    allowed = f"seconds, a number above 0 and at most {highest}"

    def read(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise NotAllowedError(value, allowed)
        if not 0 < value <= highest:  # nor is NaN
            raise NotAllowedError(value, allowed)
        return float(value)

    schema = {"type": "number", "exclusiveMinimum": 0, "maximum": highest}
    return Kind(read=read, allowed=allowed, json_schema=schema)


def choice(*words: str) -> Kind:
    """Make the kind of one of a few words."""
    allowed = " or ".join(f'"{word}"' for word in words)

    def read(value: object) -> object:
        if value not in words:
            raise NotAllowedError(value, allowed)
        return value

    return Kind(read=read, allowed=allowed, json_schema={"enum": list(words)})


def tracking_option(field: str, json_schema: Mapping[str, Any]) -> Kind:
    """Make the kind of a field of `TrackingOptions`; a scheme is read in any case."""
    rule = RULES[field]
    is_scheme = field.endswith("_scheme")
    allowed = f"{rule.allowed}, in any case" if is_scheme else rule.allowed

    def read(value: object) -> object:
        lowered = value.lower() if is_scheme and isinstance(value, str) else value
        if not rule.allows(lowered):
            raise NotAllowedError(value, allowed)
        return lowered

    return Kind(read=read, allowed=allowed, json_schema=json_schema)


def _text(
    allows: Callable[[str], bool], allowed: str, json_schema: Mapping[str, Any], make: Any = str
) -> Kind:
    def read(value: object) -> object:
        if not isinstance(value, str) or not allows(value):
            raise NotAllowedError(value, allowed)
        return make(value)

    return Kind(read=read, allowed=allowed, json_schema={"type": "string", **json_schema})


def _is_boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise NotAllowedError(value, SWITCH.allowed)
    return value


SWITCH: Final = Kind(
    read=_is_boolean, allowed="true or false, without quotes", json_schema={"type": "boolean"}
)
FILE_NAME: Final = _text(
    lambda name: name != "" and "\0" not in name,
    "the name of a file, in quotes",
    {"minLength": 1},
    Path,
)


def _keys(value: object) -> KeySource:
    # What may be a secret is not shown.
    if isinstance(value, list | dict):
        raise NotAllowedError(KeyRingError("the keys themselves"), KEYS.allowed)
    if not isinstance(value, str) or value == "" or "\0" in value:
        raise NotAllowedError(value, KEYS.allowed)
    try:
        return key_source(value)
    except KeyRingError as error:
        what = KeyRingError(str(error).partition(";")[0])
        raise NotAllowedError(what, KEYS.allowed) from None


KEYS: Final[Kind] = Kind(
    read=_keys,
    allowed="the name of a file, env:NAME or credential:NAME, in quotes",
    json_schema={
        "type": "string",
        "pattern": r"^(?!env:|credential:)[^\n]+$|^env:[A-Za-z_][A-Za-z0-9_]*$"
        r"|^credential:[A-Za-z0-9_.-]+$",
    },
)
HOSTNAME: Final = _text(
    # A domain, or an address in brackets (RFC 5321 section 4.1.2).
    lambda name: re.fullmatch(_HOSTNAME, name) is not None,
    'a host name in ASCII, or an address as "[192.0.2.1]"',
    {"pattern": f"^({_HOSTNAME})$"},
)
HEADER_TEXT: Final = _text(
    lambda text: text.isascii() and text.isprintable(),
    "printable ASCII on one line, in quotes",
    {"pattern": "^[ -~]*$"},
)
NAME: Final = _text(
    lambda name: name != "" and name.isprintable(), "a name, in quotes", {"minLength": 1}
)
PATTERN: Final = _text(is_pattern, PATTERNS, {"minLength": 1, "maxLength": 2_048})


def _variables(value: object) -> Mapping[str, str]:
    """Read context variables: texts, and those that decide about tracking must mean something."""
    if not isinstance(value, dict):
        raise NotAllowedError(value, VARIABLES.allowed)
    errors = [(name, error) for name, text in value.items() if (error := _wrong(name, text))]
    if errors:
        raise NotAllowedError.of_items(value, errors)
    return dict(value)


def _wrong(name: str, text: object) -> NotAllowedError | None:
    if not isinstance(text, str):
        return NotAllowedError(text, "a text, in quotes, as variables are")
    try:
        only = Contexts(connection=Context({name: text}), message=Context())
        ignored = policy_variables.read_variables(only).ignored
    except ValueError as error:
        return NotAllowedError(text, str(error))
    except MessageRefusedError as refused:
        return NotAllowedError(text, refused.text.partition(" ")[2])
    return NotAllowedError(text, ignored[0].allowed) if ignored else None


VARIABLES: Final = Kind(
    read=_variables,
    allowed='a table of texts as in { smtpapi_open_tracking = "1" }',
    json_schema={"type": "object", "additionalProperties": {"type": "string"}},
)
