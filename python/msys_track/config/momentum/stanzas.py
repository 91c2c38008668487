"""Stanzas, options and values of one `ecelerity.conf`: syntax only, no names.

After a fault, reading goes on where the next option or stanza seems to begin, so that all faults
of a file are reported together.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from msys_track.config.document import Place
from msys_track.config.momentum.lexer import END, Flaw, Lexeme, read_lexemes

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
class _Named:
    place: Place
    written: str
    """The name as the file has it."""

    @property
    def name(self) -> str:
        """The name in lower case: outside dictionaries, the case of ASCII letters is ignored."""
        return self.written.lower() if self.written.isascii() else self.written


@dataclass(frozen=True, slots=True, kw_only=True)
class Option(_Named):
    """`key = value`."""

    value: Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Stanza(_Named):
    """`Name "instance" { … }`; its body has the content of its includes."""

    instances: tuple[str, ...]
    body: tuple["Item", ...]


Item: TypeAlias = Option | Stanza
Include: TypeAlias = Callable[[Place, str, int], Sequence[Item]]
"""Reads the file that an include names, given the place, the name and the nesting depth."""


class _TooDeepError(Exception):
    pass


def read_stanzas(
    text: str, file: Path, include: Include, *, depth: int = 0
) -> tuple[list[Item], list[Flaw]]:
    """Read one file's text; `include` is called where the text includes a file or folder.

    `depth` is that of the include that led here: files and stanzas nest within one limit.

    Returns:
        What could be read, and what is wrong: one flaw a line at most, as more would follow from
        it.
    """
    lexemes, flaws = read_lexemes(text)
    grammar = _Grammar(file, lexemes, include, depth)
    items = grammar.read_file()
    by_line: dict[int, Flaw] = {}
    for flaw in (*flaws, *grammar.flaws):
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
        self._misfit = 0
        """The line of the first brace that seems to close something else; 0: none."""
        self._valued: tuple[Lexeme | None, int] = (None, 0)
        """The last option that got a value, and the line where the value ends."""
        self.flaws: list[Flaw] = []

    def read_file(self) -> list[Item]:
        items: list[Item] = []
        try:
            items += self._read_body()
            while (brace := self._take()).mark != END:
                self._add_flaw(brace, "found }, but no stanza is open here")
                items += self._read_body()
        except _TooDeepError:
            text = f"nested deeper than {_MAX_DEPTH} levels; what follows was not read"
            self._add_flaw(self._now, text)
            return []
        return items

    # Productions: each takes the lexemes that it reads.

    def _read_body(self) -> list[Item]:
        """Read options, stanzas and includes up to the brace that closes them, or the end."""
        items: list[Item] = []
        while self._now.mark not in ("}", END):
            name, now = self._take(), self._now
            if name.mark:
                self._add_flaw(name, f"found {name}, allowed: an option, a stanza or an include")
                if name.mark == "{":
                    self._read_braces(name)
                elif name.mark == "=" and not now.mark and now.line == name.line:
                    self._take()
            elif now.mark == "=" and self._opens_braces():
                self._take()  # Stanza = { … }, as some of the manual's pages have it
                items += self._read_stanza(name)
            elif now.mark == "=" or (now.mark in ("(", "[") and now.line == name.line):
                items += self._read_option(name)
            elif name.is_quoted or name.text.lower() not in _INCLUDES:
                items += self._read_stanza(name)
            elif now.mark or now.line != name.line:
                self._add_flaw(name, f'{name} names no file, allowed: {name} "file or folder"')
            else:
                self._deepen()
                items += self._include(self._place(name), self._take().text, self._depth)
                self._depth -= 1
        return items

    def _read_option(self, name: Lexeme) -> list[Option]:
        """Read the sign and the value after a name; return an empty list if there is no value."""
        # A list or a dictionary may stand without the sign: map [ … ].
        equals = self._take() if self._now.mark == "=" else name
        found = self._now
        value = self._read_value()
        if value is None:
            here = f"found {found}" if found.line == equals.line else "found nothing"
            self._add_flaw(equals, f"{here} after {name} =, allowed: a value, ( … ) or [ … ]")
            return []
        self._valued = (name, self._lexemes[self._at - 1].line)
        return [Option(place=self._place(name), written=name.text, value=value)]

    def _read_value(self) -> Value | None:
        """Read a value; None where none begins here."""
        begin = self._now
        if begin.mark not in ("", "(", "[") or self._begins_item():
            return None
        self._take()
        place = self._place(begin)
        if not begin.mark:
            return Text(place=place, text=begin.text)
        self._deepen()
        if begin.mark == "(":
            values: list[Value] = []
            while (value := self._read_value()) is not None:
                values.append(value)
            self._close(begin, ")", "values and )")
            return Array(place=place, values=tuple(values))
        options: list[Option] = []
        while not (key := self._now).mark:
            self._take()
            if self._now.mark == "=":
                options += self._read_option(key)
            else:
                self._add_flaw(key, f"found {key} in [ … ], allowed: {key} = value")
        self._close(begin, "]", "name = value and ]")
        return Dictionary(place=place, options=tuple(options))

    def _close(self, opening: Lexeme, mark: str, allowed: str) -> None:
        self._depth -= 1
        found = self._now
        if found.mark == mark:
            self._take()
            return
        where = "" if found.line == opening.line else f" in line {found.line}"
        text = f"{opening} is not closed: found {found}{where}, allowed: {allowed}"
        self._add_flaw(opening, text)

    def _read_stanza(self, name: Lexeme) -> list[Stanza]:
        """Read the rest of a stanza; return an empty list if it is not one."""
        instances: list[Lexeme] = []
        while not self._now.mark and not self._begins_line():
            following = self._lexemes[self._at + 1]
            if following.mark == "=" and self._lexemes[self._at + 2].mark != "{":
                break
            instances.append(self._take())
        if instances and self._now.mark == "=" and self._opens_braces():
            self._take()
        if self._now.mark == "{" and not name.is_quoted:
            self._take()
            place, body = self._place(name), tuple(self._read_braces(name))
            texts = tuple(instance.text for instance in instances)
            return [Stanza(place=place, written=name.text, instances=texts, body=body)]
        option, line = self._valued
        if line == name.line:
            text = f"found {name} after the value of {option}; white space needs quotes"
        elif name.is_quoted:
            text = f"found {name} where an option or a stanza begins"
        else:
            found = " ".join(map(str, (name, *instances[:1])))
            text = f"found {found}, allowed: {name} = value, or {name} {{ … }}"
        self._add_flaw(name, text)
        return []

    def _read_braces(self, begin: Lexeme) -> list[Item]:
        """Read the items between braces, of which the first was taken."""
        self._deepen()
        items = self._read_body()
        self._depth -= 1
        closing = self._take()
        if closing.mark != END:
            # Indented less than what it closes: a brace is missing before it.
            if closing.column < begin.column and closing.line > begin.line:
                self._misfit = self._misfit or closing.line
        elif self._depth == self._outermost:  # which is the one that lacks its brace
            guess = f", perhaps before line {self._misfit}" if self._misfit > begin.line else ""
            self._add_flaw(begin, f"{begin} {{ … is not closed: }} is missing{guess}")
        return items

    # Lexemes

    @property
    def _now(self) -> Lexeme:
        return self._lexemes[self._at]

    def _take(self) -> Lexeme:
        taken = self._now
        if taken.mark != END:
            self._at += 1
        return taken

    def _begins_line(self) -> bool:
        """Tell whether a line begins here with a bare word."""
        is_first = not self._at or self._lexemes[self._at - 1].line < self._now.line
        return is_first and not self._now.mark and not self._now.is_quoted

    def _begins_item(self) -> bool:
        """Tell whether a line begins here that reads as an option or a stanza of its own.

        White space is free, so this only decides where something is missing before it.
        """
        at, line = self._at, self._now.line
        if not self._begins_line():
            return False
        while not self._lexemes[at].mark and self._lexemes[at].line == line:
            at += 1
        return self._lexemes[at].mark in ("=", "{") and self._lexemes[at].line == line

    def _deepen(self) -> None:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise _TooDeepError

    def _opens_braces(self) -> bool:
        """Tell whether a brace follows the sign that stands here, on its line."""
        following = self._lexemes[self._at + 1]
        return following.mark == "{" and following.line == self._now.line

    def _place(self, lexeme: Lexeme) -> Place:
        return Place(self._file, lexeme.line)

    def _add_flaw(self, at: Lexeme, text: str) -> None:
        self.flaws.append(Flaw(at.line, text))
