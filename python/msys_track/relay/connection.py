"""One connection to the upstream: groups of commands go out, as many replies come back.

An `asyncio.Protocol` that plays dialogues. A dialogue is a generator: it yields the next group of
commands, is sent the replies, and returns what came of it. So the order of commands is written
down without sockets (`relay/transaction.py`), and a whole transaction costs one future: what
follows from a reply is sent where the reply arrives.
"""

import asyncio
from collections.abc import Callable, Generator, Iterable, Sequence
from math import inf
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar, cast

from msys_track.errors import PicklableError
from msys_track.relay.deadlines import Deadlines
from msys_track.relay.settings import UpstreamSettings
from msys_track.smtp.capabilities import Capabilities
from msys_track.smtp.reply import SERVICE_CLOSING, MalformedReplyError, Reply, ReplyReader


class ConnectionFailedError(PicklableError):
    """No replies will come: unreachable, silent for too long, or not speaking SMTP.

    Attributes:
        replies: Those to the last group of commands that came before, if not all did.
    """

    replies: Sequence[Reply] = ()


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
    is_message: bool = False
    """Whether commands follow a message in it, so that no reply may come before all is sent."""


_WRITE_BUFFER_BYTES: Final = 65_536

_UNEXPECTED: Final = "it sent an unexpected reply"
_EARLY: Final = "it replied before the end of the message"

_Result = TypeVar("_Result")

Dialogue: TypeAlias = Generator[Group, Sequence[Reply], _Result]
"""Yields groups of commands and is sent the replies to each; `ConnectionFailedError` is raised
where replies will not come, and whatever is yielded after that raises it again."""


class UpstreamConnection(asyncio.Protocol):
    """A connection that is either usable or has failed for good.

    Attributes:
        capabilities: What the upstream offered on it; set when it is opened.
        mark: What its greeting showed, if it is a proxy of ours.
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
        self.mark: str | None = None
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
        # Not the group, whose message would stay in memory while the connection is idle.
        self._expected = 0
        self._timeout_seconds = 0.0
        self._is_message = False
        self._has_unsent = False
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
        """Whether a part of what was written is still here, so that the upstream can't know it.

        After the connection is lost it may be no although there was a small part.
        """
        if self._has_unsent or self.transport is None:
            return self._has_unsent
        return self.transport.get_write_buffer_size() > 0

    def play(self, dialogue: Dialogue[_Result]) -> asyncio.Future[_Result]:
        """Play a dialogue to its end, and return the future of its result.

        Its errors are those of the dialogue. A future that is cancelled does not end the dialogue:
        `give_up` does.

        Raises:
            ConnectionFailedError: the connection is not usable; nothing was sent.
        """
        if self._failure is not None:
            dialogue.close()
            raise self._failure
        result: asyncio.Future[_Result] = self._loop.create_future()
        self._result = result
        self._advance(dialogue, None)
        return result

    def give_up(self) -> None:
        """Close the connection if a dialogue is still played, as its result is not wanted."""
        if self._dialogue is not None:
            self.abort("not waited for any longer")

    async def exchange(
        self, commands: bytes, expected: int, *, timeout_seconds: float | None = None
    ) -> Sequence[Reply]:
        """Send a group of commands and return the `expected` replies to it.

        Raises:
            ConnectionGoneError: closed, or about to be (421).
            ConnectionFailedError: no answer in time, or not SMTP.
        """
        seconds = timeout_seconds or self.settings.reply_timeout_seconds
        try:
            return await self.play(_exchange(Group(commands, expected, seconds)))
        finally:
            self.give_up()

    async def read_greeting(self) -> Reply:
        """Return what the upstream said first.

        Raises:
            ConnectionGoneError: closed, or about to be (421).
            ConnectionFailedError: no answer in time, or not SMTP.
        """
        try:
            return await self._greeting
        finally:
            self.give_up()

    def rest(self, seconds: float) -> None:
        """Say QUIT unless it is used again within this time."""
        self.deadline = deadline = self._loop.time() + seconds
        if deadline < self._deadlines.due:
            self._deadlines.note(deadline)

    def quit(self) -> None:
        """Send QUIT and close, without waiting for the answer."""
        if self.transport is not None and self._failure is None:
            self._failure = ConnectionGoneError("we closed the connection")
            self._deadlines.discard(self)
            if self.has_unsent:  # to close would wait until it reads
                self.transport.abort()
            else:
                self.transport.write(b"QUIT\r\n")
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
            self._fail(ConnectionFailedError(f"no answer within {self._timeout_seconds:g} s"))

    def use_transport(self, transport: asyncio.Transport) -> None:
        """Write to this transport from now on.

        Raises:
            ConnectionFailedError: over the one before came what nobody waited for, such as a
                reply that somebody put before TLS began (RFC 3207 section 6).
        """
        if not self._reader.is_empty:
            self._fail(ConnectionFailedError("it sent an unexpected reply"))
        if self._failure is not None:
            transport.abort()
            raise self._failure
        self.transport = transport
        # So that `resume_writing` means that nothing is left. The upper limit stays: below it
        # uvloop collects what is written in one turn, which wakes a busy upstream less often.
        transport.set_write_buffer_limits(high=_WRITE_BUFFER_BYTES, low=0)

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
            and len(replies) == self._expected
            and not (self._replies or self._has_unsent)
            and (self.transport is None or not self.transport.get_write_buffer_size())
        ):
            self._advance(dialogue, replies)
            return
        failure = self._keep(self._reader.feed(data) if replies is None else replies)
        if dialogue is None or len(self._replies) < self._expected:
            if failure is None and self._is_message and self._replies and self.has_unsent:
                failure = ConnectionFailedError(_EARLY)
            if failure is not None:
                self._fail(failure)
            return
        replies, self._replies = self._replies, []
        if self.has_unsent:
            # It would read the rest of the message as commands.
            failure = ConnectionFailedError(_EARLY)
        elif failure is None and not self._reader.is_empty:
            failure = ConnectionFailedError(_UNEXPECTED)
        if failure is not None:
            # The replies count all the same, but nothing more is said.
            self._dialogue = None
            self._fail(failure)
        self._advance(dialogue, replies)

    def _keep(self, replies: Iterable[Reply]) -> ConnectionFailedError | None:
        """Keep the replies that are waited for, and return why the connection can't go on.

        What comes with the last of them was sent before the next command, and answers nothing.
        """
        try:
            for reply in replies:
                if reply.code == SERVICE_CLOSING:
                    return ServiceClosingError(f"it replied: {reply.code} {reply.text}")
                if self._dialogue is None or len(self._replies) == self._expected:
                    return ConnectionFailedError(_UNEXPECTED)
                self._replies.append(reply)
        except MalformedReplyError as error:
            return ConnectionFailedError(f"it does not speak SMTP: {error}")
        return None

    def _advance(
        self,
        dialogue: Dialogue[Any],
        replies: Any,
        failure: ConnectionFailedError | None = None,
    ) -> None:
        """Let a dialogue go on with replies, None at its beginning, until it waits or ends."""
        # While it runs it may give the connection up.
        self._dialogue = None
        result = self._result
        try:
            group = dialogue.send(replies) if failure is None else dialogue.throw(failure)
            while self._failure is not None:
                self._has_unsent = True
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
            commands, self._expected, seconds, self._is_message = group
            self._dialogue, self._timeout_seconds = dialogue, seconds
            self.deadline = deadline = self._loop.time() + seconds
            if deadline < self._deadlines.due:
                self._deadlines.note(deadline)
            if self.transport is not None and commands:
                self.transport.write(commands)

    def _fail(self, failure: ConnectionFailedError) -> None:
        if self._failure is not None:
            return
        self._failure = failure
        self.deadline = inf
        self._deadlines.discard(self)
        if self.transport is not None:
            self._has_unsent = self.has_unsent
            self.transport.abort()
        if self._dialogue is not None:
            failure.replies, self._replies = self._replies, []
            self._advance(self._dialogue, None, failure)
        self._on_lost(self)


def _exchange(group: Group) -> Dialogue[Sequence[Reply]]:
    return (yield group)


def _read_greeting(group: Group) -> Dialogue[Reply]:
    (greeting,) = yield group
    return greeting
