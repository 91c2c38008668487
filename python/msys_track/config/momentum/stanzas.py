"""Stanzas, options and values of one `ecelerity.conf`: syntax only, so that no name is unknown.

After a fault the reading goes on where the next option or stanza seems to begin, because who
repairs a file wants to hear of all its faults.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from msys_track.config.document import Place
from msys_track.config.momentum.lexer import END, Flaw, Lexeme, Lexer

_INCLUDES: Final = ("include", "readonly_include")
_MAX_DEPTH: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A value as it reads, without its quotes and escapes."""

    place: Place
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Array:
    """`( a "b" )`."""

    place: Place
    values: tuple["Value", ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dictionary:
    """`[ a = "b" ]`; what is set twice is here twice."""

    place: Place
    options: tuple["Option", ...]


Value: TypeAlias = Text | Array | Dictionary


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """`key = value`."""

    place: Place
    written: str
    """The key as the file has it."""
    value: Value

    @property
    def name(self) -> str:
        """The key in lower case: outside of dictionaries case means nothing, in ASCII."""
        return self.written.lower() if self.written.isascii() else self.written


@dataclass(frozen=True, slots=True, kw_only=True)
class Stanza:
    """`Name "instance" { … }`; what it includes stands in its body."""

    place: Place
    written: str
    """The name as the file has it."""
    instances: tuple[str, ...]
    body: tuple["Item", ...]

    @property
    def name(self) -> str:
        """The name in lower case, because case means nothing in it, in ASCII."""
        return self.written.lower() if self.written.isascii() else self.written


Item: TypeAlias = Option | Stanza
Include: TypeAlias = Callable[[Place, str, int], Sequence[Item]]
"""Reads what an include names; it is given the place, the name and how deep it is nested."""


class _TooDeepError(Exception):
    pass


def stanzas(
    text: str, file: Path, include: Include, *, depth: int = 0
) -> tuple[list[Item], list[Flaw]]:
    """Read one file's text; `include` is called where the text includes a file or folder.

    `depth` is that of the include that led here: files and stanzas nest within one limit.

    Returns:
        What could be read, and what is wrong: one flaw a line at most, since others follow.
    """
    lexer = Lexer(text)
    grammar = _Grammar(file, list(lexer.lexemes()), include, depth)
    items: list[Item] = []
    try:
        items = grammar.file()
    except _TooDeepError:
        grammar.flaw(f"nested deeper than {_MAX_DEPTH} levels; what follows was not read")
    by_line: dict[int, Flaw] = {}
    for flaw in (*lexer.flaws, *grammar.flaws):
        by_line.setdefault(flaw.line, flaw)
    return items, sorted(by_line.values())


class _Grammar:
    __slots__ = (
        "_at", "_depth", "_file", "_include", "_lexemes", "_misfit", "_outermost", "_valued",
        "flaws",
    )  # fmt: skip

    def __init__(
        self, file: Path, lexemes: Sequence[Lexeme], include: Include, depth: int
    ) -> None:
        self._file = file
        self._lexemes = lexemes
        self._include = include
        self._at = 0
        self._depth = self._outermost = depth
        self._misfit: int | None = None
        self._valued: tuple[Lexeme | None, int] = (None, 0)
        self.flaws: list[Flaw] = []

    def file(self) -> list[Item]:
        items = self._body()
        while self._now.mark != END:
            self.flaw("found }, but no stanza is open here")
            self._take()
            items += self._body()
        return items

    def flaw(self, text: str, at: Lexeme | None = None) -> None:
        self.flaws.append(Flaw((at or self._now).line, text))

    @property
    def _now(self) -> Lexeme:
        return self._lexemes[self._at]

    def _is_text(self) -> bool:
        return not self._now.mark

    def _take(self) -> Lexeme:
        taken = self._now
        if taken.mark != END:
            self._at += 1
        return taken

    def _body(self) -> list[Item]:
        items: list[Item] = []
        while self._now.mark not in ("}", END):
            items += self._item()
        return items

    def _item(self) -> Sequence[Item]:
        name = self._take()
        if name.mark:
            self._stray(name)
            return ()
        if self._now.mark == "=":
            return self._option(name)
        if not name.is_quoted and name.text.lower() in _INCLUDES:
            return self._included(name)
        instances = self._instances()
        if self._now.mark == "{" and not name.is_quoted:
            return (self._stanza(name, instances),)
        self._lost(name, instances)
        return ()

    def _included(self, name: Lexeme) -> Sequence[Item]:
        if self._now.mark or self._now.line != name.line:
            self.flaw(f'{name} names no file, allowed: {name} "file or folder"', name)
            return ()
        self._deeper()
        items = self._include(self._place(name), self._take().text, self._depth)
        self._depth -= 1
        return items

    def _instances(self) -> list[Lexeme]:
        instances: list[Lexeme] = []
        while self._is_text() and not self._begins_word():
            if self._lexemes[self._at + 1].mark == "=":
                break
            instances.append(self._take())
        return instances

    def _lost(self, name: Lexeme, others: Sequence[Lexeme]) -> None:
        option, line = self._valued
        if line == name.line:
            text = f"found {name} after the value of {option}; white space needs quotes"
            self.flaw(text, name)
            return
        if name.is_quoted:
            self.flaw(f"found {name} where an option or a stanza begins", name)
            return
        found = " ".join(map(str, (name, *others[:1])))
        self.flaw(f"found {found}, allowed: {name} = value, or {name} {{ … }}", name)

    def _stray(self, mark: Lexeme) -> None:
        self.flaw(f"found {mark}, allowed: an option, a stanza or an include", mark)
        if mark.mark == "{":
            self._braces(mark)
        elif mark.mark == "=" and not self._now.mark and self._now.line == mark.line:
            self._take()

    def _stanza(self, name: Lexeme, instances: Sequence[Lexeme]) -> Stanza:
        return Stanza(
            place=self._place(name),
            written=name.text,
            instances=tuple(instance.text for instance in instances),
            body=tuple(self._braces(self._take(), name)),
        )

    def _braces(self, opening: Lexeme, name: Lexeme | None = None) -> list[Item]:
        """Read what stands between braces, the first of which was taken."""
        begin = name or opening
        self._deeper()
        items = self._body()
        self._depth -= 1
        closing = self._take()
        if closing.mark == END:
            self._unclosed(begin)
        elif closing.column < begin.column and closing.line > begin.line:
            # Nearer to the margin than what it closes: one of ours is missing before it.
            self._misfit = self._misfit or closing.line
        return items

    def _unclosed(self, begin: Lexeme) -> None:
        if self._depth > self._outermost:
            return  # the outermost is told; it is the one that lacks its brace
        is_after = self._misfit is not None and self._misfit > begin.line
        guess = f", perhaps before line {self._misfit}" if is_after else ""
        self.flaw(f"{begin} {{ … is not closed: }} is missing{guess}", begin)

    def _option(self, name: Lexeme) -> Sequence[Option]:
        equals = self._take()
        value = None if self._begins_item() else self._value()
        if value is None:
            self._no_value(name, equals)
            return ()
        self._valued = (name, self._lexemes[self._at - 1].line)
        return (Option(place=self._place(name), written=name.text, value=value),)

    def _no_value(self, name: Lexeme, equals: Lexeme) -> None:
        found = self._now
        here = f"found {found}" if found.line == equals.line else "found nothing"
        self.flaw(f"{here} after {name} =, allowed: a value, ( … ) or [ … ]", equals)

    def _value(self) -> Value | None:
        now = self._now
        if not now.mark:
            self._take()
            return Text(place=self._place(now), text=now.text)
        if now.mark == "(":
            return self._array()
        if now.mark == "[":
            return self._dictionary()
        return None

    def _array(self) -> Array:
        opening = self._take()
        values: list[Value] = []
        self._deeper()
        while not self._begins_item() and (value := self._value()) is not None:
            values.append(value)
        self._depth -= 1
        self._close(opening, ")", "values and )")
        return Array(place=self._place(opening), values=tuple(values))

    def _dictionary(self) -> Dictionary:
        opening = self._take()
        options: list[Option] = []
        self._deeper()
        while self._is_text():
            key = self._take()
            if self._now.mark == "=":
                options += self._option(key)
            else:
                self.flaw(f"found {key} in [ … ], allowed: {key} = value", key)
        self._depth -= 1
        self._close(opening, "]", "name = value and ]")
        return Dictionary(place=self._place(opening), options=tuple(options))

    def _close(self, opening: Lexeme, mark: str, allowed: str) -> None:
        if self._now.mark == mark:
            self._take()
            return
        found, line = self._now, self._now.line
        where = "" if line == opening.line else f" in line {line}"
        self.flaw(f"{opening} is not closed: found {found}{where}, allowed: {allowed}", opening)

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise _TooDeepError

    def _begins_word(self) -> bool:
        """Tell whether a line begins here with a bare word."""
        is_first = not self._at or self._lexemes[self._at - 1].line < self._now.line
        return is_first and self._is_text() and not self._now.is_quoted

    def _begins_item(self) -> bool:
        """Tell whether a line begins here that reads as an option or a stanza of its own.

        White space is free, so that this only decides where something is missing before it.
        """
        at, line = self._at, self._now.line
        if not self._begins_word():
            return False
        while not self._lexemes[at].mark and self._lexemes[at].line == line:
            at += 1
        return self._lexemes[at].mark in ("=", "{") and self._lexemes[at].line == line

    def _place(self, lexeme: Lexeme) -> Place:
        return Place(self._file, lexeme.line)
