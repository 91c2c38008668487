"""The client of the SMTP bench: so many connections, each sending one message after the other.

Waits for each reply before the next command, as smtplib does. For each line `PORT CONNECTIONS
MESSAGES` on standard input it sends so many messages and prints the seconds that took, from the
first connection to the last reply.
"""

import asyncio
import sys
import time
from typing import cast

import uvloop
from benches.smtp import mail

_RUN_SECONDS = 60
"""A run that takes longer has failed."""

_STEPS = (
    (f"MAIL FROM:<{mail.SENDER}>\r\n".encode(), b"250"),
    (f"RCPT TO:<{mail.RECIPIENT}>\r\n".encode(), b"250"),
    (b"DATA\r\n", b"354"),
    (mail.message() + b".\r\n", b"250"),
)


class GeneratorClient(asyncio.Protocol):
    """One connection; takes messages from `todo` until there are none."""

    def __init__(self, todo: list[None], done: asyncio.Future[None]) -> None:
        self._todo = todo
        self.done = done
        self._buffer = b""
        self._expected = b"220"
        self._steps = iter(((b"EHLO bench\r\n", b"250"),))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's is no subclass

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("the relay closed the connection"))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._buffer.endswith(b"\n"):
            return
        last = self._buffer.splitlines()[-1]
        if last[3:4] == b"-":
            return
        self._buffer = b""
        if last[:3] != self._expected:
            self._end(AssertionError(f"expected {self._expected!r}: {last!r}"))
            return
        self._next()

    def _next(self) -> None:
        step = next(self._steps, None)
        if step is None:
            if not self._todo:
                self._end(None)
                return
            self._todo.pop()
            self._steps = iter(_STEPS)
            step = next(self._steps)
        command, self._expected = step
        self._transport.write(command)

    def _end(self, error: Exception | None) -> None:
        if not self.done.done():
            if error is None:
                self.done.set_result(None)
            else:
                self.done.set_exception(error)
        self._transport.close()


async def send(port: int, connections: int, messages: int) -> float:
    """Send messages over connections; return the seconds from first connect to last reply."""
    loop = asyncio.get_running_loop()
    todo: list[None] = [None] * messages

    def client() -> GeneratorClient:
        return GeneratorClient(todo, loop.create_future())

    async with asyncio.timeout(_RUN_SECONDS):
        started = time.perf_counter()
        opened = [
            (await loop.create_connection(client, "127.0.0.1", port))[1]
            for _ in range(connections)
        ]
        await asyncio.gather(*(each.done for each in opened))
        return time.perf_counter() - started


def main() -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for line in sys.stdin:
            port, connections, messages = map(int, line.split())
            print(runner.run(send(port, connections, messages)), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
