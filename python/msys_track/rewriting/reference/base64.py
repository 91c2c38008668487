"""Base64 bodies (RFC 2045 section 6.8): decoding, and writing from the first changed group on."""

import base64
import re
from dataclasses import dataclass
from typing import Final

_BLANK: Final = b" \t\r\n\f"
_MAX_LINE: Final = 76
_LONGEST_LINE: Final = 996  # RFC 5322 section 2.1.1, in whole groups
_STEPS: Final = (4_096, 64, 1)  # in which a character is looked for
_BODY: Final = re.compile(rb"([A-Za-z0-9+/]*)(={0,2})")
_CUT_GROUP: Final = 3  # characters that are missing where a group has one only


class MalformedError(Exception):
    """A body that is not base64."""


def decode(encoded: bytes) -> bytes:
    """Decode a body; line breaks, spaces, tabs and form feeds are passed over.

    Raises:
        MalformedError: another byte, data behind the padding, or a group that is cut.
    """
    body = _BODY.fullmatch(encoded.translate(None, _BLANK))
    if body is None:
        raise MalformedError
    missing = -len(body[1]) % 4
    if missing == _CUT_GROUP or len(body[2]) > missing:
        raise MalformedError
    return base64.b64decode(body[1] + b"=" * missing)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where an encoded body is cut, and how its lines look."""

    start: int
    """Offset into the body of the group's first character."""
    column: int
    """Characters before it on its line."""
    line_length: int
    """Characters on a full line."""
    end: int
    """The end of the last character that is not white space."""


def find_group(encoded: bytes, group: int) -> Layout:
    """Find the group of four characters with that number, from 0."""
    end = len(encoded.rstrip(_BLANK))
    start, left = 0, group * 4
    for step in _STEPS:
        while start < end:
            characters = len(encoded[start : start + step].translate(None, _BLANK))
            if characters > left:
                break
            left -= characters
            start += step
    start = min(start, end)
    line = encoded.rfind(b"\n", 0, start) + 1
    column = len(encoded[line:start].translate(None, _BLANK))
    return Layout(start, column, _measure_line(encoded), end)


def _measure_line(encoded: bytes) -> int:
    # The longest of several lines tells how long a full one is; a single one may be short.
    body = encoded.strip(_BLANK)
    longest = max([len(line.rstrip(_BLANK)) for line in body.split(b"\n")])
    if longest == len(body):
        return _MAX_LINE
    return min(max(longest, 4), _LONGEST_LINE) // 4 * 4


def encode(content: bytes, layout: Layout, eol: bytes) -> bytes:
    """Encode bytes in lines; the first goes on at the layout's column."""
    encoded = base64.b64encode(content)
    room = max(layout.line_length - layout.column, 0)
    lines = [encoded[:room]]
    lines += [
        encoded[at : at + layout.line_length]
        for at in range(room, len(encoded), layout.line_length)
    ]
    return eol.join(lines)
