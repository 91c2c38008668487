"""The client of the SMTP bench: so many connections, each sending one message after the other.

Waits for each reply before the next command, as smtplib does. For each line `PORT CONNECTIONS
MESSAGES` on standard input it sends so many messages and prints the seconds that took.
"""

import asyncio
import sys
import time

import uvloop
from benches.smtp import mail

_STEPS = (
    (f"MAIL FROM:<{mail.SENDER}>\r\n".encode(), b"250"),
    (f"RCPT TO:<{mail.RECIPIENT}>\r\n".encode(), b"250"),
    (b"DATA\r\n", b"354"),
    (mail.message() + b".\r\n", b"250"),
)


class Client(asyncio.Protocol):
    """One connection; takes messages from `todo` until there are none."""

    def __init__(self, todo: list[None], done: asyncio.Future[None]) -> None:
        self._todo = todo
        self._done = done
        self._buffer = b""
        self._expected = b"220"
        self._steps = iter(((b"EHLO bench\r\n", b"250"),))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self._done.set_exception(exc or ConnectionError("the relay closed the connection"))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._buffer.endswith(b"\n"):
            return
        last = self._buffer.splitlines()[-1]
        if last[3:4] == b"-":
            return
        self._buffer = b""
        if last[:3] != self._expected:
            self._done.set_exception(AssertionError(f"expected {self._expected!r}: {last!r}"))
            self._transport.close()
            return
        self._next()

    def _next(self) -> None:
        step = next(self._steps, None)
        if step is None:
            if not self._todo:
                if not self._done.done():
                    self._done.set_result(None)
                    self._transport.close()
                return
            self._todo.pop()
            self._steps = iter(_STEPS)
            step = next(self._steps)
        command, self._expected = step
        self._transport.write(command)


async def send(port: int, connections: int, messages: int) -> float:
    """Send messages over connections; return the seconds from first connect to last reply."""
    loop = asyncio.get_running_loop()
    todo: list[None] = [None] * messages
    ends: list[asyncio.Future[None]] = [loop.create_future() for _ in range(connections)]
    started = time.perf_counter()
    for end in ends:
        await loop.create_connection(lambda end=end: Client(todo, end), "127.0.0.1", port)
    await asyncio.gather(*ends)
    return time.perf_counter() - started


def main() -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for line in sys.stdin:
            port, connections, messages = map(int, line.split())
            print(runner.run(send(port, connections, messages)), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
