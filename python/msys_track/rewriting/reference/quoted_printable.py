"""Quoted-printable (RFC 2045 section 6.7): decoding with a way back, and writing into a line."""

import re
from bisect import bisect_right
from string import hexdigits
from typing import Final

_MAX_LINE: Final = 76
_ESCAPE: Final = re.compile(rb"=(?:([0-9A-Fa-f]{2})|[ \t]*(?:\r?\n|\Z))")
_BYTES: Final = {
    f"{high}{low}".encode(): bytes.fromhex(high + low) for high in hexdigits for low in hexdigits
}
_LITERAL: Final = re.compile(rb"[ -<>-~]")
_TEXT: Final = re.compile(rb"[ -<>-~]+|[^ -<>-~]")


class Decoded:
    """A decoded body that knows where each of its bytes stands in the message."""

    __slots__ = ("_body", "_encoded", "_lengths", "_starts", "content")

    def __init__(self, encoded: bytes, body: int) -> None:
        """Decode a body whose first byte stands at `body` of the message.

        A `=` that begins neither an escape nor a soft line break stays as it stands.
        """
        self._body = body
        # Each run of bytes that follow each other: where it is in the content and in the message.
        self._starts: list[int] = []
        self._encoded: list[int] = []
        self._lengths: list[int] = []
        pieces = []
        copied = length = 0
        for escape in _ESCAPE.finditer(encoded):
            at = escape.start()
            if at > copied:
                pieces.append(encoded[copied:at])
                self._add_run(length, copied, 1)
                length += at - copied
            if escape[1]:
                pieces.append(_BYTES[escape[1]])
                self._add_run(length, at, 3)
                length += 1
            copied = escape.end()
        if copied < len(encoded):
            pieces.append(encoded[copied:])
            self._add_run(length, copied, 1)
        self.content = b"".join(pieces)

    def _add_run(self, start: int, at: int, length: int) -> None:
        self._starts.append(start)
        self._encoded.append(self._body + at)
        self._lengths.append(length)

    def locate(self, start: int, end: int) -> tuple[int, int]:
        """Return the bytes of the message that a range of the content stands for.

        What is inserted goes right before the byte at its place, or behind the last byte.
        """
        last = self._body if end == 0 else self._locate_byte(end - 1)[1]
        if start == end and start >= len(self.content):
            return last, last
        first = self._locate_byte(start)[0]
        return first, max(first, last)

    def _locate_byte(self, at: int) -> tuple[int, int]:
        run = bisect_right(self._starts, at) - 1
        start = self._encoded[run] + at - self._starts[run]
        return start, start + self._lengths[run]


def encode_line(  # noqa: PLR0913 - what stands around it
    text: bytes, *, column: int, tail: int, eol: bytes, is_line: bool, needs_soft_break: bool
) -> bytes:
    """Encode text for a place within an encoded line.

    Args:
        text: without line breaks.
        column: bytes before it on its line.
        tail: bytes behind it on its line.
        eol: the line break.
        is_line: whether the text gets a line of its own.
        needs_soft_break: whether a line break would change what stands before it.
    """
    writer = _Writer(column, eol)
    if is_line:
        if needs_soft_break:
            writer.break_softly()
        writer.break_line()
    for piece in _TEXT.findall(text):
        writer.write(piece)
    if is_line:
        writer.break_line()
    if tail > 0 and writer.column > 0 and writer.column + tail > _MAX_LINE:
        writer.break_softly()
    return bytes(writer.out)


class _Writer:
    __slots__ = ("_eol", "column", "out")

    def __init__(self, column: int, eol: bytes) -> None:
        self.out = bytearray()
        self.column = column
        self._eol = eol

    def write(self, piece: bytes) -> None:
        if _LITERAL.match(piece) is None:
            self._write_escaped(piece)
            return
        while piece:
            self._make_room(1)
            if self.column == 0 and piece.startswith(b"-"):
                # Literal, it might begin a boundary line.
                self._write_escaped(b"-")
                piece = piece[1:]
                continue
            fitting = piece[: _MAX_LINE - 1 - self.column]
            self.out += fitting
            self.column += len(fitting)
            piece = piece[len(fitting) :]

    def _write_escaped(self, byte: bytes) -> None:
        self._make_room(3)
        self.out += b"=%02X" % byte[0]
        self.column += 3

    def _make_room(self, length: int) -> None:
        if self.column + length >= _MAX_LINE:
            self.break_softly()

    def break_softly(self) -> None:
        self.out += b"=" + self._eol
        self.column = 0

    def break_line(self) -> None:
        self.out += self._eol
        self.column = 0
