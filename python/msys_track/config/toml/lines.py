"""Where each key of a TOML text stands: an error without its line makes people search.

`tomllib` gives values but no places, and the libraries that keep a document's layout give none
either. The text is known to be valid TOML here, so that a small scan finds every key.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Final

from msys_track.config.document import KeyPath

_STRING: Final = r'"""(?:[^\\]|\\.)*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\''
_SPACE: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_NAMES: Final = re.compile(r"""(?:"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[A-Za-z0-9_\-. \t])+""")
_TOKEN: Final = re.compile(rf"{_STRING}|#[^\n]*|[\[\]{{}},\n]|[^\[\]{{}},\n\"'#]+", re.DOTALL)
_OPENING: Final = ("[", "{")
_CLOSING: Final = ("]", "}")


def key_lines(text: str) -> Mapping[KeyPath, int]:
    """Find the line, from 1, of every table, key and array item of a valid TOML text.

    What stands inside an inline table has no entry of its own.
    """
    return dict(_Scan(text).places())


class _Scan:
    __slots__ = ("_items", "_line", "_lined", "_place", "_table", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._place = self._lined = 0
        self._line = 1
        self._table: KeyPath = ()
        self._items: dict[KeyPath, int] = {}

    def places(self) -> Iterator[tuple[KeyPath, int]]:
        while self._skip_space():
            line = self._line_here()
            if self._text.startswith("[", self._place):
                self._table = self._header()
                yield self._table, line
            else:
                key = self._table + self._names()
                yield key, line
                yield from self._value(key)

    def _header(self) -> KeyPath:
        is_item = self._text.startswith("[[", self._place)
        self._place += 2 if is_item else 1
        table = self._placed(self._names())
        if is_item:
            self._items[table] = self._items.get(table, -1) + 1
            table = (*table, self._items[table])
        self._place = self._text.index("]", self._place) + (2 if is_item else 1)
        return table

    def _placed(self, names: KeyPath) -> KeyPath:
        """Insert the numbers of the arrays' newest items: `[a.b]` after `[[a]]` is in it."""
        path: KeyPath = ()
        for depth, name in enumerate(names):
            path = (*path, name)
            if path in self._items and depth < len(names) - 1:
                path = (*path, self._items[path])
        return path

    def _names(self) -> KeyPath:
        match = _NAMES.match(self._text, self._place)
        if match is None:
            raise ValueError(f"no key at line {self._line_here()}")
        self._place = match.end()
        return tuple(_descend(tomllib.loads(f"{match[0]} = 0")))

    def _value(self, key: KeyPath) -> Iterator[tuple[KeyPath, int]]:
        self._place = self._text.index("=", self._place) + 1
        expects_item = is_array = self._text[self._place :].lstrip(" \t").startswith("[")
        depth = items = 0
        for token in _TOKEN.finditer(self._text, self._place):
            mark = token[0].lstrip(" \t\r")
            self._place = token.start()
            if mark == "\n" and depth == 0:
                return
            if expects_item and depth == 1 and mark and mark[0] not in "],\n#":
                yield (*key, items), self._line_here()
                items, expects_item = items + 1, False
            depth += (mark in _OPENING) - (mark in _CLOSING)
            expects_item = expects_item or (is_array and depth == 1 and mark == ",")
            self._place = token.end()

    def _skip_space(self) -> bool:
        match = _SPACE.match(self._text, self._place)
        self._place = match.end() if match else self._place
        return self._place < len(self._text)

    def _line_here(self) -> int:
        self._line += self._text.count("\n", self._lined, self._place)
        self._lined = self._place
        return self._line


def _descend(table: dict[str, object]) -> Iterator[str]:
    inner: object = table
    while isinstance(inner, dict):
        ((name, inner),) = inner.items()
        yield name
