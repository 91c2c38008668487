"""The pool of a few open connections, which messages share in the order of arrival.

Opening a connection costs more than handing over a small mail, and an upstream limits their
number. So connections are counted as slots, and a message without a slot waits in line.
"""

import asyncio
from collections import deque
from typing import TypeAlias

from msys_track.errors import UpstreamError
from msys_track.relay.connection import UpstreamConnection
from msys_track.relay.opening import Opener
from msys_track.relay.settings import UpstreamSettings

# It is given a connection, or None: a slot to open one in.
_Waiter: TypeAlias = asyncio.Future[UpstreamConnection | None]


class Pool:
    """At most `max_connections` connections to one upstream."""

    def __init__(self, settings: UpstreamSettings) -> None:
        self.settings = settings
        self._opener = Opener(settings)
        self._slots_taken = 0
        self._idle: list[UpstreamConnection] = []  # the one used last is the last
        self._waiters: deque[_Waiter] = deque()
        self._sweeper: asyncio.TimerHandle | None = None
        self._closed = False

    async def acquire(self) -> tuple[UpstreamConnection, bool]:
        """Return a connection, and whether it is fresh; give it back with `release`.

        Raises:
            ConnectionFailedError: a new one could not be opened.
            UpstreamError: 451, no connection became free in time, or the pool is closed.
        """
        if self._closed:
            raise UpstreamError(451, "4.3.2 The proxy is shutting down")
        if self._idle:
            return self._idle.pop(), False
        if self._slots_taken < self.settings.max_connections:
            self._slots_taken += 1
            return await self._open(), True
        waiter: _Waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(self.settings.pool_wait_seconds):
                connection = await waiter
        except TimeoutError as error:
            self._withdraw(waiter)
            raise UpstreamError(451, "4.3.2 All connections to the upstream are busy") from error
        except asyncio.CancelledError:
            self._withdraw(waiter)
            raise
        if connection is not None and connection.is_usable:
            return connection, False
        return await self._open(), True

    async def replace(self, connection: UpstreamConnection) -> UpstreamConnection:
        """Return a fresh connection for one that turned out closed, in the same slot.

        Raises:
            ConnectionFailedError: it could not be opened; the old one is still to be released.
        """
        connection.abort()
        return await self._opener.open(self._forget)

    def release(self, connection: UpstreamConnection) -> None:
        """Give a connection back, in whatever state it is."""
        if self._closed:
            connection.quit()
        if self._closed or not connection.is_usable:
            self._free_slot()
        elif (waiter := self._next_waiter()) is not None:
            waiter.set_result(connection)
        else:
            loop = asyncio.get_running_loop()
            connection.idle_since = loop.time()
            self._idle.append(connection)
            if self._sweeper is None:
                self._sweeper = loop.call_later(self.settings.idle_seconds, self._sweep)

    def close(self) -> None:
        """Close idle connections with QUIT; those in use follow when they are released."""
        self._closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        for connection in self._idle:
            connection.quit()
        self._slots_taken -= len(self._idle)
        self._idle.clear()
        while (waiter := self._next_waiter()) is not None:
            waiter.set_exception(UpstreamError(451, "4.3.2 The proxy is shutting down"))

    async def _open(self) -> UpstreamConnection:
        """Open a connection in a slot that is already counted."""
        try:
            return await self._opener.open(self._forget)
        except BaseException:
            self._free_slot()
            raise

    def _withdraw(self, waiter: _Waiter) -> None:
        """Pass on what a waiter was given at the moment when it gave up."""
        if waiter in self._waiters:
            self._waiters.remove(waiter)
        if waiter.cancelled() or not waiter.done() or waiter.exception() is not None:
            return
        given = waiter.result()
        if given is None:
            self._free_slot()
        else:
            self.release(given)

    def _next_waiter(self) -> _Waiter | None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                return waiter
        return None

    def _free_slot(self) -> None:
        waiter = self._next_waiter()
        if waiter is not None:
            waiter.set_result(None)
        else:
            self._slots_taken -= 1

    def _forget(self, connection: UpstreamConnection) -> None:
        """Remove an idle connection that ended; nothing else would notice."""
        if connection in self._idle:
            self._idle.remove(connection)
            self._free_slot()

    def _sweep(self) -> None:
        """Close what has been idle for long enough; the oldest stands first."""
        loop = asyncio.get_running_loop()
        while self._idle and loop.time() - self._idle[0].idle_since >= self.settings.idle_seconds:
            self._idle.pop(0).quit()
            self._free_slot()
        self._sweeper = None
        if self._idle:
            due = self._idle[0].idle_since + self.settings.idle_seconds
            self._sweeper = loop.call_at(due, self._sweep)
