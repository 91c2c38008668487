"""One client's SMTP session: the command machine on a socket.

What arrives is answered where it arrives, all of it with one write. Only a message waits: for
policy, for its copies and for the upstream.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Final, cast

from msys_track.dispatch.session import PolicySession
from msys_track.errors import UpstreamError
from msys_track.injection.acceptance import Acceptance
from msys_track.injection.access import Access, Visitor
from msys_track.injection.budget import Budget, Hold
from msys_track.injection.envelope import Envelope
from msys_track.injection.handshake import start_tls
from msys_track.injection.intake import DataRefusedError, open_message
from msys_track.injection.origin import Origin
from msys_track.injection.settings import ProxySettings
from msys_track.injection.users import Login
from msys_track.logs import event_logger
from msys_track.metrics import Counters
from msys_track.options import variables
from msys_track.policy.guard import Guard
from msys_track.relay.upstream import NextHop
from msys_track.smtp.auth import (
    MECHANISMS,
    AuthCancelledError,
    AuthSyntaxError,
    Credentials,
    Mechanism,
    start_mechanism,
)
from msys_track.smtp.capabilities import Capabilities
from msys_track.smtp.commands import events
from msys_track.smtp.commands.events import Event
from msys_track.smtp.commands.machine import CommandLimits, Machine
from msys_track.smtp.commands.offer import Offer
from msys_track.smtp.path import Recipient, fold_domain
from msys_track.smtp.reply import Reply
from msys_track.smtp.xclient import ATTRIBUTES, XClientError, parse_xclient

if TYPE_CHECKING:
    from msys_track.injection.arrival import Arrival

log = event_logger(__name__)

IDENT = "ESMTP msys-track"

_SHUTTING_DOWN: Final = Reply(421, "4.3.2 Shutting down")
_TOO_MANY_CONNECTIONS: Final = Reply(421, "4.3.2 Too many connections")
_IDLE: Final = Reply(421, "4.4.2 Idle for too long")
_MESSAGE_TOO_SLOW: Final = Reply(421, "4.4.2 The message took too long")
_INTERNAL: Final = Reply(421, "4.3.0 Internal error of the tracking proxy")
_TOO_MANY_RECIPIENTS: Final = Reply(452, "4.5.3 Too many recipients")
_MAIL_OK: Final = Reply(250, "2.1.0 Ok")
_RCPT_OK: Final = Reply(250, "2.1.5 Ok")
_OK: Final = Reply(250, "2.0.0 Ok")
_BYE: Final = Reply(221, "2.0.0 Bye")
_START_TLS: Final = Reply(220, "2.0.0 Ready to start TLS")
_AUTHENTICATED: Final = Reply(235, "2.7.0 Authentication successful")
_AUTH_CANCELLED: Final = Reply(501, "5.7.0 Authentication cancelled")
_GO_AHEAD: Final = Reply(354, "End data with <CR><LF>.<CR><LF>")

# What a client may send ahead while its message is answered.
_MAX_AHEAD_BYTES: Final = 64 * 1024
# After our last reply what a client still sends is dropped for so long: were it left unread, the
# kernel would answer with a reset, which can overtake the reply.
_LINGER_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """The state that the sessions of one listener share."""

    settings: ProxySettings
    access: Access
    upstream: NextHop
    acceptance: Acceptance
    budget: Budget
    counters: Counters
    clock: Callable[[], datetime]
    """Returns the time, aware, UTC."""
    sessions: set["Session"] = field(default_factory=set)
    answers: set[asyncio.Task[Reply]] = field(default_factory=set)
    """Messages being relayed, some of them perhaps for clients that are gone."""
    arrivals: set["Arrival"] = field(default_factory=set)
    """Connections whose session has not begun."""
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once the listener takes no more clients."""

    @property
    def is_full(self) -> bool:
        """Whether there are as many clients as there may be."""
        return len(self.sessions) + len(self.arrivals) >= self.settings.max_connections

    def offer(self, upstream: Capabilities | None, visitor: Visitor, origin: Origin) -> Offer:
        """Return what a client is offered; None: the upstream can't be asked."""
        known, access = upstream or Capabilities(), self.access
        size = visitor.limits.max_message_bytes
        if known.size:
            # Below the upstream's by what tracking may add, but never below half of it.
            below = max(known.size - self.settings.size_margin_bytes, known.size // 2)
            size = min(size, below)
        return Offer(
            size=size,
            eight_bit_mime=known.eight_bit_mime,
            smtp_utf8=known.smtp_utf8,
            starttls=access.has_tls and not visitor.is_encrypted,
            auth=MECHANISMS if visitor.may_authenticate else (),
            xclient=ATTRIBUTES if access.may_use_xclient(origin.neighbour) else (),
            is_settled=upstream is not None,
        )


class Session(asyncio.Protocol):
    """One connection from a client to the listening address named `listen`.

    It decides whether to take the client once the connection is made: the loop makes the sessions
    of all clients that wait before any of them is counted.
    """

    def __init__(self, shared: Shared, loop: asyncio.AbstractEventLoop, *, listen: str) -> None:
        settings = shared.settings
        self._shared = shared
        self._loop = loop
        self._listen = listen
        self._transport: asyncio.Transport
        self._origin: Origin
        self._visitor: Visitor
        self._is_admitted = False
        self._policy: PolicySession
        self._mechanism: Mechanism | None = None
        self._named_helo: str | None = None  # by XCLIENT
        self._is_starting_tls = False
        limits = CommandLimits(
            line_bytes=settings.max_command_bytes,
            errors=settings.max_errors,
            commands_without_mail=settings.max_commands_without_mail,
        )
        self._machine = Machine(Offer(size=settings.max_message_bytes), limits, self._open_hold)
        self._hold: Hold | None = None
        self._mail_parameters: tuple[str, ...] = ()
        self._recipients: dict[str, Recipient] = {}  # by the form in which mailboxes are equal
        self._asking: asyncio.Task[None] | None = None
        self._is_answering = False
        self._is_draining = False
        self._is_deaf = False  # it does not read our replies
        self._is_paused = False
        self._is_lingering = False
        self._has_left = False  # it has closed its sending side
        self._last_heard = loop.time()
        self._message_since = 0.0
        self._finished: asyncio.Future[None] | None = None

    @property
    def peer(self) -> str:
        """The client's address and port."""
        return str(self._origin)

    @property
    def is_in_message(self) -> bool:
        """Whether a message has begun and is not answered."""
        return self._machine.is_in_message and not self._transport.is_closing()

    def drain(self) -> None:
        """End the session: at once if it waits for a command, else after its message."""
        self._is_draining = True
        if not self._machine.is_in_message:
            self._close(_SHUTTING_DOWN)

    async def wait_for_message(self) -> None:
        """Wait until the message under way is answered, or the client is gone."""
        if self.is_in_message:
            self._finished = self._finished or self._loop.create_future()
            await asyncio.shield(self._finished)

    def abort(self) -> None:
        """Cut the connection."""
        self._transport.abort()

    def check_time(self, now: float) -> None:
        """End the session if its client is silent or slow; `now` is the loop's time."""
        if self._is_answering:
            return  # the silence is ours
        settings, silence = self._shared.settings, now - self._last_heard
        if self._machine.is_over:
            if silence > min(_LINGER_SECONDS, settings.idle_timeout_seconds):
                self.abort()
        elif silence > settings.idle_timeout_seconds:
            self._count_end("idle")
            # A connection closes only when its client has read the replies that wait for it.
            if self._transport.get_write_buffer_size():
                self.abort()
            else:
                self._close(_IDLE)
        elif (
            self._machine.is_in_message
            and now - self._message_since > settings.message_timeout_seconds
        ):
            self._count_end("slow_message")
            self._close(_MESSAGE_TOO_SLOW)

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the session of a connection of which nothing was read."""
        self.begin(cast("asyncio.Transport", transport), Origin.of(transport))

    def begin(self, transport: asyncio.Transport, origin: Origin) -> None:
        """Greet the client, or refuse it with a reason."""
        shared = self._shared
        self._transport, self._origin = transport, origin
        if shared.closing.is_set():  # taken in the moment the listener closed
            self._refuse_connection(_SHUTTING_DOWN)
            return
        if shared.is_full:
            self._refuse_connection(_TOO_MANY_CONNECTIONS)
            return
        # asyncio sets it only for sockets that it made. Without, replies to pipelined commands
        # would wait 40 ms for the client's delayed acknowledgement.
        raw: socket.socket = transport.get_extra_info("socket")
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        shared.sessions.add(self)
        try:
            refusal = self._admit(origin)
        except Exception as error:  # noqa: BLE001 - the outermost frame of a connection
            self._fail(error)
            return
        if not self._is_admitted and refusal is not None:
            shared.sessions.discard(self)
            self._refuse_connection(refusal)
            return
        shared.counters.add("connections.accepted")
        if refusal is not None:
            shared.counters.add("connections.rejected")
            self._close(self._count_rejection(refusal))
            return
        self._transport.write(self._greeting.wire + b"\r\n")

    def _admit(self, origin: Origin) -> Reply | None:
        """Let a client in; a reply if access, or after that policy, refuses it."""
        shared = self._shared
        visitor = shared.access.admit(origin.ip, self._listen)
        if isinstance(visitor, Reply):
            return visitor
        if self._is_admitted:  # as another client, before XCLIENT
            self._visitor.leave()
        self._is_admitted = True
        visitor.is_encrypted = origin.is_encrypted
        self._visitor, self._origin = visitor, origin
        self._machine.offer = shared.offer(None, visitor, origin)
        scopes = shared.acceptance.rewriter.scopes
        self._policy = PolicySession(scopes, peer=self.peer, listen=self._listen)
        return self._policy.connect(self._guard)

    @property
    def _greeting(self) -> Reply:
        return Reply(220, f"{self._shared.settings.hostname} {IDENT}")

    def data_received(self, data: bytes) -> None:
        """Read on, and answer."""
        machine = self._machine
        if machine.is_over:
            return
        commands = machine.commands
        machine.receive(data)
        self._advance()
        if machine.commands != commands or machine.is_in_message:
            self._last_heard = self._loop.time()

    def eof_received(self) -> bool:
        """Answer what came before the client closed its sending side, then close."""
        self._has_left = True
        self._advance()
        return self._transport.can_write_eof()  # TLS closes both sides at once

    def pause_writing(self) -> None:
        """Read no more from a client that does not read."""
        self._is_deaf = True
        self._set_reading()

    def resume_writing(self) -> None:
        """Read on."""
        self._is_deaf = False
        self._advance()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the session; a message that is being answered goes on."""
        shared, machine = self._shared, self._machine
        if self not in shared.sessions:
            return
        shared.sessions.discard(self)
        if not machine.is_over and (machine.is_in_message or machine.is_in_transaction):
            shared.counters.add("connections.dropped")
            log.info(
                "client.dropped",
                peer=self.peer,
                at="answer" if self._is_answering else "message" if self._hold else "envelope",
                received_bytes=self._hold.held_bytes if self._hold else 0,
                why=str(exc) if exc else "closed",
            )
        machine.close()
        if self._asking is not None:
            self._asking.cancel()
        if self._is_admitted:
            self._visitor.leave()
        self._release()
        self._finish()

    # From bytes to events to replies

    def _advance(self) -> None:
        """Handle the events that there are, and write all replies at once."""
        machine = self._machine
        try:
            while not self._is_deaf and (event := machine.next_event()) is not None:
                self._handle(event)
        except Exception as error:  # noqa: BLE001 - the outermost frame of a session
            self._fail(error)
            return
        if output := machine.take_output():
            self._transport.write(output)
        if self._is_starting_tls and self._asking is None:
            self._transport.pause_reading()
            self._asking = self._loop.create_task(self._shake_hands())
        if machine.is_over:
            self._end(lingers=self._is_lingering or machine.ended_by is not None)
        elif machine.has_more and not self._is_deaf:
            self._loop.call_soon(self._advance)
        elif self._has_left and not (self._is_answering or self._asking):
            self._transport.close()
        if self._is_paused or machine.buffered_bytes > _MAX_AHEAD_BYTES:
            self._set_reading()

    def _handle(self, event: Event) -> None:
        match event:  # the usual ones first
            case events.Mail():
                self._set_sender(event)
            case events.Rcpt():
                self._add_recipient(event)
            case events.StartData():
                self._message_since = self._loop.time()
                self._machine.answer(_GO_AHEAD)
            case events.Received():
                self._receive_message(event)
            case events.Hello():
                self._greet(event)
            case events.Reset():
                self._forget_message()
                self._machine.answer(_OK)
            case events.Quit():
                self._machine.answer(_BYE)
            case _:
                self._identify(event)

    def _greet(self, event: events.Hello) -> None:
        self._forget_message()
        rejection = self._policy.greet(self._guard, self._named_helo or event.name)
        if rejection is not None:
            self._machine.answer(self._count_rejection(rejection))
        elif not event.is_extended:
            self._machine.answer(Reply(250, self._shared.settings.hostname))
        elif (offered := self._shared.upstream.offered) is not None:
            self._offer(offered)
        else:
            self._asking = self._loop.create_task(self._ask_upstream())

    async def _ask_upstream(self) -> None:
        """Answer EHLO once the upstream has said what it offers."""
        offered: Capabilities | None = None
        with contextlib.suppress(UpstreamError):  # DATA will report that it is down
            offered = await self._shared.upstream.capabilities()
        self._asking = None
        self._offer(offered)
        self._advance()

    def _offer(self, upstream: Capabilities | None) -> None:
        self._machine.offer = self._shared.offer(upstream, self._visitor, self._origin)
        self._machine.answer(self._machine.offer.greet(self._shared.settings.hostname))

    def _set_sender(self, event: events.Mail) -> None:
        refusal = self._visitor.check_sender()
        if refusal is not None:
            self._machine.answer(refusal)
            return
        rejection = self._policy.set_sender(self._guard, event.path)
        if rejection is not None:
            self._machine.answer(self._count_rejection(rejection))
            return
        self._mail_parameters = event.parameters
        self._machine.answer(_MAIL_OK)

    def _add_recipient(self, event: events.Rcpt) -> None:
        if self._machine.recipients >= self._visitor.limits.max_recipients:
            self._machine.answer(_TOO_MANY_RECIPIENTS)
            return
        refusal = self._visitor.count_recipient()
        if refusal is not None:
            self._machine.answer(refusal)
            return
        # The same mailbox is one reader, however its domain is written.
        mailbox = fold_domain(event.path)
        known = self._recipients.get(mailbox)
        recipient = known or Recipient(path=event.path, parameters=event.parameters)
        rejection = self._policy.add_recipient(self._guard, recipient.path)
        if rejection is not None:
            self._machine.answer(self._count_rejection(rejection))
            return
        self._recipients[mailbox] = recipient
        self._machine.answer(_RCPT_OK)

    def _receive_message(self, received: events.Received) -> None:
        received_at = self._shared.clock()
        hold, self._hold = self._hold or self._open_hold(), None
        # The message goes on even if the client does not wait for the answer.
        self._is_answering = True
        receive_seconds = self._loop.time() - self._message_since
        task = self._loop.create_task(
            self._take_message(received, hold, received_at, receive_seconds)
        )
        self._shared.answers.add(task)
        task.add_done_callback(self._answer_message)

    async def _take_message(
        self, received: events.Received, hold: Hold, received_at: datetime, receive_seconds: float
    ) -> Reply:
        """Return the answer to a message, and release `hold`."""
        shared = self._shared
        try:
            message = await open_message(received, self._machine.offer.size, shared.settings)
            policy = self._policy
            envelope = Envelope(
                peer=policy.peer,
                listen=policy.listen,
                helo=policy.helo,
                user=policy.user,
                contexts=policy.contexts,
                sender=policy.sender,
                mail_parameters=self._mail_parameters,
                recipients=tuple(self._recipients.values()),
                message=message,
                received_at=received_at.timestamp(),
                receive_seconds=receive_seconds,
            )
            del received
            return await shared.acceptance.answer(envelope, hold, self._client_is_gone)
        except DataRefusedError as refused:
            shared.counters.add(f"messages.refused.{refused.why}")
            log.info("message.refused", why=refused.why, code=refused.reply.code)
            return refused.reply
        finally:
            hold.release()

    def _answer_message(self, task: asyncio.Task[Reply]) -> None:
        self._shared.answers.discard(task)
        self._is_answering = False
        self._last_heard = self._loop.time()
        if task.cancelled():
            return
        if (error := task.exception()) is not None:
            self._fail(error)
        elif not self._machine.is_over:
            self._forget_message()
            self._machine.answer(task.result())
            if self._is_draining:
                self._machine.close(_SHUTTING_DOWN)
            self._advance()
        self._finish()

    # Who the client is

    def _identify(self, event: Event) -> None:
        match event:
            case events.StartTls():
                self._is_starting_tls = True
                self._machine.answer(_START_TLS)
            case events.Authenticate():
                self._mechanism = start_mechanism(event.mechanism)
                self._take_response(event.initial)
            case events.AuthLine():
                self._take_response(event.line)
            case events.XClient():
                self._take_xclient(event)

    async def _shake_hands(self) -> None:
        """Begin TLS after the answer to STARTTLS; the session then begins anew."""
        started = await start_tls(self._transport, self._shared.access, self._origin)
        self._asking, self._is_starting_tls = None, False
        if started is None:
            self.connection_lost(None)
            return
        self._transport, early = started
        self._transport.set_protocol(self)
        self._visitor.is_encrypted = True
        self._forget_message()
        self._machine.restart()
        self._machine.offer = self._shared.offer(None, self._visitor, self._origin)
        self._last_heard = self._loop.time()
        if self._is_draining:
            self._close(_SHUTTING_DOWN)
        elif early:
            self.data_received(early)

    def _take_response(self, line: bytes | None) -> None:
        """Go on with AUTH: ask for more, or check who it is."""
        try:
            answer = b"" if self._mechanism is None else self._mechanism.respond(line)
        except AuthCancelledError:
            self._machine.answer(_AUTH_CANCELLED)
        except AuthSyntaxError as error:
            self._machine.answer(Reply(501, f"5.5.2 {error}"))
        else:
            if isinstance(answer, bytes):
                self._machine.answer(Reply(334, answer.decode()))
            else:
                self._asking = self._loop.create_task(self._log_in(answer))

    async def _log_in(self, credentials: Credentials) -> None:
        """Answer AUTH once the password was checked."""
        try:
            answer = await self._visitor.check_password(credentials.user, credentials.password)
            refusal = self._enter(answer) if isinstance(answer, Login) else answer
        except Exception as error:  # noqa: BLE001 - the outermost frame of this task
            self._asking = None
            self._fail(error)
            return
        self._asking = None
        self._last_heard = self._loop.time()
        self._machine.answer(refusal or _AUTHENTICATED)
        self._advance()

    def _enter(self, login: Login) -> Reply | None:
        """Let a user in, if policy and the user's limits do; a reply if not."""
        given = {
            variables.SUBACCOUNT: login.subaccount_id,
            variables.WORKSPACE: login.workspace_id,
        }
        set_by_login = {name: str(each) for name, each in given.items() if each is not None}

        def ask_policy() -> Reply | None:
            rejection = self._policy.authenticate(self._guard, login.user, set_by_login)
            return None if rejection is None else self._count_rejection(rejection)

        refusal = self._visitor.log_in(login, ask_policy)
        offer = self._machine.offer
        size = min(offer.size, self._visitor.limits.max_message_bytes)
        self._machine.offer = replace(offer, size=size)
        return refusal

    def _take_xclient(self, event: events.XClient) -> None:
        """Take another client's place, as a trusted peer says; greet it, or refuse it."""
        try:
            named = parse_xclient(event.attributes)
        except XClientError as error:
            self._machine.answer(Reply(501, f"5.5.4 {error}"))
            return
        self._forget_message()
        refusal = self._admit(self._origin.rename(named))
        self._named_helo = named.helo
        if refusal is None and named.login is not None:
            refusal = self._enter(Login(user=named.login))
        self._machine.answer(refusal or self._greeting)
        if refusal is not None:
            self._machine.close()

    # What several of them need

    @property
    def _guard(self) -> Guard | None:
        """The policy to call at each command; another one may take its place at any time."""
        return self._shared.acceptance.rewriter.policy

    def _client_is_gone(self) -> bool:
        return self._transport.is_closing()

    def _open_hold(self) -> Hold:
        self._hold = self._shared.budget.hold()
        return self._hold

    def _release(self) -> None:
        if self._hold is not None:
            self._hold.release()
            self._hold = None

    def _forget_message(self) -> None:
        self._release()
        self._recipients.clear()
        self._policy.begin_message()

    def _count_rejection(self, rejection: Reply) -> Reply:
        """Count what policy refuses, and return the reply."""
        self._shared.counters.add("policy.rejected")
        return rejection

    def _count_end(self, why: str) -> None:
        self._shared.counters.add(f"sessions.ended.{why}")
        log.info("session.ended", peer=self.peer, why=why)

    def _refuse_connection(self, reply: Reply) -> None:
        self._shared.counters.add("connections.refused")
        self._transport.write(reply.wire + b"\r\n")
        self._transport.close()

    def _fail(self, error: BaseException) -> None:
        """Answer a defect of ours; the session ends, as what follows may be half a message."""
        log.error("session.failed", exc_info=error)
        self._shared.counters.add("sessions.failed")
        self._close(_INTERNAL)

    def _close(self, reply: Reply) -> None:
        """Say why, and end the session."""
        if self._is_starting_tls:  # nothing can be said in the middle of a handshake
            self.abort()
            return
        self._machine.close(reply)
        if output := self._machine.take_output():
            self._transport.write(output)
        self._end(lingers=self._transport.can_write_eof())

    def _end(self, *, lingers: bool) -> None:
        """Close our side; a client that still sends gets to read what it was told."""
        if self._machine.ended_by is not None:
            self._count_end(self._machine.ended_by)
            self._machine.ended_by = None
        self._release()
        self._finish()
        if self._transport.is_closing():
            return
        if self._has_left or not lingers:
            self._transport.close()
        elif not self._is_lingering:
            self._is_lingering = True
            self._last_heard = self._loop.time()
            with contextlib.suppress(OSError):  # the client is gone already
                self._transport.write_eof()

    def _finish(self) -> None:
        if self._finished is not None and not self._finished.done():
            self._finished.set_result(None)

    def _set_reading(self) -> None:
        """Stop reading from a client that is far ahead of us, or go on."""
        must_pause = self._is_deaf or self._machine.buffered_bytes > _MAX_AHEAD_BYTES
        if must_pause == self._is_paused or self._transport.is_closing():
            return
        self._is_paused = must_pause
        if must_pause:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()
