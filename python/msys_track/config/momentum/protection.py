"""Momentum's options and stanzas that guard a port, and which of them hold for a listener.

None of them is enforced here: a port that was safe through them would be an open relay.
"""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from msys_track.config.document import KeyPath, Place
from msys_track.config.momentum.names import boolean, plain
from msys_track.config.momentum.stanzas import Option, Stanza

# What is outbound guards the next hop's port, not ours.
_GUARD: Final = re.compile(r"(?!outbound_)(?:.*(?:auth|tls|relay)|(?:.*_)?ssl|proxy_protocol)")
_EXTENSIONS: Final = "smtp_extensions"
_GUARDING_EXTENSION: Final = re.compile(r"\b(?:STARTTLS|AUTH)\b", re.IGNORECASE)
_SCOPES: Final = frozenset({"listener", "listen", "peer", "pathway", "pathway_group"})
_TOP: Final[KeyPath] = ()
_LISTENER: Final[KeyPath] = ("listener",)


class Guard(NamedTuple):
    """An option or a stanza that guards a port."""

    name: str
    place: Place


def is_guard(option: Option) -> bool:
    """Whether an option is about who may send, or over what."""
    if option.name == _EXTENSIONS:
        return _GUARDING_EXTENSION.search(str(plain(option.value))) is not None
    return _GUARD.match(option.name) is not None


class Guards:
    """What is gathered in one pass over a configuration."""

    __slots__ = ("_found",)

    def __init__(self) -> None:
        self._found: dict[tuple[KeyPath, str], Guard | None] = {}
        """By table and name; None where the table says that there is to be no such guard."""

    def add_option(self, option: Option, table: KeyPath, name: str) -> None:
        """Take an option of a table if it guards; a later one overrides an earlier one."""
        if table and table[0] not in _SCOPES:
            return
        self._add_option(option, table, name)

    def add_stanza(self, stanza: Stanza, table: KeyPath, name: str) -> None:
        """Take a stanza that is otherwise passed over, or what guards in it."""
        if table and table[0] not in _SCOPES:
            return
        if _GUARD.match(stanza.name):
            self._found[table, stanza.name] = Guard(name, stanza.place)
        elif table or stanza.name.startswith("peer"):
            self._add_body(stanza, (*table, stanza.name, *stanza.instances))

    def of(self, listen: KeyPath) -> Iterator[Guard]:
        """Yield what holds for a listener, or for some of its clients or mail."""
        nearest: dict[str, Guard | None] = {}
        for outer in (_TOP, _LISTENER, listen):
            for (table, name), guard in self._found.items():
                if table == outer:
                    nearest[name] = guard
        yield from filter(None, nearest.values())
        for (table, _), guard in self._found.items():
            is_of_another = table[:1] == ("listen",) and table[:2] != listen
            if guard and not is_of_another and table not in (_TOP, _LISTENER, listen):
                yield guard

    def _add_body(self, stanza: Stanza, table: KeyPath) -> None:
        for item in stanza.body:
            name = f"{stanza.written}.{item.written}"
            if isinstance(item, Option):
                self._add_option(item, table, name)
            elif _GUARD.match(item.name):
                self._found[table, item.name] = Guard(name, item.place)
            else:
                self._add_body(item, (*table, item.name, *item.instances))

    def _add_option(self, option: Option, table: KeyPath, name: str) -> None:
        if not _GUARD.match(option.name) and option.name != _EXTENSIONS:
            return
        is_for_all = table in (_TOP, _LISTENER) or table[:-1] == ("listen",)
        asks = _asks(option, is_for_all=is_for_all)
        self._found[table, option.name] = Guard(name, option.place) if asks else None


def _asks(option: Option, *, is_for_all: bool) -> bool:
    """Whether an option's value switches a guard on; one that is neither on nor off does."""
    if option.name == _EXTENSIONS:
        return is_guard(option)
    if option.name == "open_relay":
        # Where only some may relay the others may not.
        return not (is_for_all and boolean(option.value) is True)
    return boolean(option.value) is not False
