"""Header sections: where each field stands (RFC 5322 section 2.2), and values with parameters."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote_to_bytes

from msys_track.rewriting.reference.links import lower_ascii

SEALS: Final = frozenset({b"dkim-signature", b"arc-seal"})
"""Names of fields that make a message a signed one."""
SIGNATURES: Final = SEALS | {b"arc-message-signature", b"arc-authentication-results"}
"""What goes where signatures are taken off: a seal covers the rest of its set (RFC 8617)."""

_MARK: Final = b"\xef\xbb\xbf"
_MBOX_LINE: Final = re.compile(rb">?From [^\n]*(?:\n|\Z)")
_NAME: Final = re.compile(rb"[!-9;-~]+")
_MAX_PARAMETERS: Final = 200  # of a field; one of thousands is an attack
_LINE_BREAKS: Final = b"\r\n"
_BLANK: Final = " \t\n\f\r"
_COMMENT_PIECES: Final = re.compile(r'\\.|["()]|[^"()\\]+|\\', re.DOTALL)
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)(?:"|\\?\Z)', re.DOTALL)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_CONTINUED: Final = re.compile(r"\*(?:\+?([0-9]+)(\*?)|)")


@dataclass(slots=True, kw_only=True)
class Field:
    """One header field; it grows by its continuation lines while its section is read."""

    name: bytes
    """In lower case."""
    value: bytes
    """What follows the colon, still folded, without the last line break."""
    lines: list[tuple[int, int]]
    """Start and end of each run of its lines; runs that are not the field's stand between."""


@dataclass(slots=True)
class Section:
    """A header section."""

    fields: list[Field] = field(default_factory=list)
    end: int = 0
    """The empty line, or the end of what holds the section."""
    body: int = 0
    """The first byte of the body."""
    is_ended: bool = False
    """Whether the empty line is there."""
    is_malformed: bool = False
    """Whether a line is neither a field nor the continuation of one."""

    def find_values(self, name: bytes) -> list[bytes]:
        """Return the unfolded values of the fields of that name (RFC 5322 section 2.2.3)."""
        return [
            each.value.translate(None, _LINE_BREAKS) for each in self.fields if each.name == name
        ]


def skip_prelude(message: bytes) -> int:
    """Return where the first header field begins: behind a byte order mark and an mbox line."""
    at = len(_MARK) if message.startswith(_MARK) else 0
    line = _MBOX_LINE.match(message, at)
    if line is None:
        return at
    at = line.end()
    return at + len(_MARK) if message.startswith(_MARK, at) else at


def read_section(message: bytes, start: int, end: int) -> Section:
    """Read the header section of the entity that stands from `start` to `end`."""
    section = Section()
    at = start
    while at < end:
        newline = message.find(b"\n", at, end)
        next_line = end if newline < 0 else newline + 1
        content_end = end if newline < 0 else newline
        if newline > at and message[newline - 1 : newline] == b"\r":
            content_end -= 1
        content = message[at:content_end]
        if not content:
            section.end, section.body, section.is_ended = at, next_line, True
            return section
        if content[:1] in (b" ", b"\t"):
            # Of the last field before it, even behind lines that are not a field.
            if section.fields:
                _continue_field(message, section.fields[-1], at, content, next_line)
            else:
                section.is_malformed = True
        else:
            name, colon, value = content.partition(b":")
            name = name.rstrip(b" \t\n\f\r")
            if colon and _NAME.fullmatch(name):
                section.fields.append(
                    Field(name=name.lower(), value=value, lines=[(at, next_line)])
                )
            else:
                section.is_malformed = True
        at = next_line
    section.end = section.body = at
    return section


def _continue_field(message: bytes, last: Field, at: int, content: bytes, end: int) -> None:
    start, before = last.lines[-1]
    # The line break before it is the value's now: that of the field's own line.
    newline = b"\r\n" if message[before - 2 : before] == b"\r\n" else b"\n"
    last.value += newline + content
    if before == at:
        last.lines[-1] = (start, end)
    else:
        last.lines.append((at, end))


# Values with parameters


@dataclass(frozen=True, slots=True)
class Value:
    """A value with parameters (RFC 2045 section 5.1, RFC 2231 sections 3 and 4)."""

    word: str
    """What stands before the first `;`: a media type or a disposition, in lower case."""
    parameters: tuple[tuple[str, str], ...] = ()
    """Names in lower case and values, as they stand."""

    def find(self, name: str) -> str | None:
        """Return a parameter's value, if it is there."""
        for found, value in self.parameters:
            if found == name:
                return value
        return self._find_continued(name)

    def is_ambiguous(self, name: str, *, fold: Callable[[str], str] = str) -> bool:
        """Tell whether one reader may take another value for a parameter's than the next.

        Args:
            name: in lower case.
            fold: makes those values equal that mean the same.
        """
        values: dict[str, set[str]] = {}
        for found, value in self.parameters:
            if found == name or found.startswith(f"{name}*"):
                values.setdefault(found, set()).add(fold(value))
        if any(len(rivals) > 1 for rivals in values.values()):
            return True
        continued = self._find_continued(name)
        return continued is not None and name in values and fold(continued) not in values[name]

    def _find_continued(self, name: str) -> str | None:
        """Return the value that stands as `name*=`, or in `name*0=` and its like, joined."""
        sections: dict[int, str] = {}
        for found, value in self.parameters:
            suffix = _CONTINUED.fullmatch(found.removeprefix(name))
            if suffix is None or not found.startswith(name):
                continue
            number = int(suffix[1] or 0)
            is_extended = suffix[1] is None or suffix[2] == "*"
            decoded = _decode_extended(value, is_first=number == 0) if is_extended else value
            sections.setdefault(number, decoded)
        joined = None
        for number in range(len(sections)):
            if number not in sections:
                break
            joined = (joined or "") + sections[number]
        return joined


def read_value(value: bytes) -> Value:
    """Read an unfolded value with parameters; comments are dropped."""
    word, _, rest = drop_comments(value.decode("utf-8", "replace")).partition(";")
    return Value(lower_ascii(word.strip(_BLANK)), tuple(_read_parameters(rest)))


def read_media_type(value: bytes) -> Value:
    """Read an unfolded Content-Type; what is none is text/plain (RFC 2045 section 5.2)."""
    read = read_value(value)
    kind, slash, subtype = read.word.partition("/")
    return read if kind and slash and subtype else Value("text/plain")


def drop_comments(text: str) -> str:
    """Drop comments (RFC 822 section 3.1.4), which nest; not inside quoted strings."""
    kept: list[str] = []
    depth, is_quoted = 0, False
    for piece in _COMMENT_PIECES.findall(text):
        if piece == '"' and depth == 0:
            is_quoted = not is_quoted
        elif piece == "(" and not is_quoted:
            depth += 1
            continue
        elif piece == ")" and not is_quoted and depth > 0:
            depth -= 1
            continue
        if depth == 0:
            kept.append(piece)
    return "".join(kept)


def _read_parameters(text: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    rest = text
    while "=" in rest and len(found) < _MAX_PARAMETERS:
        name, _, rest = rest.partition("=")
        name = lower_ascii(name.rpartition(";")[2].strip(_BLANK))
        rest = rest.lstrip(_BLANK)
        quoted = _QUOTED.match(rest)
        if quoted is not None:
            value, rest = _ESCAPED.sub(r"\1", quoted[1]), rest[quoted.end() :]
        else:
            value, _, rest = rest.partition(";")
            value = value.strip(_BLANK)
        if name:
            found.append((name, value))
    return found


def _decode_extended(value: str, *, is_first: bool) -> str:
    pieces = value.split("'", 2)
    encoded = pieces[2] if is_first and len(pieces) == 3 else value  # noqa: PLR2004 - charset, language, text
    return unquote_to_bytes(encoded).decode("utf-8", "replace")
