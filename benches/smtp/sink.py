"""The upstream of the SMTP bench: takes every message and forgets all but the last.

An `asyncio.Protocol` that answers what it is asked and looks into a message only to find its end
and to tell whether it came untouched or tracked. Prints its port; then answers each line on
standard input with what it has seen since the line before, as JSON; ends with standard input.
"""

import asyncio
import base64
import json
import sys
from dataclasses import asdict, dataclass
from typing import cast

import uvloop
from benches.smtp import mail

from msys_track.testing.fidelity import split_received

_OFFER = b"250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 SIZE 0\r\n"
_END = b"\r\n.\r\n"
_UNTOUCHED = mail.message()
_TRACKED_URL = f'"http://{mail.TRACKING_DOMAIN}/'.encode()


@dataclass(slots=True)
class Seen:
    """Messages of all connections since the last call."""

    messages: int = 0
    untouched: int = 0
    """Below the Received field byte for byte what the generator sends."""
    tracked: int = 0
    """With as many tracked URLs as there are links, and one pixel's."""
    last: str = ""
    """In base64."""

    def take(self, message: bytes) -> None:
        self.messages += 1
        self.untouched += split_received(message)[1] == _UNTOUCHED
        self.tracked += message.count(_TRACKED_URL) == mail.LINKS + 1


class SinkConnection(asyncio.Protocol):
    seen = Seen()
    last = b""

    def __init__(self) -> None:
        self._buffer = b""
        self._in_data = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's is no subclass
        self._transport.write(b"220 sink\r\n")

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        replies: list[bytes] = []
        while self._take(replies):
            pass
        if replies:
            self._transport.write(b"".join(replies))

    def _take(self, replies: list[bytes]) -> bool:
        """Take one command or one message from the buffer, if it is complete."""
        if self._in_data:
            end = self._buffer.find(_END)
            if end < 0:
                return False
            # No line of the bench's mail begins with a dot: there is nothing to unstuff.
            SinkConnection.last = self._buffer[: end + len(b"\r\n")]
            SinkConnection.seen.take(SinkConnection.last)
            self._in_data = False
            self._buffer = self._buffer[end + len(_END) :]
            replies.append(b"250 2.0.0 Ok: queued\r\n")
            return True
        line, found, rest = self._buffer.partition(b"\r\n")
        if not found:
            return False
        self._buffer = rest
        replies.append(self._answer(line[:4].upper()))
        return True

    def _answer(self, verb: bytes) -> bytes:
        match verb:
            case b"EHLO":
                return _OFFER
            case b"DATA":
                self._in_data = True
                return b"354 go on\r\n"
            case b"QUIT":
                asyncio.get_running_loop().call_soon(self._transport.close)
                return b"221 bye\r\n"
            case _:
                return b"250 2.0.0 Ok\r\n"


def print_seen() -> None:
    """Print what was seen, and begin anew."""
    SinkConnection.seen.last = base64.b64encode(SinkConnection.last).decode()
    print(json.dumps(asdict(SinkConnection.seen)), flush=True)  # noqa: T201 - the harness reads it
    SinkConnection.seen = Seen()


async def main() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(SinkConnection, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201 - the harness reads it
    while await loop.run_in_executor(None, sys.stdin.readline):
        print_seen()


if __name__ == "__main__":
    uvloop.run(main())
