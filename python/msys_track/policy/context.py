"""Context variables: how policy speaks to what comes after it, in Momentum's two dictionaries.

They are bounded, because a connection can last for days and carry a million messages.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

MAX_NAME: Final = 255
"""Bytes of a variable's name in UTF-8."""
MAX_VALUE: Final = 65_536
"""Bytes of a variable's value in UTF-8."""
MAX_VARIABLES: Final = 1_000
"""Variables in one dictionary."""
MAX_OCTETS: Final = 1 << 20
"""Bytes of all names and values in one dictionary."""


class Context:
    """One dictionary of string variables; not set differs from set to the empty string."""

    __slots__ = ("_octets", "_values")

    def __init__(self, values: Mapping[str, str] = MappingProxyType({})) -> None:
        self._values: dict[str, str] = {}
        self._octets = 0
        for name, value in values.items():
            self.set(name, value)

    def get(self, name: str) -> str | None:
        """Return a variable's value; None where it is not set."""
        return self._values.get(name)

    def set(self, name: str, value: str) -> None:
        """Set a variable.

        Raises:
            TypeError: name or value is no string; what was meant is guessed by nobody.
            ValueError: too long, too many, or text that UTF-8 can't hold.
        """
        _refuse_bad_name(name)
        octets = self._octets + _octets_of_value(name, value)
        if (earlier := self._values.get(name)) is not None:
            octets -= _octets(earlier)
        elif len(self._values) >= MAX_VARIABLES:
            raise ValueError(f"{name}: one context holds at most {MAX_VARIABLES} variables")
        else:
            octets += _octets(name)
        if octets > MAX_OCTETS:
            raise ValueError(f"{name}: one context holds at most {MAX_OCTETS} bytes")
        self._values[name] = value
        self._octets = octets

    def exists(self, name: str) -> bool:
        """Whether a variable is set, be it to the empty string."""
        return name in self._values

    def delete(self, name: str) -> None:
        """Make a variable not set; nothing happens where it was not."""
        value = self._values.pop(name, None)
        if value is not None:
            self._octets -= _octets(name) + _octets(value)

    def items(self) -> Mapping[str, str]:
        """Return a read-only view of all variables."""
        return MappingProxyType(self._values)

    def copy(self) -> "Context":
        """Return an independent dictionary with the same variables."""
        twin = Context()
        twin.restore(self)
        return twin

    def restore(self, earlier: "Context") -> None:
        """Become what `earlier` is; who holds this dictionary sees the change."""
        self._values = earlier._values.copy()  # noqa: SLF001 - one of us
        self._octets = earlier._octets  # noqa: SLF001

    def __repr__(self) -> str:
        return f"Context({self._values!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contexts:
    """The dictionaries that a policy sees: one lasts as long as the connection, one a message."""

    connection: Context
    message: Context

    def lookup(self, name: str) -> str | None:
        """Return the message's variable, or else the connection's; None where neither is set."""
        value = self.message.get(name)
        return self.connection.get(name) if value is None else value

    @property
    def is_empty(self) -> bool:
        """Whether no variable is set at all."""
        return not (self.connection.items() or self.message.items())

    def for_recipient(self) -> "Contexts":
        """Return contexts whose message variables are one recipient's own."""
        return Contexts(connection=self.connection, message=self.message.copy())


def _refuse_bad_name(name: str) -> None:
    if not isinstance(name, str):
        raise TypeError(f"a variable's name must be a string, found {type(name).__name__}")
    if not 0 < len(name) <= MAX_NAME or _octets(name) > MAX_NAME:
        raise ValueError(f"{name[:40]!r}: a variable's name has 1 to {MAX_NAME} bytes of text")


def _octets_of_value(name: str, value: str) -> int:
    if not isinstance(value, str):
        found = type(value).__name__
        raise TypeError(
            f"{name}: values are strings, found {found}; write str(…) or json.dumps(…)"
        )
    octets = _octets(value)
    if octets > MAX_VALUE:
        raise ValueError(f"{name}: {octets} bytes, at most {MAX_VALUE}")
    return octets


def _octets(text: str) -> int:
    if text.isascii():
        return len(text)
    try:
        return len(text.encode())
    except UnicodeEncodeError as error:
        raise ValueError(f"{text[:40]!r}: half of a surrogate pair is no text") from error
