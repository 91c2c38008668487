"""Momentum's options and stanzas that guard a port, and which of them apply to a listener.

None of them is enforced here: a port that was safe through them would be an open relay.
"""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from msys_track.config.document import KeyPath, Place
from msys_track.config.momentum.names import read_boolean, read_text
from msys_track.config.momentum.stanzas import Item, Option

# What is outbound guards the next hop's port, not ours.
_GUARD: Final = re.compile(r"(?!outbound_)(?:.*(?:auth|tls|relay)|(?:.*_)?ssl|proxy_protocol)")
_OPEN_RELAY: Final = "open_relay"
_EXTENSIONS: Final = "smtp_extensions"
_GUARDING_EXTENSION: Final = re.compile(r"\b(?:STARTTLS|AUTH)\b", re.IGNORECASE | re.ASCII)
_SCOPES: Final = re.compile(r"listen(er)?|peer.*|pathway(_group)?")
_EVERY_LISTENER: Final[tuple[KeyPath, ...]] = ((), ("listener",))


class PortGuard(NamedTuple):
    """An option or a stanza that guards a port."""

    name: str
    place: Place


def is_guard(option: Option) -> bool:
    """Whether an option is about who may send, or over what."""
    if option.name == _EXTENSIONS:
        return _GUARDING_EXTENSION.search(str(read_text(option.value))) is not None
    return _GUARD.match(option.name) is not None


class Guards:
    """The guards that one pass over a configuration finds."""

    __slots__ = ("_found",)

    def __init__(self) -> None:
        self._found: dict[tuple[KeyPath, str], PortGuard | None] = {}
        """By table and name; None where the table switches the guard off."""

    def add(self, item: Item, table: KeyPath, name: str) -> None:
        """Record an item of a table if it, or something in it, guards; a later one overrides."""
        if table and not _SCOPES.fullmatch(str(table[0])):
            return
        guard = PortGuard(name, item.place)
        if isinstance(item, Option):
            is_on = read_boolean(item.value)
            # A value that is neither on nor off counts as on.
            asks = is_guard(item) and is_on is not False
            if item.name == _OPEN_RELAY:
                # An open relay for some is a guard against the others.
                is_for_all = table in _EVERY_LISTENER or table[:-1] == ("listen",)
                asks = not (is_for_all and is_on is True)
            if is_guard(item) or item.name == _EXTENSIONS:
                self._found[table, item.name] = guard if asks else None
        elif _GUARD.match(item.name):
            self._found[table, item.name] = guard
        elif table or item.name.startswith("peer"):
            for each in item.body:
                inner = (*table, item.name, *item.instances)
                self.add(each, inner, f"{item.written}.{each.written}")

    def is_open(self, listen: KeyPath) -> bool:
        """Whether a listener is an open relay for everybody, as its own option says."""
        tables = [table for table, name in self._found if name == _OPEN_RELAY]
        nearest = next((each for each in (listen, ("listener",), ()) if each in tables), None)
        return nearest is not None and self._found[nearest, _OPEN_RELAY] is None

    def find(self, listen: KeyPath) -> Iterator[PortGuard]:
        """Yield the guards of a listener, or of some of its clients or mail."""
        nearest: dict[str, PortGuard | None] = {}
        for outer in (*_EVERY_LISTENER, listen):
            for (table, name), guard in self._found.items():
                if table == outer:
                    nearest[name] = guard
        yield from filter(None, nearest.values())
        for (table, _), guard in self._found.items():
            is_of_another = table[:1] == ("listen",) and table[:2] != listen
            if guard and not is_of_another and table not in (*_EVERY_LISTENER, listen):
                yield guard
