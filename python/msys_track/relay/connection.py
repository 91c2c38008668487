"""One connection to the upstream: groups of commands go out, as many replies come back.

An `asyncio.Protocol` that plays dialogues. A dialogue is a generator: it yields the next group of
commands, is sent the replies, and returns what came of it. So the order of commands is written
down without sockets (`relay/transaction.py`), and a whole transaction costs one future: what
follows from a reply is sent where the reply arrives.
"""

import asyncio
from collections.abc import Callable, Generator, Sequence
from math import inf
from typing import Any, NamedTuple, TypeAlias, TypeVar, cast

from msys_track.errors import describe_os_error
from msys_track.relay.deadlines import Deadlines
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


class Group(NamedTuple):
    """Commands that leave in one write, and what is waited for."""

    commands: bytes
    expected: int
    """How many replies they get."""
    timeout_seconds: float
    """How long all of these replies may take."""


_Result = TypeVar("_Result")

Dialogue: TypeAlias = Generator[Group, Sequence[Reply], _Result]
"""Yields groups of commands and is sent the replies to each; `ConnectionFailedError` is raised
where replies will not come, and whatever is yielded after that raises it again."""


class UpstreamConnection(asyncio.Protocol):
    """A connection that is either usable or has failed for good.

    Attributes:
        capabilities: What the upstream offered on it; set when it is opened.
        transport: What it writes to; None before there is a connection.
        transactions: How many were begun on it.
        refusals: How many commands were refused on it.
        deadline: When what it waits for, or its idle time, is over.
    """

    def __init__(
        self,
        settings: UpstreamSettings,
        loop: asyncio.AbstractEventLoop,
        deadlines: Deadlines,
        on_lost: Callable[["UpstreamConnection"], None],
    ) -> None:
        self.capabilities = Capabilities()
        self.settings = settings
        self.transport: asyncio.Transport | None = None
        self.transactions = 0
        self.refusals = 0
        self.deadline = inf
        self._loop = loop
        self._opened_at = loop.time()
        self._deadlines = deadlines
        self._on_lost = on_lost
        self._failure: ConnectionFailedError | None = None
        self._reader = ReplyReader()
        self._replies: list[Reply] = []
        self._group = Group(b"", 0, 0)
        self._has_unsent = False
        # Neither future nor dialogue is kept beyond its end: they would keep a message alive.
        self._dialogue: Dialogue[Any] | None = None
        self._result: asyncio.Future[Any] = loop.create_future()
        self._greeting: asyncio.Future[Reply] = self._result

    @property
    def is_usable(self) -> bool:
        """Whether another dialogue may be played."""
        return self._failure is None

    @property
    def age_seconds(self) -> float:
        """How long ago it was opened."""
        return self._loop.time() - self._opened_at

    @property
    def has_unsent(self) -> bool:
        """Whether a part of what was written is still here, so that the upstream can't know it."""
        return self._has_unsent

    async def play(self, dialogue: Dialogue[_Result]) -> _Result:
        """Play a dialogue to its end and return its result.

        Raises:
            ConnectionGoneError: closed, or about to be (421).
            ConnectionFailedError: no answer in time, or not SMTP.
        """
        if self._failure is not None:
            dialogue.close()
            raise self._failure
        result: asyncio.Future[_Result] = self._loop.create_future()
        self._result = result
        self._advance(dialogue, None)
        try:
            return await result
        except asyncio.CancelledError:
            self.abort("not waited for any longer")
            raise

    async def exchange(
        self, commands: bytes, expected: int, *, timeout_seconds: float | None = None
    ) -> Sequence[Reply]:
        """Send a group of commands and return the `expected` replies to it.

        Raises:
            ConnectionGoneError: closed, or about to be (421).
            ConnectionFailedError: no answer in time, or not SMTP.
        """
        seconds = timeout_seconds or self.settings.reply_timeout_seconds
        return await self.play(_exchange(Group(commands, expected, seconds)))

    async def read_greeting(self) -> Reply:
        """Return what the upstream said first.

        Raises:
            ConnectionGoneError: closed, or about to be (421).
            ConnectionFailedError: no answer in time, or not SMTP.
        """
        try:
            return await self._greeting
        except asyncio.CancelledError:
            self.abort("not waited for any longer")
            raise

    def rest(self, seconds: float) -> None:
        """Say QUIT unless it is used again within this time."""
        self.deadline = self._loop.time() + seconds
        self._deadlines.note(self.deadline)

    def quit(self) -> None:
        """Send QUIT and close, without waiting for the answer."""
        if self.transport is not None and self._failure is None:
            self._failure = ConnectionGoneError("we closed the connection")
            self._deadlines.discard(self)
            self.transport.write(b"QUIT\r\n")
            if self._has_unsent:  # to close would wait until it reads
                self.transport.abort()
            else:
                self.transport.close()

    def abort(self, why: str = "we gave the connection up") -> None:
        """Close at once; the upstream does not take a message without its dot."""
        self._fail(ConnectionFailedError(why))

    def expire(self) -> None:
        """Fail what is waited for; an idle connection says QUIT."""
        if self._dialogue is None:
            self.quit()
            self._on_lost(self)
        else:
            seconds = self._group.timeout_seconds
            self._fail(ConnectionFailedError(f"no answer within {seconds:g} s"))

    def use_transport(self, transport: asyncio.Transport) -> None:
        """Write to this transport from now on."""
        self.transport = transport
        # So that the loop says whenever a byte is left. With 0 a TLS transport would pause for
        # ever; the one byte that this hides is a line feed without which no message ends.
        transport.set_write_buffer_limits(high=1, low=0)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the greeting."""
        self.use_transport(cast("asyncio.Transport", transport))
        self._deadlines.add(self)
        seconds = self.settings.reply_timeout_seconds
        self._advance(_read_greeting(Group(b"", 1, seconds)), None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail what is waited for."""
        self._fail(ConnectionGoneError(f"the connection was closed{f': {exc}' if exc else ''}"))

    def pause_writing(self) -> None:
        """Note that not all has been sent."""
        self._has_unsent = True

    def resume_writing(self) -> None:
        """Note that all has been sent."""
        self._has_unsent = False

    def data_received(self, data: bytes) -> None:
        """Read replies; anything that can't be one ends the connection."""
        if self._failure is not None:
            return
        dialogue = self._dialogue
        replies = self._reader.read_whole(data)
        if (
            replies is not None
            and dialogue is not None
            and len(replies) == self._group.expected
            and not self._replies
            and not self._has_unsent
        ):
            self._advance(dialogue, replies)
            return
        try:
            for reply in self._reader.feed(data) if replies is None else replies:
                self._take(reply)
        except MalformedReplyError as error:
            self._fail(ConnectionFailedError(f"it does not speak SMTP: {error}"))

    def _take(self, reply: Reply) -> None:
        """Take the next reply; what is left after a failure counts no more."""
        if self._failure is not None:
            return
        if reply.code == SERVICE_CLOSING:
            self._fail(ServiceClosingError(f"it replied: {reply.code} {reply.text}"))
            return
        dialogue = self._dialogue
        if dialogue is None:
            self._fail(ConnectionFailedError("it sent an unexpected reply"))
            return
        self._replies.append(reply)
        if len(self._replies) < self._group.expected:
            return
        replies, self._replies = self._replies, []
        if self._has_unsent:
            # It would read the rest of the message as commands. The reply counts all the same.
            self._dialogue = None
            self._fail(ConnectionFailedError("it replied before the end of the message"))
        self._advance(dialogue, replies)

    def _advance(
        self, dialogue: Dialogue[Any], replies: Sequence[Reply] | ConnectionFailedError | None
    ) -> None:
        """Let a dialogue go on, until it waits for replies or ends."""
        # While it runs it may give the connection up.
        self._dialogue = None
        result = self._result
        try:
            if isinstance(replies, ConnectionFailedError):
                group = dialogue.throw(replies)
            else:
                group = dialogue.send(replies)  # type: ignore[arg-type]
            while self._failure is not None:
                group = dialogue.throw(self._failure)
        except StopIteration as ended:
            self.deadline = inf
            if not result.done():
                result.set_result(ended.value)
        except Exception as error:  # noqa: BLE001 - whoever plays the dialogue gets it
            self.deadline = inf
            if not result.done():
                result.set_exception(error)
                # Nobody reads it if the caller was cancelled.
                result.exception()
        else:
            self._dialogue, self._group = dialogue, group
            self.deadline = self._loop.time() + group.timeout_seconds
            self._deadlines.note(self.deadline)
            if self.transport is not None and group.commands:
                self.transport.write(group.commands)

    def _fail(self, failure: ConnectionFailedError) -> None:
        if self._failure is not None:
            return
        self._failure = failure
        self.deadline = inf
        self._deadlines.discard(self)
        if self.transport is not None:
            self.transport.abort()
        if self._dialogue is not None:
            self._advance(self._dialogue, failure)
        self._on_lost(self)


def _exchange(group: Group) -> Dialogue[Sequence[Reply]]:
    return (yield group)


def _read_greeting(group: Group) -> Dialogue[Reply]:
    (greeting,) = yield group
    return greeting


async def open_connection(
    settings: UpstreamSettings,
    deadlines: Deadlines,
    on_lost: Callable[[UpstreamConnection], None],
) -> UpstreamConnection:
    """Connect, read the greeting and send EHLO; call `on_lost` when the upstream ends it.

    Raises:
        ConnectionFailedError: it is unreachable, refuses service, or does not speak SMTP.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(settings.connect_timeout_seconds):
            _, connection = await loop.create_connection(
                lambda: UpstreamConnection(settings, loop, deadlines, on_lost),
                settings.host,
                settings.port,
            )
    except TimeoutError as error:
        seconds = settings.connect_timeout_seconds
        raise ConnectionFailedError(f"no connection within {seconds:g} s") from error
    except OSError as error:
        # Where several addresses failed, asyncio's text names them: not for clients.
        why = describe_os_error(error) if error.errno else "all addresses failed"
        raise ConnectionFailedError(f"no connection: {why}") from error
    await _introduce(connection)
    return connection


async def _introduce(connection: UpstreamConnection) -> None:
    """Read the greeting, send EHLO, then HELO if EHLO is unknown.

    Raises:
        ConnectionFailedError: it is not a mail server, or does not serve us.
    """
    settings = connection.settings
    greeting = await connection.read_greeting()
    if greeting.code != 220:  # noqa: PLR2004 - RFC 5321 section 4.3.1
        connection.quit()
        raise ConnectionFailedError(f"it greeted with: {greeting.code} {greeting.text}")
    name = settings.ehlo_name or "localhost"
    if not settings.ehlo_name and connection.transport is not None:
        host: str = connection.transport.get_extra_info("sockname")[0]
        host = host.partition("%")[0]  # a scope id follows the %
        name = f"[IPv6:{host}]" if ":" in host else f"[{host}]"
    (offer,) = await connection.exchange(f"EHLO {name}\r\n".encode("ascii", "replace"), 1)
    if offer.is_positive:
        connection.capabilities = Capabilities.parse(offer.text)
        return
    if offer.code < 500:  # noqa: PLR2004 - it knows EHLO, but not now (RFC 5321 section 4.2.1)
        connection.quit()
        raise ConnectionFailedError(f"it answered EHLO with: {offer.code} {offer.text}")
    (offer,) = await connection.exchange(f"HELO {name}\r\n".encode("ascii", "replace"), 1)
    if not offer.is_positive:
        connection.quit()
        raise ConnectionFailedError(f"it answered HELO with: {offer.code} {offer.text}")
