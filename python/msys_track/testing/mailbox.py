"""The mail server of `sink`, in a thread of its own: for programs without an event loop."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from types import TracebackType
from typing import Self

from msys_track.testing.sink import Arrival, open_mailboxes


class MailServer:
    """Takes every mail on a loopback port and keeps it; use it as a context.

    Attributes:
        port: where it listens; 0 before that: a free one.
        arrivals: every mail so far.
    """

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self.arrivals: list[Arrival] = []
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="mailbox")
        self._started: SimpleQueue[tuple[asyncio.AbstractEventLoop, asyncio.Event] | None]
        self._started = SimpleQueue()

    def __enter__(self) -> Self:
        self._running = self._thread.submit(asyncio.run, self._serve())
        started = self._started.get()
        if started is None:
            self._thread.shutdown()
            self._running.result()
        else:
            self._loop, self._stop = started
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._running.result()
        self._thread.shutdown()

    async def _serve(self) -> None:
        stop = asyncio.Event()
        try:
            async with open_mailboxes("127.0.0.1", self.arrivals.append, port=self.port) as port:
                self.port = port
                self._started.put((asyncio.get_running_loop(), stop))
                await stop.wait()
        finally:
            self._started.put(None)  # read only by the caller that waits for the start
