"""The pool of a few open connections, which messages share in the order of arrival.

Opening a connection costs more than handing over a small mail, and an upstream limits their
number. So connections are counted as slots, and a message without a slot waits in line. A
transaction that is only held open, for a client that has not sent its message, makes room.
"""

import asyncio
from collections import deque
from typing import Final, Protocol

from msys_track.errors import UpstreamError
from msys_track.relay.connection import UpstreamConnection
from msys_track.relay.deadlines import Deadlines
from msys_track.relay.opening import Opener

# Postfix slows down from the tenth error of a connection on.
_MOST_REFUSALS: Final = 5


class Held(Protocol):
    """A transaction that keeps a connection although nothing is sent on it."""

    def give_back(self) -> None:
        """Release the connection as soon as can be; it is asked for once."""


class _Waiter:
    """A place in line: it is given a connection, or None, a slot to open one in."""

    __slots__ = ("deadline", "given")

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.given: asyncio.Future[UpstreamConnection | None]
        self.given = asyncio.get_running_loop().create_future()

    def expire(self) -> None:
        if not self.given.done():
            text = "4.3.2 All connections to the upstream are busy"
            self.given.set_exception(UpstreamError(451, text, outcome="not_sent"))


class Pool:
    """At most `max_connections` connections to one upstream."""

    def __init__(self, opener: Opener) -> None:
        self.settings = opener.settings
        self._opener = opener
        self._deadlines = Deadlines()
        self._slots_taken = 0
        self._idle: list[UpstreamConnection] = []  # the one used last is the last
        self._waiters: deque[_Waiter] = deque()
        self._held: dict[Held, None] = {}  # the oldest first
        self._closed = False

    def measure(self) -> dict[str, float]:
        """Return how many connections are open and idle, and how many mails wait for one."""
        return {
            "upstream.connections": self._slots_taken,
            "upstream.idle": len(self._idle),
            "upstream.waiting": len(self._waiters),
        }

    async def acquire(self) -> tuple[UpstreamConnection, bool]:
        """Return a connection, and whether it is fresh; give it back with `release`.

        Raises:
            ConnectionFailedError: a new one could not be opened.
            UpstreamError: 451, no connection became free in time, or the pool is closed.
        """
        if self._closed:
            raise _closing()
        connection = self.take_idle()
        if connection is not None:
            return connection, False
        if self._slots_taken < self.settings.max_connections:
            self._slots_taken += 1
            return await self._open(), True
        waiter = _Waiter(asyncio.get_running_loop().time() + self.settings.pool_wait_seconds)
        self._waiters.append(waiter)
        self._deadlines.add(waiter)
        self._deadlines.note(waiter.deadline)
        self._take_back()
        try:
            connection = await waiter.given
        except (UpstreamError, asyncio.CancelledError):
            self._withdraw(waiter)
            raise
        finally:
            self._deadlines.discard(waiter)
        if connection is not None and connection.is_usable:
            if not self._leads_back(connection):
                return connection, False
            connection.quit()  # the greeting of a new one says the same
        return await self._open(), True

    def take_idle(self) -> UpstreamConnection | None:
        """Return a kept connection if one is idle; give it back with `release`."""
        while self._idle:
            connection = self._idle.pop()
            if not self._leads_back(connection):
                return connection
            connection.quit()
            self._free_slot()
        return None

    async def replace(self, connection: UpstreamConnection) -> UpstreamConnection:
        """Return a fresh connection for one that is worn or closed, in the same slot.

        Raises:
            ConnectionFailedError: it could not be opened; the old one is still to be released.
        """
        connection.quit()
        return await self._opener.open(self._deadlines, self._forget)

    def release(self, connection: UpstreamConnection) -> None:
        """Give a connection back, in whatever state it is."""
        connection.give_up()
        if self._closed or self._is_worn(connection):
            connection.quit()
        if not connection.is_usable:
            self._free_slot()
        elif self._waiters and (waiter := self._next_waiter()) is not None:
            waiter.given.set_result(connection)
        else:
            self._idle.append(connection)
            connection.rest(self.settings.idle_seconds)

    def can_spare(self, connection: UpstreamConnection) -> bool:
        """Whether it is good for another message, and nobody waits for one."""
        return not (self._closed or self._waiters or self._is_worn(connection))

    def hold(self, held: Held) -> None:
        """Let a transaction keep its connection until others need it."""
        self._held[held] = None
        if self._closed or self._waiters:
            self._take_back()

    def let_go(self, held: Held) -> None:
        """Forget a held transaction; it ends, or its message is sent."""
        self._held.pop(held, None)

    def close(self) -> None:
        """Close idle connections with QUIT; those in use follow when they are released."""
        self._closed = True
        for connection in self._idle:
            connection.quit()
        self._slots_taken -= len(self._idle)
        self._idle.clear()
        while self._held:
            self._take_back()
        while (waiter := self._next_waiter()) is not None:
            waiter.given.set_exception(_closing())

    async def _open(self) -> UpstreamConnection:
        """Open a connection in a slot that is already counted."""
        try:
            return await self._opener.open(self._deadlines, self._forget)
        except BaseException:
            self._free_slot()
            raise

    def _leads_back(self, connection: UpstreamConnection) -> bool:
        """Whether it goes to a proxy that has begun to send mail here since it was opened."""
        return connection.mark is not None and self._opener.identity.leads_back(connection.mark)

    def _is_worn(self, connection: UpstreamConnection) -> bool:
        settings = self.settings
        return (
            connection.transactions >= settings.max_messages_per_connection
            or connection.refusals >= _MOST_REFUSALS
            or connection.age_seconds >= settings.max_age_seconds
        )

    def _take_back(self) -> None:
        """Ask for the connection that has been held longest."""
        if self._held:
            oldest = next(iter(self._held))
            del self._held[oldest]
            oldest.give_back()

    def _withdraw(self, waiter: _Waiter) -> None:
        """Pass on what a waiter was given at the moment when it gave up."""
        if waiter in self._waiters:
            self._waiters.remove(waiter)
        given = waiter.given
        if given.cancelled() or not given.done() or given.exception() is not None:
            return
        connection = given.result()
        if connection is None:
            self._free_slot()
        else:
            self.release(connection)

    def _next_waiter(self) -> _Waiter | None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.given.done():
                return waiter
        return None

    def _free_slot(self) -> None:
        waiter = self._next_waiter()
        if waiter is not None:
            waiter.given.set_result(None)
        else:
            self._slots_taken -= 1

    def _forget(self, connection: UpstreamConnection) -> None:
        """Remove an idle connection that ended; nothing else would notice."""
        if connection in self._idle:
            self._idle.remove(connection)
            self._free_slot()


def _closing() -> UpstreamError:
    return UpstreamError(451, "4.3.2 The proxy is shutting down", outcome="not_sent")
