"""Lines of a message, as edits see them (RFC 5322 section 2.1.1)."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

MAX_LINE: Final = 998


@dataclass(frozen=True, slots=True)
class Around:
    """What of the message's lines stands before and behind a range."""

    before: bytes
    """From the start of the line that it begins on."""
    after: bytes
    """Up to the line break of the line that it ends on."""
    is_too_long: bool
    """Whether one of those lines came longer than it may be."""


NO_LINES: Final = Around(b"", b"", is_too_long=False)


def look_around(message: bytes, body: tuple[int, int], start: int, end: int) -> Around:
    """Find the lines that a range of a body stands on."""
    first, last = body
    line = max(message.rfind(b"\n", first, start) + 1, first)
    newline = message.find(b"\n", end, last)
    line_end = last if newline < 0 else newline
    lines = message[line : line_end + (newline >= 0)].split(b"\n")
    contents = [each.removesuffix(b"\r") for each in lines[:-1]] + [lines[-1]]
    after = message[end:line_end]
    return Around(
        before=message[line:start],
        after=after.removesuffix(b"\r") if newline >= 0 else after,
        is_too_long=any(len(each) > MAX_LINE for each in contents),
    )


def find_line_break(octets: bytes) -> bytes:
    """Return the line break that some bytes have: CRLF, unless their first line ends otherwise."""
    newline = octets.find(b"\n")
    if newline < 0 or octets[max(newline - 1, 0) : newline] == b"\r":
        return b"\r\n"
    return b"\n"


def is_boundary(line: bytes, boundaries: Iterable[bytes]) -> bool:
    """Tell whether a line would end a part (RFC 2046 section 5.1.1)."""
    return any(line.startswith(b"--" + boundary) for boundary in boundaries)
