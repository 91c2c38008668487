"""The characters of `ecelerity.conf` as lexemes: marks and texts, comments left out.

A missing quote is reported at the line where the text begins, and the rest is still read.
"""

import re
import unicodedata
from typing import Final, NamedTuple

from msys_track.settings.kinds import write_found

_MAX_SHOWN: Final = 60
END: Final = "end"
"""The mark of the lexeme after the last."""

_NOT_IN_WORDS: Final = r"\s#\"'={}()\[\]\x00-\x1f\x7f\ud800-\udfff"
_OPEN: Final = re.compile(r"(?P<open>[\"'][^\n]*+)")


# A domain's name may be a pattern between slashes, which holds what words can't.
_PATTERN: Final = r"/(?![*/])(?:[^/\\\n\x00-\x1f\x7f\ud800-\udfff]|\\[^\n])++/(?=\s*+\{)"


def _compile_lexeme(*, separator: str = "", pattern: str = "(?!)") -> re.Pattern[str]:
    """Make the pattern of a lexeme, of what separates lexemes, or of a fault."""
    space = rf"[ \t\r\n\f\v{separator}]++|\#[^\n]*+|/\*.*?\*/"
    string = r"\"(?:[^\"\\]++|\\.)*+\"|'[^']*+'"
    word = rf"(?:[^/{_NOT_IN_WORDS}{separator}]|/(?!\*))++"
    return re.compile(
        rf"(?P<space>{space})|(?P<mark>[={{}}()\[\]])|(?P<string>{string})"
        rf"|(?P<pattern>{pattern})|(?P<word>{word})"
        rf"|{_OPEN.pattern}|(?P<comment>/.*+)|(?P<byte>[\udc80-\udcff])|(?P<stray>.)",
        re.DOTALL,
    )


_IN_STANZA: Final = _compile_lexeme(pattern=_PATTERN)
# Some of the manual's arrays have commas between their items, but most have none.
_IN_LIST: Final = _compile_lexeme(separator=",")

_ESCAPE: Final = re.compile(rb"\\(?:([0-7]{1,3})|x([0-9A-Fa-f]{1,2})|\r?(.))", re.DOTALL)
_ESCAPED: Final = {
    b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v",
    b"\\": b"\\", b'"': b'"', b"'": b"'", b"?": b"?", b"\n": b"",
}  # fmt: skip
_NESTING: Final = {"(": 1, "[": 1, ")": -1, "]": -1, "=": 0}
_AFTER_STRING: Final = re.compile(r"[\s)\]{}=,#]|/\*|\Z")
_LOOKS_LIKE_OPTION: Final = re.compile(r"\s*+[\w.-]++\s*+=\s*+", re.ASCII)


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
        return self.mark or (write_found(self.text) if self.is_quoted else self.text[:_MAX_SHOWN])


class Flaw(NamedTuple):
    """A fault in the text of one file, and its line, from 1."""

    line: int
    text: str


def read_lexemes(text: str) -> tuple[list[Lexeme], list[Flaw]]:
    """Cut one file's text into lexemes, `END` last, and find what is not a lexeme."""
    lexemes: list[Lexeme] = []
    flaws: list[Flaw] = []
    place = line_start = nesting = 0
    line = 1
    while match := (_IN_LIST if nesting else _IN_STANZA).match(text, place):
        if _lacks_quote(match):
            match = _OPEN.match(text, place) or match
        kind, written, column = match.lastgroup, match[0], place - line_start
        content, flaw = _read_content(kind, written)
        if flaw:
            flaws.append(Flaw(line, flaw))
        if kind == "mark":
            lexemes.append(Lexeme(written, "", line, column))
            # A brace ends what a missing bracket left open.
            nesting = 0 if written in ("{", "}") else max(nesting + _NESTING[written], 0)
        elif content is not None:
            lexemes.append(Lexeme("", content, line, column, is_quoted=kind == "string"))
        place = match.end()
        if "\n" in written:
            line += written.count("\n")
            line_start = place - len(written) + written.rindex("\n") + 1
    return [*lexemes, Lexeme(END, "", line, place - line_start)], flaws


def _lacks_quote(match: re.Match[str]) -> bool:
    """Tell whether a text over several lines results from a missing quote."""
    if match.lastgroup != "string" or "\n" not in match[0]:
        return False
    is_glued = not _AFTER_STRING.match(match.string, match.end())
    last_line = match[0].rpartition("\n")[2][:-1]
    return is_glued or _LOOKS_LIKE_OPTION.fullmatch(last_line) is not None


def _read_content(kind: str | None, written: str) -> tuple[str | None, str]:
    """Return the content of a text, None for a comment or a stray character, and what is wrong."""
    content, flaw = None, ""
    match kind:
        case "word" | "pattern":
            content = written
        case "string":
            octets = written[1:-1].encode("utf-8", "surrogateescape")
            if written.startswith('"'):
                octets = _ESCAPE.sub(_read_escape, octets)
            content = octets.decode("utf-8", "replace")
            if content != octets.decode("utf-8", "surrogateescape"):
                flaw = "found a text that is not UTF-8"
        case "open":
            octets = written[1:].rstrip().encode("utf-8", "surrogateescape")
            content = octets.decode("utf-8", "replace")
            flaw = f"a quote is missing: the text that {written[0]} begins here does not end"
        case "comment":
            flaw = "a comment is not closed: /* begins here and */ is missing"
        case "byte":
            flaw = f"found the byte 0x{ord(written) - 0xDC00:02X}, which is not UTF-8"
        case "stray":
            name = unicodedata.name(written, "a control character").lower()
            flaw = f"found U+{ord(written):04X} ({name}), allowed only in quotes"
    return content, flaw


def _read_escape(escape: re.Match[bytes]) -> bytes:
    octal, hexadecimal, letter = escape.groups()
    if letter is not None:
        # A pattern such as "^.*\.example\.com$" is written with one backslash in many files.
        return _ESCAPED.get(letter, escape[0])
    return bytes([int(octal or hexadecimal, 8 if octal else 16) & 0xFF])
