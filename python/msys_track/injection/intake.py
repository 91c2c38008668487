"""From the bytes that arrived to the message, or to the reason why it is refused."""

import asyncio

from msys_track.errors import PicklableError
from msys_track.injection.settings import ProxySettings
from msys_track.smtp import data
from msys_track.smtp.commands.arguments import report_size
from msys_track.smtp.commands.events import Received
from msys_track.smtp.received import has_looped
from msys_track.smtp.reply import Reply


class DataRefusedError(PicklableError):
    """DATA is answered with a refusal: `why` is for the counters, `reply` for the client."""

    def __init__(self, why: str, reply: Reply) -> None:
        super().__init__(why)
        self.why = why
        self.reply = reply


async def open_message(received: Received, max_bytes: int, settings: ProxySettings) -> bytes:
    """Return the message itself.

    Raises:
        DataRefusedError: over a limit, in a loop, or with a CR or LF that is not part of a CRLF.
    """
    if received.over == "size":
        raise DataRefusedError("over_size", report_size(max_bytes))
    if received.over == "budget":
        raise DataRefusedError("over_budget", Reply(452, "4.3.1 Too much mail in flight"))
    wire = received.wire
    most = settings.max_header_bytes
    if len(wire) > most and wire.find(b"\r\n\r\n", 0, most) < 0:
        text = f"5.3.4 The header is too big, the limit is {most} bytes"
        raise DataRefusedError("over_header", Reply(552, text))
    if settings.refuse_nul and b"\0" in wire:
        raise DataRefusedError("nul", Reply(550, "5.6.0 The message has a NUL"))
    if has_looped(wire):
        raise DataRefusedError("loop", Reply(554, "5.4.6 Routing loop detected"))
    is_stuffed, normalizes = received.is_stuffed, settings.bare_newline == "normalize"
    try:
        if len(wire) < data.THREAD_FROM_BYTES:
            return _open(wire, is_stuffed, normalizes)
        return await asyncio.to_thread(_open, wire, is_stuffed, normalizes)
    except data.BareNewlineError as error:
        # Some servers end data at LF . LF: they could take what we pass on for two mails.
        offset: int = error.args[0]
        text = f"5.6.11 Bare CR or LF at byte {offset} of the data; lines must end in CRLF"
        raise DataRefusedError("bare_newline", Reply(550, text)) from error


def _open(wire: bytes, is_stuffed: bool, normalizes: bool) -> bytes:  # noqa: FBT001
    """Return the message in wire bytes: without stuffed dots, if they were stuffed."""
    try:
        message = data.unstuff(wire)
    except data.BareNewlineError:
        if not normalizes:
            raise
        wire = data.normalize(wire)
        message = data.unstuff(wire)
    return message if is_stuffed else wire
