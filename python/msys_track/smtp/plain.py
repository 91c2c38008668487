"""SMTP's DATA in pure Python, for a package without the compiled core (RFC 5321 section 4.5.2)."""

import re
from typing import Final

_END: Final = b".\r\n"
_END_LINE: Final = b"\r\n.\r\n"
_LINE_END_OR_RETURN: Final = re.compile(rb"\r*(\n)|\r")
_BARE: Final = re.compile(rb"\r(?!\n)|(?<!\r)\n")

_SPACES: Final = re.compile(rb"[ \t]+")


class BareNewlineError(Exception):
    """A bare CR or LF in SMTP data; its offset is the argument."""


def find_end_of_data(buffer: bytes, start: int, /) -> int | None:
    """Return the offset of the dot of the line that ends the data, if it is there."""
    if start < len(_END) and buffer.startswith(_END):
        return 0
    found = buffer.find(_END_LINE, max(start - len(_END_LINE) + 1, 0))
    return None if found < 0 else found + 2


def unstuff(wire: bytes, /) -> bytes:
    """Return the message in wire bytes without their end line.

    Raises:
        BareNewlineError: a CR or LF stands alone.
    """
    bare = _BARE.search(wire)
    if bare is not None:
        raise BareNewlineError(bare.start())
    return wire.removeprefix(b".").replace(b"\r\n.", b"\r\n")


def stuff(message: bytes, /) -> bytes:
    """Return the wire bytes of a message with their end line."""
    dotted = b"." * message.startswith(b".") + message.replace(b"\r\n.", b"\r\n..")
    ends_in_line = not message or message.endswith(b"\r\n")
    return dotted + (b"" if ends_in_line else b"\r\n") + _END


def normalize(wire: bytes, /) -> bytes:
    """Return wire bytes in which only CRLF is left."""
    return _LINE_END_OR_RETURN.sub(lambda found: b"\r\n" if found[1] else b" ", wire)


def relax_body(wire: bytes, start: int, /) -> bytes:
    """Return the body that begins at `start`, in DKIM's relaxed form.

    Raises:
        BareNewlineError: a CR or LF stands alone.
    """
    stuffed = wire[start:]
    end = find_end_of_data(stuffed, 0)
    lines = _SPACES.sub(b" ", unstuff(stuffed[:end])).split(b"\r\n")
    relaxed = b"\r\n".join(line.rstrip(b" ") for line in lines)
    while relaxed.endswith(b"\r\n"):
        relaxed = relaxed[:-2]
    return relaxed + b"\r\n" if relaxed else b""
