"""The upstream of the SMTP bench: takes every message and forgets it, at little cost.

An `asyncio.Protocol` that answers what it is asked and looks at no byte of a message but to find
its end. `XSEEN` answers how many messages and bytes came. Prints its port, runs until its
standard input closes.
"""

import asyncio
import sys

import uvloop

_OFFER = b"250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 SIZE 0\r\n"
_END = b"\r\n.\r\n"


class Seen:
    """Totals over all connections."""

    messages = 0
    bytes = 0


class Sink(asyncio.Protocol):
    def __init__(self) -> None:
        self._buffer = b""
        self._in_data = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport
        transport.write(b"220 sink\r\n")

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
            Seen.messages += 1
            Seen.bytes += end + len(b"\r\n")
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
            case b"XSEE":
                return b"250 %d %d\r\n" % (Seen.messages, Seen.bytes)
            case b"QUIT":
                asyncio.get_running_loop().call_soon(self._transport.close)
                return b"221 bye\r\n"
            case _:
                return b"250 2.0.0 Ok\r\n"


async def main() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Sink, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201 - the harness reads it
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(main())
