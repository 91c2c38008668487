"""Context variables: Momentum's two dictionaries, in which a policy leaves its decisions.

They are bounded, because a connection can last for days and carry a million messages.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

MAX_NAME: Final = 255
"""UTF-8 bytes in the name of a variable."""
MAX_VALUE: Final = 65_536
"""UTF-8 bytes in the value of a variable."""
MAX_VARIABLES: Final = 1_000
"""Variables in one dictionary."""
MAX_OCTETS: Final = 1 << 20
"""UTF-8 bytes of all names and values in one dictionary."""


class Context:
    """One dictionary of string variables. An empty string differs from a variable not set."""

    __slots__ = ("_octets", "_values")

    def __init__(self, values: Mapping[str, str] = MappingProxyType({})) -> None:
        self._values: dict[str, str] = {}
        self._octets = 0
        for name, value in values.items():
            self.set(name, value)

    def __len__(self) -> int:
        """Return how many variables are set."""
        return len(self._values)

    def get(self, name: str) -> str | None:
        """Return the value of a variable; None if it is not set."""
        return self._values.get(name)

    def set(self, name: str, value: str) -> None:
        """Set a variable.

        Raises:
            TypeError: name or value is not a string. Nothing is converted silently.
            ValueError: too long, too many, or not valid as UTF-8.
        """
        _check_name(name)
        if not isinstance(value, str):
            found = type(value).__name__
            raise TypeError(
                f"{name}: values are strings, found {found}; write str(…) or json.dumps(…)"
            )
        size = count_octets(name, value)
        if size > MAX_VALUE:
            raise ValueError(f"{name}: {size} bytes, at most {MAX_VALUE}")
        octets = self._octets + size
        if (earlier := self._values.get(name)) is not None:
            octets -= count_octets(name, earlier)
        elif len(self._values) >= MAX_VARIABLES:
            raise ValueError(f"{name}: one context holds at most {MAX_VARIABLES} variables")
        else:
            octets += count_octets(name, name)
        if octets > MAX_OCTETS:
            raise ValueError(f"{name}: one context holds at most {MAX_OCTETS} bytes")
        self._values[name] = value
        self._octets = octets

    def exists(self, name: str) -> bool:
        """Return whether a variable is set, even if to the empty string."""
        return name in self._values

    def delete(self, name: str) -> None:
        """Unset a variable; does nothing if it was not set."""
        value = self._values.pop(name, None)
        if value is not None:
            self._octets -= count_octets(name, name) + count_octets(name, value)

    def items(self) -> Mapping[str, str]:
        """Return a read-only view of all variables."""
        return MappingProxyType(self._values)

    def save(self) -> tuple[dict[str, str], int]:
        """Return the variables as they are now, for `restore`."""
        return self._values.copy(), self._octets

    def restore(self, saved: tuple[dict[str, str], int]) -> None:
        """Set exactly the variables that were set when `save` was called."""
        values, self._octets = saved
        self._values = values.copy()

    def __repr__(self) -> str:
        return f"Context({self._values!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contexts:
    """The two dictionaries: one lasts as long as the connection, one as long as the message."""

    connection: Context
    message: Context

    def lookup(self, name: str) -> str | None:
        """Return the message's variable, or else the connection's; None if neither is set."""
        value = self.message.get(name)
        return self.connection.get(name) if value is None else value

    def for_recipient(self) -> "Contexts":
        """Return contexts for one recipient: the message's variables are copied."""
        message = Context()
        message.restore(self.message.save())
        return Contexts(connection=self.connection, message=message)


def _check_name(name: str) -> None:
    if not isinstance(name, str):
        raise TypeError(f"a variable's name must be a string, found {type(name).__name__}")
    if not 0 < len(name) <= MAX_NAME or count_octets("a variable's name", name) > MAX_NAME:
        raise ValueError(f"{name[:40]!r}: a variable's name has 1 to {MAX_NAME} bytes of text")


def count_octets(name: str, text: str) -> int:
    """Count the bytes of a text in UTF-8; errors name it as `name`.

    Raises:
        ValueError: it is not valid as UTF-8.
    """
    try:
        return len(text) if text.isascii() else len(text.encode())
    except UnicodeEncodeError as error:
        raise ValueError(f"{name}: half of a surrogate pair is not text") from error
