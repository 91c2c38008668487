"""One client's SMTP session: what its commands mean, and who answers them.

Only a message waits: for policy, for its copies and for the upstream.
"""

import asyncio
import contextlib
import socket
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

from msys_track.accounts.users import Login
from msys_track.dispatch.session import PolicySession
from msys_track.errors import UpstreamError
from msys_track.injection.access.handshake import start_tls
from msys_track.injection.access.origin import Origin
from msys_track.injection.connection import SHUTTING_DOWN, Connection
from msys_track.injection.shared import Shared
from msys_track.injection.transaction import Answer, ClientTransaction
from msys_track.logs import event_logger
from msys_track.options import variables
from msys_track.smtp.auth import (
    AuthCancelledError,
    AuthSyntaxError,
    Credentials,
    Mechanism,
    start_mechanism,
)
from msys_track.smtp.capabilities import Capabilities
from msys_track.smtp.commands import events
from msys_track.smtp.commands.events import Event
from msys_track.smtp.commands.words import OK
from msys_track.smtp.reply import Reply
from msys_track.smtp.xclient import XClientError, parse_xclient

if TYPE_CHECKING:
    from msys_track.injection.access.visitor import Visitor
    from msys_track.smtp.path import Recipient

log = event_logger(__name__)

TOO_MANY_CONNECTIONS: Final = Reply(421, "4.3.2 Too many connections")
_BYE: Final = Reply(221, "2.0.0 Bye")
_START_TLS: Final = Reply(220, "2.0.0 Ready to start TLS")
_AUTHENTICATED: Final = Reply(235, "2.7.0 Authentication successful")
_AUTH_CANCELLED: Final = Reply(501, "5.7.0 Authentication cancelled")
_GO_AHEAD: Final = Reply(354, "End data with <CR><LF>.<CR><LF>")


class Session(Connection):
    """One connection from a client to the listening address named `listen`.

    It decides whether to take the client once the connection is made: the loop makes the sessions
    of all clients that wait before any of them is counted.
    """

    def __init__(self, shared: Shared, loop: asyncio.AbstractEventLoop, *, listen: str) -> None:
        super().__init__(shared, loop)
        self._listen = listen
        self._origin: Origin
        self._first_origin: Origin  # before XCLIENT
        self._visitor: Visitor
        self._is_admitted = False
        self._policy: PolicySession
        self._transaction: ClientTransaction
        self._mechanism: Mechanism | None = None
        self._named_helo: str | None = None  # by XCLIENT
        self._told_ids: set[str] = set()
        # Recipients that the upstream has not answered, and answers that wait behind them.
        self._questions: deque[tuple[Recipient, Answer]] = deque()
        self._asking: asyncio.Task[None] | None = None
        self._is_answering = False

    @property
    def peer(self) -> str:
        """The client's address and port."""
        return str(self._origin)

    @property
    def _is_working(self) -> bool:
        return self._is_answering or self._asking is not None or bool(self._questions)

    def _let_go(self) -> None:
        super()._let_go()
        if self._is_admitted:
            self._transaction.forget()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the session of a connection of which nothing was read."""
        self.begin(cast("asyncio.Transport", transport), Origin.of(transport))

    def begin(self, transport: asyncio.Transport, origin: Origin) -> None:
        """Greet the client, or refuse it with a reason."""
        shared = self._shared
        self._transport, self._origin = transport, origin
        self._first_origin = origin
        if shared.closing.is_set():  # taken in the moment the listener closed
            self._refuse_connection(SHUTTING_DOWN)
            return
        if shared.is_full:
            self._refuse_connection(TOO_MANY_CONNECTIONS)
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
            self._close(shared.count_rejection(refusal))
            return
        self._transport.write(self._greeting.wire)

    def _admit(self, origin: Origin) -> Reply | None:
        """Let a client in; a reply if access, or after that policy, refuses it."""
        shared = self._shared
        if self._is_admitted:  # as another client, before XCLIENT
            self._visitor.leave()
        visitor = shared.access.admit(origin.ip, self._listen)
        if isinstance(visitor, Reply):
            return visitor
        self._is_admitted = True
        visitor.is_encrypted = origin.is_encrypted
        self._visitor, self._origin = visitor, origin
        self._machine.offer = shared.offer(None, visitor, origin)
        scopes = shared.acceptance.rewriter.scopes
        self._policy = PolicySession(
            scopes,
            peer=self.peer,
            listen=self._listen,
            is_encrypted=origin.is_encrypted,
            can_relay=visitor.can_relay,
        )
        self._transaction = ClientTransaction(shared, visitor, self._policy)
        return self._policy.connect(shared.guard)

    @property
    def _greeting(self) -> Reply:
        return Reply(220, f"{self._shared.settings.hostname} {self._shared.ident}")

    def _refuse_connection(self, reply: Reply) -> None:
        self._shared.counters.add("connections.refused")
        self._transport.write(reply.wire)
        self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the session; a message that is being answered goes on."""
        shared, machine = self._shared, self._machine
        if self not in shared.sessions:
            return
        shared.sessions.discard(self)
        shared.upstream.identity.forget(self._told_ids)
        if not machine.is_over and (machine.is_in_message or machine.is_in_transaction):
            shared.counters.add("connections.dropped")
            log.info(
                "client.dropped",
                peer=self.peer,
                at="answer" if self._is_answering else "message" if self._hold else "envelope",
                received_bytes=machine.message_bytes,
                why=str(exc) if exc else "closed",
            )
        machine.close()
        if self._asking is not None:
            self._asking.cancel()
        if self._is_admitted:
            self._visitor.leave()
        self._let_go()
        self._finish()

    # Commands

    def _set_sender(self, event: events.Mail) -> None:
        self._machine.answer(self._transaction.set_sender(event.path, event.parameters))

    def _begin_message(self, _event: events.StartData) -> None:
        self._machine.answer(_GO_AHEAD)

    def _reset(self, _event: events.Reset) -> None:
        self._forget_message()
        self._machine.answer(OK)

    def _note_ids(self, event: events.TellIds) -> None:
        self._shared.upstream.identity.note(event.ids, self._told_ids)
        self._machine.answer(OK)

    def _quit(self, _event: events.Quit) -> None:
        self._machine.answer(_BYE)

    def _greet(self, event: events.Hello) -> None:
        self._forget_message()
        rejection = self._policy.greet(
            self._shared.guard, self._named_helo or event.name, is_extended=event.is_extended
        )
        if rejection is not None:
            self._machine.answer(self._shared.count_rejection(rejection))
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

    def _add_recipient(self, event: events.Rcpt) -> None:
        recipient, answer = self._transaction.add_recipient(event.path, event.parameters)
        if isinstance(answer, Reply):
            if self._questions:
                self._questions.append((recipient, answer))
            else:
                self._machine.answer(answer)
            return
        self._questions.append((recipient, answer))
        answer.add_done_callback(self._answer_recipients)

    def _answer_recipients(self, _answer: asyncio.Future[Reply]) -> None:
        """Answer the recipients that the upstream has answered, in the order of RCPT."""
        while self._questions:
            recipient, answer = self._questions[0]
            if not isinstance(answer, Reply):
                if not answer.done():
                    break
                answer = self._transaction.judge(recipient, answer)
            self._questions.popleft()
            if not self._machine.is_over:
                self._machine.answer(answer)
        self._advance()

    def _receive_message(self, received: events.Received) -> None:
        received_at = self._shared.clock()
        hold, self._hold = self._hold or self._open_hold(), None
        transaction = self._transaction
        self._transaction = ClientTransaction(self._shared, self._visitor, self._policy)
        # The message goes on even if the client does not wait for the answer.
        self._is_answering = True
        task = self._loop.create_task(
            transaction.take_message(
                received,
                hold,
                max_bytes=self._machine.offer.size,
                received_at=received_at,
                receive_seconds=self._loop.time() - self._message_since,
                client_is_gone=self._is_client_gone,
            )
        )
        self._shared.answers.add(task)
        task.add_done_callback(self._answer_message)

    def _is_client_gone(self) -> bool:
        """Whether nobody waits for the answer; who has sent QUIT behind the message does."""
        has_hung_up = self._has_left and not self._machine.buffered_bytes
        return has_hung_up or self._transport.is_closing()

    def _answer_message(self, task: asyncio.Task[Reply]) -> None:
        self._shared.answers.discard(task)
        self._is_answering = False
        if task.cancelled():
            return
        if (error := task.exception()) is not None:
            self._fail(error)
        elif not self._machine.is_over:
            self._forget_message()
            self._machine.answer(task.result())
            if self._is_draining:
                self._machine.close(SHUTTING_DOWN)
            self._advance()
        self._finish()

    def _forget_message(self) -> None:
        self._let_go()
        self._policy.begin_message()

    # Who the client is

    def _begin_tls(self, _event: events.StartTls) -> None:
        self._is_starting_tls = True
        self._machine.answer(_START_TLS)

    def _authenticate(self, event: events.Authenticate) -> None:
        self._mechanism = start_mechanism(event.mechanism)
        self._take_response(event.initial)

    def _take_auth_line(self, event: events.AuthLine) -> None:
        self._take_response(event.line)

    def _follow_output(self) -> None:
        if self._asking is None:
            self._transport.pause_reading()
            self._asking = self._loop.create_task(self._shake_hands())

    async def _shake_hands(self) -> None:
        """Begin TLS after the answer to STARTTLS; the session then begins anew."""
        started = await start_tls(self._transport, self._shared.access, self._origin)
        self._asking, self._is_starting_tls = None, False
        if started is None:
            self.connection_lost(None)
            return
        self._transport, early = started
        self._transport.set_protocol(self)
        self._last_heard = self._loop.time()
        self._forget_message()
        self._machine.restart()
        refusal = self._forget_xclient()
        self._visitor.is_encrypted = self._policy.is_encrypted = True
        self._origin = self._first_origin = replace(self._first_origin, is_encrypted=True)
        self._machine.offer = self._shared.offer(None, self._visitor, self._origin)
        if refusal is not None or self._is_draining:
            self._close(refusal or SHUTTING_DOWN)
        elif early:
            self.data_received(early)

    def _forget_xclient(self) -> Reply | None:
        """Take back what XCLIENT said before TLS (RFC 3207 section 4.2): was it the peer?"""
        self._named_helo = None
        return None if self._origin is self._first_origin else self._admit(self._first_origin)

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
        if not self._machine.is_over:
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
            rejection = self._policy.authenticate(self._shared.guard, login.user, set_by_login)
            return None if rejection is None else self._shared.count_rejection(rejection)

        refusal = self._visitor.log_in(login, ask_policy)
        self._policy.can_relay = self._visitor.can_relay
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

    _HANDLERS: ClassVar[Mapping[type[Event], Callable[[Any, Any], None]]] = {
        events.Hello: _greet,
        events.Mail: _set_sender,
        events.Rcpt: _add_recipient,
        events.StartData: _begin_message,
        events.Received: _receive_message,
        events.Reset: _reset,
        events.Quit: _quit,
        events.StartTls: _begin_tls,
        events.Authenticate: _authenticate,
        events.AuthLine: _take_auth_line,
        events.XClient: _take_xclient,
        events.TellIds: _note_ids,
    }
