"""The bytes of SMTP's DATA: where they end, and the dots before lines (RFC 5321 section 4.5.2).

A face over the compiled core, so that neither side of the proxy scans a message in Python.
Arguments are `bytes`: what can't change can be scanned without the interpreter's lock.
"""

from typing import Final

try:
    from msys_track._core import BareNewlineError
    from msys_track._core import find_end_of_data as _find_end_of_data
    from msys_track._core import normalize as _normalize
    from msys_track._core import relax_body as _relax_body
    from msys_track._core import stuff as _stuff
    from msys_track._core import unstuff as _unstuff
except ModuleNotFoundError:  # a package without the compiled core
    from msys_track.smtp.plain import BareNewlineError  # type: ignore[assignment]
    from msys_track.smtp.plain import find_end_of_data as _find_end_of_data
    from msys_track.smtp.plain import normalize as _normalize
    from msys_track.smtp.plain import relax_body as _relax_body
    from msys_track.smtp.plain import stuff as _stuff
    from msys_track.smtp.plain import unstuff as _unstuff

__all__ = [
    "THREAD_FROM_BYTES",
    "BareNewlineError",
    "find_end_of_data",
    "normalize",
    "relax_body",
    "stuff",
    "unstuff",
]

THREAD_FROM_BYTES: Final = 256 * 1024
"""A thread is worth its cost from here on; the core works without the interpreter's lock."""


def find_end_of_data(buffer: bytes, start: int) -> int | None:
    r"""Return the offset of the dot of the line that ends the data; None if it is still to come.

    With the answer `end`, `buffer[:end]` is for `unstuff`, and what the client sent after the
    data begins at `end + 3`.

    Args:
        buffer: all that has arrived since the answer to DATA; `.\r\n` alone is an empty message.
        start: how much of it an earlier call has seen; 0 at first. An end line across this place
            is found.
    """
    return _find_end_of_data(buffer, start)


def unstuff(wire: bytes) -> bytes:
    """Return the message in wire bytes without their end line, stuffed dots removed.

    Raises:
        BareNewlineError: a CR or LF stands alone, which some servers take for the end of a line
            (SMTP smuggling); `args[0]` is its offset in `wire`.
    """
    return _unstuff(wire)


def stuff(message: bytes) -> bytes:
    r"""Return the wire bytes of a message: dots stuffed, and the end line added.

    A message without a line break at its end gets one; an empty message is `.\r\n` alone.
    """
    return _stuff(message)


def normalize(wire: bytes) -> bytes:
    """Return wire bytes in which only CRLF is left, for those that `unstuff` refuses.

    A line ends at its LF, with all CRs before it, as servers that take bare LF read it; a CR
    elsewhere becomes a space. So `unstuff` and `stuff` deal with each dot that such a server could
    take for the end of the data.
    """
    return _normalize(wire)


def relax_body(wire: bytes, start: int) -> bytes:
    """Return the body that begins at `start` of wire bytes, in DKIM's relaxed form.

    Stuffed dots and the end line are no part of it (RFC 6376 section 3.4.4).

    Raises:
        BareNewlineError: a CR or LF stands alone; `args[0]` is its offset in the body.
    """
    return _relax_body(wire, start)
