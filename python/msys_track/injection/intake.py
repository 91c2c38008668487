"""The bytes of DATA, read in bulk and checked by the core.

aiosmtpd reads DATA line by line in Python, which costs more than all the rest of a session. It
also refuses lines over 1,001 bytes, which real mails have.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from msys_track.errors import PicklableError
from msys_track.injection.budget import Hold
from msys_track.smtp import data as wire
from msys_track.smtp.reply import Reply

# Everything: `StreamReader.feed_data` may give bytes back only to an empty buffer. Flow control
# bounds its size.
_READ_BYTES = 1 << 30

# CRLF . CR: all of the end but its last byte may have been read before.
_OVERLAP_BYTES = 4


class DataRefusedError(PicklableError):
    """DATA is answered with a refusal: `why` is for the counters, `reply` for the client."""

    def __init__(self, why: str, reply: Reply) -> None:
        super().__init__(why)
        self.why = why
        self.reply = reply


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """All bytes up to the final dot, and those after it."""

    wire: bytes
    """As it was sent: dot-stuffed, every line ended; without the final dot."""
    rest: bytes
    """The bytes after the dot: the client's next commands."""
    over: Literal["size", "budget"] | None
    """The limit that was passed, if one was; then the bytes were read and dropped."""

    async def message(self, max_bytes: int) -> bytes:
        """Return the message itself.

        Raises:
            DataRefusedError: over a limit, or with a CR or LF that is not part of a CRLF.
        """
        if self.over == "size":
            text = f"5.3.4 Message too big, the limit is {max_bytes} bytes"
            raise DataRefusedError("over_size", Reply(552, text))
        if self.over == "budget":
            raise DataRefusedError("over_budget", Reply(452, "4.3.1 Too much mail in flight"))
        try:
            return await wire.compute(len(self.wire), partial(wire.unstuff, self.wire))
        except wire.BareNewlineError as error:
            # Some servers end data at LF . LF: they could take what we pass on for two mails.
            offset: int = error.args[0]
            text = f"5.6.11 Bare CR or LF at byte {offset} of the data; lines must end in CRLF"
            raise DataRefusedError("bare_newline", Reply(550, text)) from error


async def receive(
    reader: asyncio.StreamReader, *, max_bytes: int, hold: Hold, on_progress: Callable[[], None]
) -> Received:
    """Read until CRLF.CRLF; nothing else ends the data.

    Past a limit it drops what it reads: the client learns of it only after its dot (RFC 5321
    section 4.2.5). It calls `on_progress` after each read.

    Raises:
        ConnectionResetError: the client is gone.
    """
    intake = _Intake(max_bytes, hold)
    while True:
        chunk = await reader.read(_READ_BYTES)
        if not chunk:
            raise ConnectionResetError("the client is gone")
        on_progress()
        received = intake.add(chunk)
        if received is not None:
            return received


class _Intake:
    """The bytes read so far of one message."""

    __slots__ = ("_before", "_hold", "_kept", "_length", "_max_bytes", "_over")

    def __init__(self, max_bytes: int, hold: Hold) -> None:
        self._max_bytes = max_bytes
        self._hold = hold
        self._kept = bytearray()  # a list of pieces could take far more than their bytes
        self._length = 0
        self._over: Literal["size", "budget"] | None = None
        self._before = b"\r\n"  # of the DATA command: the first line may be the dot

    def add(self, chunk: bytes) -> Received | None:
        """Take what was read; return everything once its end has come."""
        # The space: the window may begin with a dot that does not begin a line.
        window = b" %b%b" % (self._before, chunk)
        dot = wire.find_end_of_data(window, 0)
        if dot is None:
            self._keep_chunk(chunk)
            self._before = window[-_OVERLAP_BYTES:]
            return None
        in_chunk = dot - len(self._before) - 1
        length = self._length + in_chunk  # less than was kept, when the dot came before
        self._keep_chunk(chunk[: max(in_chunk, 0)])
        if self._over is None and length > self._max_bytes:
            self._over = "size"
        del self._kept[length:]
        wire_bytes = b"" if self._over else bytes(self._kept)
        return Received(wire=wire_bytes, rest=window[dot + len(".\r\n") :], over=self._over)

    def _keep_chunk(self, chunk: bytes) -> None:
        self._length += len(chunk)
        if self._over is not None:
            return
        if self._length > self._max_bytes + _OVERLAP_BYTES:
            self._over = "size"
        elif not self._hold.take(len(chunk)):
            self._over = "budget"
        if self._over is None:
            self._kept += chunk
        else:
            self._kept.clear()
            self._hold.release()
