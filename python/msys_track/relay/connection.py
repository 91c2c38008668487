"""One connection to the upstream: groups of commands go out, as many replies come back.

An `asyncio.Protocol` rather than streams: replies are parsed where the bytes arrive, and a whole
group of pipelined commands costs one write, one future and one timer.
"""

import asyncio
from collections.abc import Callable
from typing import cast

from msys_track.relay.settings import UpstreamSettings
from msys_track.smtp.capabilities import Capabilities
from msys_track.smtp.reply import SERVICE_CLOSING, MalformedReplyError, Reply, ReplyReader


class ConnectionFailedError(Exception):
    """No replies will come: unreachable, silent for too long, or not speaking SMTP."""


class ConnectionGoneError(ConnectionFailedError):
    """The upstream closed the connection, or announced it with 421.

    It may do so at any time with an idle connection, so a fresh one is worth one try.
    """


class ServiceClosingError(ConnectionGoneError):
    """The upstream replied 421: it did not carry out the command."""


class UpstreamConnection(asyncio.Protocol):
    """A connection that is either usable or has failed for good."""

    def __init__(
        self,
        settings: UpstreamSettings,
        loop: asyncio.AbstractEventLoop,
        on_lost: Callable[["UpstreamConnection"], None],
    ) -> None:
        self.capabilities = Capabilities()
        self.idle_since = 0.0
        self.settings = settings
        self._loop = loop
        self._on_lost = on_lost
        self.transport: asyncio.Transport | None = None
        self._failure: ConnectionFailedError | None = None
        self._reader = ReplyReader()
        self._replies: list[Reply] = []
        self._expected = 1  # the greeting
        self._answered: asyncio.Future[list[Reply]] = loop.create_future()

    def use_transport(self, transport: asyncio.Transport) -> None:
        """Go on over another transport, whose protocol this is already.

        Raises:
            ConnectionFailedError: something came over the old one that nobody has read.
        """
        if self._reader.is_within_reply:
            self._fail(ConnectionFailedError("it sent an unexpected reply"))
        if self._failure is not None:
            transport.abort()
            raise self._failure
        self.transport = transport

    @property
    def is_usable(self) -> bool:
        """Whether another group of commands may be sent."""
        return self._failure is None

    async def exchange(
        self, commands: bytes, expected: int, *, timeout_seconds: float | None = None
    ) -> list[Reply]:
        """Send a group of commands and return the `expected` replies to it.

        Raises:
            ConnectionGoneError: closed, or about to be (421).
            ConnectionFailedError: no answer in time, or not SMTP.
        """
        if self._failure is not None or self.transport is None:
            raise self._failure or ConnectionGoneError("the connection was closed")
        self._expected = expected
        self._answered = self._loop.create_future()
        self.transport.write(commands)
        return await self._wait_for_replies(timeout_seconds or self.settings.reply_timeout_seconds)

    def quit(self) -> None:
        """Send QUIT and close, without waiting for the answer."""
        if self.transport is not None and self.is_usable:
            self._failure = ConnectionGoneError("we closed the connection")
            self.transport.write(b"QUIT\r\n")
            self.transport.close()

    def abort(self, why: str = "we gave the connection up") -> None:
        """Close at once; the upstream does not take a message without its dot."""
        self._fail(ConnectionFailedError(why))

    async def read_greeting(self) -> Reply:
        """Return what the upstream says first.

        Raises:
            ConnectionFailedError: nothing in time, or not SMTP.
        """
        (greeting,) = await self._wait_for_replies(self.settings.reply_timeout_seconds)
        return greeting

    async def _wait_for_replies(self, timeout_seconds: float) -> list[Reply]:
        failure = ConnectionFailedError(f"no answer within {timeout_seconds:g} s")
        timer = self._loop.call_later(timeout_seconds, self._fail, failure)
        try:
            return await self._answered
        except asyncio.CancelledError:
            self.abort("cancelled between command and reply")
            raise
        finally:
            timer.cancel()

    def _fail(self, failure: ConnectionFailedError) -> None:
        if self._failure is not None:
            return
        self._failure = failure
        if self.transport is not None:
            self.transport.abort()
        if not self._answered.done():
            self._answered.set_exception(failure)
            # No future is left if the caller was cancelled.
            self._answered.exception()
        self._on_lost(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; the greeting is awaited already."""
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail the waiting request."""
        self._fail(ConnectionGoneError(f"the connection was closed{f': {exc}' if exc else ''}"))

    def data_received(self, data: bytes) -> None:
        """Read replies; anything that can't be one ends the connection."""
        if self._failure is not None:
            return
        try:
            for reply in self._reader.feed(data):
                if reply.code == SERVICE_CLOSING:
                    self._fail(ServiceClosingError(f"it replied: {reply.code} {reply.text}"))
                    continue
                if self._answered.done():
                    self._fail(ConnectionFailedError("it sent an unexpected reply"))
                    continue
                self._replies.append(reply)
                if len(self._replies) < self._expected:
                    continue
                replies, self._replies = self._replies, []
                self._answered.set_result(replies)
                if self.transport is not None and self.transport.get_write_buffer_size():
                    # It would read the rest of the message as commands.
                    self._fail(ConnectionFailedError("it replied before the end of the message"))
        except MalformedReplyError as error:
            self._fail(ConnectionFailedError(f"it does not speak SMTP: {error}"))
