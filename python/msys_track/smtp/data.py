"""The bytes of SMTP's DATA: where they end, and the dots before lines (RFC 5321 section 4.5.2).

A face over the compiled core, so that neither side of the proxy scans a message in Python.
Arguments are `bytes`: what can't change can be scanned without the interpreter's lock.
"""

from typing import Final

from msys_track._core import BareNewlineError
from msys_track._core import find_end_of_data as _find_end_of_data
from msys_track._core import stuff as _stuff
from msys_track._core import unstuff as _unstuff

__all__ = ["THREAD_FROM_BYTES", "BareNewlineError", "find_end_of_data", "stuff", "unstuff"]

THREAD_FROM_BYTES: Final = 256 * 1024
"""Below, a thread costs more than it frees the event loop of; the core works without the GIL."""


def find_end_of_data(buffer: bytes, start: int) -> int | None:
    r"""The offset of the dot of the line that ends the data, None if it is still to come.

    With the answer `end`, `buffer[:end]` is for `unstuff`, and what the client sent after the
    data begins at `end + 3`. `buffer` begins with the first byte after the answer to DATA, so
    that `.\r\n` at offset 0 is an empty message.

    Args:
        buffer: All that has arrived since the answer to DATA.
        start: How much of it an earlier call has seen; 0 at first. An end line that straddles
            this place is found.
    """
    return _find_end_of_data(buffer, start)


def unstuff(wire: bytes) -> bytes:
    """The message in wire bytes without their end line: stuffed dots are taken off.

    Raises:
        BareNewlineError: a CR or LF stands alone, which some servers take for a line's end
            (SMTP smuggling); `args[0]` is its offset in `wire`.
    """
    return _unstuff(wire)


def stuff(message: bytes) -> bytes:
    r"""Wire bytes of a message: dots before lines that begin with one, and the end line.

    A message without a line break at its end gets one; an empty message is `.\r\n` alone.
    """
    return _stuff(message)
