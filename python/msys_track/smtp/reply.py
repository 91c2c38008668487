"""SMTP replies (RFC 5321 section 4.2): read from an upstream that may be hostile, and written.

Kept apart from connections, so that both directions share it and tests need no socket.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from msys_track.errors import UpstreamError

MAX_LINE_BYTES = 4096  # RFC 5321 section 4.5.3.1.5 allows 512; some policies write essays
MAX_REPLY_BYTES = 65_536

SERVICE_CLOSING = 421
START_MAIL_INPUT = 354

# A code alone on its line is tolerated, as RFC 5321 section 4.2 asks of clients.
_LINE = re.compile(rb"([2-5][0-9]{2})(?:([ -])(.*))?", re.DOTALL)

# The usual one: the last line of its reply, and nothing in it has to be replaced. 421 ends the
# connection, which is `feed`'s case: what follows it does not count.
_WHOLE_LINE = re.compile(rb"(?!421)([2-5][0-9]{2}) ([\t\x20-\x7e]*)")

# What a client or a terminal could take for something else than text. LF separates lines.
_NOT_TEXT = dict.fromkeys((*range(0x09), *range(0x0B, 0x20), 0x7F, 0xFFFD), "?")


class MalformedReplyError(Exception):
    """The upstream does not speak SMTP; nothing that follows can be trusted."""


@dataclass(slots=True, init=False, unsafe_hash=True)
class Reply:
    r"""A three-digit code and its text: printable ASCII, lines separated by `\n`.

    Nobody changes one. It is not frozen because each mail has some, and a frozen one costs three
    times as much to make.
    """

    code: int
    text: str
    upstream: str | None
    """Which of several upstreams took a message; None elsewhere."""
    is_positive: bool = field(compare=False, repr=False)
    """Whether the command has been carried out (2xx)."""
    wire: bytes = field(compare=False, repr=False)
    """The bytes of the reply, all lines with their CRLF."""

    def __init__(self, code: int, text: str, upstream: str | None = None) -> None:
        self.code = code
        self.text = text
        self.upstream = upstream
        self.is_positive = code // 100 == 2  # noqa: PLR2004 - RFC 5321 section 4.2.1
        self.wire = _write_reply(code, text)

    def __reduce__(self) -> tuple[type["Reply"], tuple[int, str, str | None]]:
        """Return what `pickle` and `copy` make it again from."""
        return type(self), (self.code, self.text, self.upstream)

    @property
    def is_temporary(self) -> bool:
        """Whether the command may succeed later (4xx)."""
        return self.code // 100 == 4  # noqa: PLR2004 - RFC 5321 section 4.2.1

    def refusal(self, command: str, recipient: str | None = None) -> UpstreamError:
        """Return the answer to our client when the upstream answered `command` like this.

        421 closes the channel to the upstream, not the client's, so it becomes 451. So does a code
        that is not a refusal, because a broken upstream may be repaired.
        """
        if self.code // 100 in (4, 5) and self.code != SERVICE_CLOSING:
            return UpstreamError(self.code, self.text, recipient=recipient)
        answer = f"{self.code} {self.text}"
        text = f"4.4.2 The upstream answered {command} with: {answer}"
        return UpstreamError(451, text, recipient=recipient)


def _write_reply(code: int, text: str) -> bytes:
    printed = printable(text)
    if b"\n" not in printed:
        return b"%d %b\r\n" % (code, printed)
    *lines, last = printed.split(b"\n")
    start = b"".join(b"%d-%b\r\n" % (code, line) for line in lines)
    return b"%b%d %b\r\n" % (start, code, last)


def printable(text: str) -> bytes:
    """Return text in ASCII, with a question mark for each character that a reply can't have."""
    if text.isascii() and text.isprintable():
        return text.encode("ascii")
    return text.translate(_NOT_TEXT).encode("ascii", "replace")


class ReplyReader:
    """Reads replies from bytes as they arrive, in bounded memory."""

    __slots__ = ("_code", "_length", "_lines", "_rest")

    def __init__(self) -> None:
        self._rest = b""
        self._code = b""
        self._lines: list[bytes] = []
        self._length = 0

    @property
    def is_empty(self) -> bool:
        """Whether no part of a reply waits for the rest."""
        return not (self._rest or self._lines)

    def read_whole(self, chunk: bytes) -> Sequence[Reply] | None:
        """Return the replies of a chunk that is whole one-line replies; None if `feed` has to.

        Nearly every chunk is one, at a fraction of the cost.
        """
        if self._rest or self._lines or len(chunk) > MAX_LINE_BYTES or chunk[-2:] != b"\r\n":
            return None
        if chunk.count(b"\n") > 1 or chunk[:1] == b"3":
            return _read_lines(chunk)
        match = _WHOLE_LINE.fullmatch(chunk, 0, len(chunk) - 2)
        return None if match is None else (Reply(int(match[1]), match[2].decode("ascii")),)

    def feed(self, chunk: bytes) -> Iterator[Reply]:
        """Take bytes from the wire and yield the replies that they complete.

        One at a time, because those before a malformed one count: one may say that a message has
        been taken.

        Raises:
            MalformedReplyError: a line is not a reply line, or a line or reply is too long.
        """
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in (each.removesuffix(b"\r") for each in lines):
            self._length += len(line)
            if len(line) > MAX_LINE_BYTES or self._length > MAX_REPLY_BYTES:
                raise MalformedReplyError(f"a reply is longer than {MAX_REPLY_BYTES} bytes")
            match = _LINE.fullmatch(line)
            if match is None:
                raise MalformedReplyError(f"this is not a reply: {_printable(line[:80])!r}")
            code, mark, text = match.groups(b"")
            if self._code not in (b"", code):
                raise MalformedReplyError("the lines of one reply have different codes")
            self._lines.append(text)
            if mark == b"-":
                self._code = code
                continue
            whole = _printable(b"\n".join(self._lines))
            self._lines, self._code, self._length = [], b"", 0
            yield Reply(int(code), whole)
        if len(self._rest.removesuffix(b"\r")) > MAX_LINE_BYTES:
            raise MalformedReplyError(f"a line of a reply is longer than {MAX_LINE_BYTES} bytes")


def _printable(text: bytes) -> str:
    return text.decode("ascii", "replace").translate(_NOT_TEXT)


# MAIL, RCPT and DATA get the same replies for nearly every mail; a message gets one of its own.
@lru_cache(maxsize=64)
def _read_lines(chunk: bytes) -> tuple[Reply, ...] | None:
    matches = [_WHOLE_LINE.fullmatch(line) for line in chunk[:-2].split(b"\r\n")]
    replies = [
        Reply(int(each[1]), each[2].decode("ascii")) for each in matches if each is not None
    ]
    return tuple(replies) if len(replies) == len(matches) else None
