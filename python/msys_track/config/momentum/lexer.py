"""The characters of `ecelerity.conf` as lexemes: marks and texts, comments left out.

Where a quote is left open, the fault is told at its own line and the rest is still read.
"""

import re
import unicodedata
from collections.abc import Iterator
from typing import Final, NamedTuple

from msys_track.settings.kinds import shown

_MAX_SHOWN: Final = 60
END: Final = "end"
"""The mark of the lexeme after the last."""

_NOT_IN_WORDS: Final = r"\s#\"'={}()\[\]\x00-\x1f\x7f\ud800-\udfff"


def _lexeme(*, separator: str = "") -> re.Pattern[str]:
    space = rf"[ \t\r\n\f\v{separator}]++|\#[^\n]*+|/\*.*?\*/"
    string = r"\"(?:[^\"\\]++|\\.)*+\"|'[^']*+'"
    word = rf"(?:[^/{_NOT_IN_WORDS}{separator}]|/(?!\*))++"
    return re.compile(
        rf"(?P<space>{space})|(?P<mark>[={{}}()\[\]])|(?P<string>{string})|(?P<word>{word})",
        re.DOTALL,
    )


_IN_STANZA: Final = _lexeme()
# The manual's arrays have commas between their items in places, and none in most.
_IN_LIST: Final = _lexeme(separator=",")

_ESCAPE: Final = re.compile(rb"\\(?:([0-7]{1,3})|x([0-9A-Fa-f]{1,2})|\r?(.))", re.DOTALL)
_ESCAPED: Final = {
    b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v",
    b"\\": b"\\", b'"': b'"', b"'": b"'", b"?": b"?", b"\n": b"",
}  # fmt: skip
_QUOTES: Final = ('"', "'")
_AFTER_STRING: Final = re.compile(r"[\s)\]{}=,#]|/\*|\Z")
_LOOKS_LIKE_OPTION: Final = re.compile(r"\s*+[\w.-]++\s*+=\s*+")


class Lexeme(NamedTuple):
    """A mark, one of `= { } ( ) [ ]`, or a text, whose mark is empty."""

    mark: str
    text: str
    line: int
    """From 1."""
    column: int
    """From 0."""
    is_quoted: bool = False

    def __str__(self) -> str:
        if self.mark == END:
            return "the end of the file"
        return self.mark or (shown(self.text) if self.is_quoted else self.text[:_MAX_SHOWN])


class Flaw(NamedTuple):
    """What is wrong with the text of one file, and in which line, from 1."""

    line: int
    text: str


class Lexer:
    """One file's text, cut into lexemes; `flaws` is complete when `lexemes` is exhausted."""

    __slots__ = ("_line", "_line_start", "_nesting", "_place", "_text", "flaws")

    def __init__(self, text: str) -> None:
        self._text = text
        self._place = self._line_start = self._nesting = 0
        self._line = 1
        self.flaws: list[Flaw] = []

    def lexemes(self) -> Iterator[Lexeme]:
        """Yield every lexeme in order, `END` last."""
        while self._place < len(self._text):
            pattern = _IN_LIST if self._nesting else _IN_STANZA
            match = pattern.match(self._text, self._place)
            if match is None and self._text[self._place] in _QUOTES:
                yield self._open_string()
            elif match is None:
                self._skip_flaw()
            elif match.lastgroup == "string":
                yield self._string(match[0])
            else:
                if match.lastgroup != "space":
                    yield self._mark_or_word(match)
                self._move_to(match.end())
        yield Lexeme(END, "", self._line, self._place - self._line_start)

    def _mark_or_word(self, match: re.Match[str]) -> Lexeme:
        mark, word = match["mark"] or "", match["word"] or ""
        if mark in ("(", "["):
            self._nesting += 1
        elif mark in (")", "]"):
            self._nesting = max(self._nesting - 1, 0)
        elif mark in ("{", "}"):
            self._nesting = 0
        return Lexeme(mark, word, self._line, self._place - self._line_start)

    def _string(self, written: str) -> Lexeme:
        if "\n" in written and self._swallowed(written):
            return self._open_string()
        line, column = self._line, self._place - self._line_start
        text = written[1:-1]
        if written.startswith('"') and "\\" in text:
            text = _unescaped(text)
        if not _is_unicode(text):
            self._flaw("found a text that is not UTF-8")
            text = _replaced(text)
        self._move_to(self._place + len(written))
        return Lexeme("", text, line, column, is_quoted=True)

    def _swallowed(self, written: str) -> bool:
        """Tell whether a text over several lines is what a missing quote made of them."""
        last_line = written[written.rindex("\n") + 1 : -1]
        is_followed = not _AFTER_STRING.match(self._text, self._place + len(written))
        return is_followed or _LOOKS_LIKE_OPTION.fullmatch(last_line) is not None

    def _open_string(self) -> Lexeme:
        """Read a text whose closing quote is missing up to the end of its line."""
        quote = self._text[self._place]
        self._flaw(f"a quote is missing: the text that {quote} begins here does not end")
        end = self._text.find("\n", self._place)
        end = len(self._text) if end < 0 else end
        lexeme = Lexeme(
            "",
            _replaced(self._text[self._place + 1 : end].rstrip()),
            self._line,
            self._place - self._line_start,
            is_quoted=True,
        )
        self._move_to(end)
        return lexeme

    def _skip_flaw(self) -> None:
        character = self._text[self._place]
        if character == "/":
            self._flaw("a comment is not closed: /* begins here and */ is missing")
            self._move_to(len(self._text))
        else:
            self._flaw(f"found {_named(character)}")
            self._move_to(self._place + 1)

    def _flaw(self, text: str) -> None:
        self.flaws.append(Flaw(self._line, text))

    def _move_to(self, place: int) -> None:
        last = self._text.rfind("\n", self._place, place)
        if last >= 0:
            self._line += self._text.count("\n", self._place, place)
            self._line_start = last + 1
        self._place = place


def _unescaped(text: str) -> str:
    octets = _ESCAPE.sub(_octet, text.encode("utf-8", "surrogateescape"))
    return octets.decode("utf-8", "surrogateescape")


def _octet(escape: re.Match[bytes]) -> bytes:
    octal, hexadecimal, letter = escape.groups()
    if letter is not None:
        # A pattern such as "^.*\.example\.com$" is written with one backslash in many files.
        return _ESCAPED.get(letter, escape[0])
    return bytes([int(octal or hexadecimal, 8 if octal else 16) & 0xFF])


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _replaced(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _named(character: str) -> str:
    if "\udc80" <= character <= "\udcff":
        return f"the byte 0x{ord(character) - 0xDC00:02X}, which is not UTF-8"
    name = unicodedata.name(character, "a control character").lower()
    return f"U+{ord(character):04X} ({name}), allowed only in quotes"
