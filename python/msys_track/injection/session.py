"""One client's SMTP session: aiosmtpd's, but the upstream decides what it offers and takes.

docs/smtp.md lists what this overrides of aiosmtpd, and why; tests play the same dialogues to both.
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import cast

from aiosmtpd.smtp import SMTP, syntax
from aiosmtpd.smtp import Envelope as SmtpEnvelope
from aiosmtpd.smtp import Session as SmtpSession

from msys_track.dispatch.session import PolicySession
from msys_track.errors import UpstreamError
from msys_track.injection import address
from msys_track.injection.acceptance import Acceptance
from msys_track.injection.access import Access
from msys_track.injection.budget import Budget
from msys_track.injection.envelope import Envelope
from msys_track.injection.intake import DataRefusedError, receive
from msys_track.injection.settings import ProxySettings
from msys_track.logs import event_logger
from msys_track.metrics import Counters
from msys_track.policy.guard import Guard
from msys_track.relay.upstream import NextHop
from msys_track.smtp.address import Address
from msys_track.smtp.capabilities import Capabilities
from msys_track.smtp.path import Recipient
from msys_track.smtp.reply import Reply, printable

log = event_logger(__name__)

# aiosmtpd logs what clients say. Without any handler Python would print it.
logging.getLogger("mail.log").addHandler(logging.NullHandler())

IDENT = "ESMTP msys-track"

_NULL_PATH = "<>"

_COMMAND_BYTES = SMTP.command_size_limit
# Each extension lengthens MAIL: SIZE by 26 (RFC 1870), BODY= by 17 (RFC 6152), SMTPUTF8 by 10.
_MAIL_BYTES = _COMMAND_BYTES + 26 + 17 + 10


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
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once the listener takes no more clients."""


class _CommandBytes(dict[str, int]):
    """The longest line of each command.

    aiosmtpd looks up whatever word a client sends, and its `defaultdict` would keep each of them.
    """

    def __missing__(self, command: str) -> int:
        return _COMMAND_BYTES


class _Hooks:
    """Handles well-formed commands for aiosmtpd; calls policy."""

    def __init__(self, most_recipients: int) -> None:
        self._most_recipients = most_recipients

    async def handle_HELO(  # noqa: N802 - aiosmtpd's names, here and below
        self, server: "Session", session: SmtpSession, _envelope: SmtpEnvelope, hostname: str
    ) -> str:
        rejection = server.policy_session.greet(server.policy, hostname)
        if rejection is not None:
            return server.count_rejection(rejection)
        session.host_name = hostname
        return f"250 {server.hostname}"

    async def handle_MAIL(  # noqa: N802
        self,
        server: "Session",
        _session: SmtpSession,
        envelope: SmtpEnvelope,
        address: str,
        options: list[str],
    ) -> str:
        sender = "" if address == _NULL_PATH else address
        rejection = server.policy_session.set_sender(server.policy, sender)
        if rejection is not None:
            return server.count_rejection(rejection)
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(  # noqa: N802
        self,
        server: "Session",
        _session: SmtpSession,
        envelope: SmtpEnvelope,
        address: str,
        options: list[str],
    ) -> str:
        # The null path receives nothing.
        if address == _NULL_PATH:
            return "553 5.1.3 Error: malformed address"
        if len(envelope.rcpt_tos) >= self._most_recipients:
            return "452 4.5.3 Too many recipients"
        rejection = server.policy_session.add_recipient(server.policy, address)
        if rejection is not None:
            return server.count_rejection(rejection)
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 OK"


class Session(SMTP):
    """One connection from a client to the listening address named `listen`."""

    # The longest line that aiosmtpd reads, and half of what it buffers. With its own 1,001 every
    # chunk of DATA would stop the transport. Commands have their own limits below.
    line_length_limit = 65_536

    # Set before the first command; only aiosmtpd's types say that they may be missing.
    session: SmtpSession
    envelope: SmtpEnvelope
    _handler_coroutine: asyncio.Task[None]

    def __init__(self, shared: Shared, loop: asyncio.AbstractEventLoop, *, listen: str) -> None:
        # On the class it would be one dictionary for all sessions, cleared by each new one.
        self.command_size_limits = _CommandBytes()
        self._shared = shared
        self._listen = listen
        self._policy_session: PolicySession | None = None
        self._max_bytes = shared.settings.max_message_bytes
        self._last_heard = loop.time()
        self._in_data = False
        self._is_answering = False
        self._is_draining = False
        super().__init__(
            _Hooks(shared.settings.max_recipients),
            data_size_limit=self._max_bytes,
            hostname=shared.settings.hostname,
            ident=IDENT,
            timeout=shared.settings.idle_timeout_seconds,
            loop=loop,
        )
        self.command_size_limits["MAIL"] = _MAIL_BYTES

    def drain(self) -> None:
        """End the session: at once if it waits for a command, else after its message."""
        self._is_draining = True
        if not self._in_data:
            self._close("421 4.3.2 Shutting down")

    @property
    def task(self) -> asyncio.Task[None]:
        """Runs until the session has ended."""
        return self._handler_coroutine

    def abort(self) -> None:
        """Cut the connection."""
        if self.transport is not None:
            cast("asyncio.Transport", self.transport).abort()

    @syntax("EHLO hostname")
    async def smtp_EHLO(self, hostname: str) -> None:  # noqa: N802 - aiosmtpd's name
        """Offer what the upstream offers and the proxy can pass on."""
        if not hostname:
            await self.push("501 Syntax: EHLO hostname")
            return
        self._set_rset_state()  # type: ignore[no-untyped-call]
        rejection = self.policy_session.greet(self.policy, hostname)
        if rejection is not None:
            await self.push(self.count_rejection(rejection))
            return
        self.session.extended_smtp = True
        self.session.host_name = hostname
        try:
            offered = await self._shared.upstream.capabilities()
        except UpstreamError:
            offered = Capabilities()  # promise nothing; DATA will report that it is down
        self.enable_SMTPUTF8 = offered.smtp_utf8
        settings = self._shared.settings
        self._max_bytes = settings.max_message_bytes
        if offered.size:
            # Below the upstream's by what tracking may add, but never below half of it.
            below = max(offered.size - settings.size_margin_bytes, offered.size // 2)
            self._max_bytes = min(self._max_bytes, below)
        self.data_size_limit = self._max_bytes
        extensions = {
            "8BITMIME": offered.eight_bit_mime,
            "SMTPUTF8": offered.smtp_utf8,
            "PIPELINING": offered.pipelining,
            "HELP": True,
        }
        keywords = [keyword for keyword, is_offered in extensions.items() if is_offered]
        lines = [self.hostname, f"SIZE {self._max_bytes}", *keywords]
        await self.push(Reply(250, "\n".join(lines)).wire)

    @syntax("DATA")
    async def smtp_DATA(self, arg: str | None) -> None:  # noqa: N802
        """Take a message and answer what became of it."""
        if await self.check_helo_needed() or await self.check_auth_needed("DATA"):
            return
        if not self.envelope.rcpt_tos:
            await self.push("503 Error: need RCPT command")
            return
        if arg:
            await self.push("501 Syntax: DATA")
            return
        self._in_data = True
        try:
            reply = await self._take_message()
        finally:
            self._in_data = False
        self._set_post_data_state()
        await self.push(reply.wire)
        if self._is_draining:
            self._close("421 4.3.2 Shutting down")

    @property
    def policy(self) -> Guard | None:
        """The policy to call at each command; another one may take its place at any time."""
        return self._shared.acceptance.rewriter.policy

    @property
    def policy_session(self) -> PolicySession:
        """The session as policy sees it, from the moment the client's address is known."""
        if self._policy_session is None:
            scopes = self._shared.acceptance.rewriter.scopes
            match self.session.peer:
                case (str(host), int(port), *_):
                    peer = str(Address(host, port))
                case sockname:
                    peer = str(sockname)
            self._policy_session = PolicySession(scopes, peer=peer, listen=self._listen)
        return self._policy_session

    def count_rejection(self, rejection: Reply) -> str:
        """Count what policy refuses, and return the reply."""
        self._shared.counters.add("policy.rejected")
        return f"{rejection.code} {rejection.text}"

    async def _handle_client(self) -> None:
        """Call policy for the new connection, then greet the client."""
        rejection = self.policy_session.connect(self.policy)
        if rejection is None:
            await super()._handle_client()
            return
        self._shared.counters.add("connections.rejected")
        self._close(self.count_rejection(rejection))

    def _set_post_data_state(self) -> None:
        super()._set_post_data_state()  # type: ignore[no-untyped-call]
        if self._policy_session is not None:
            self._policy_session.begin_message()

    async def push(self, status: str | bytes) -> None:
        """Send a reply in printable ASCII, whatever it repeats of the client's.

        Raises:
            ConnectionResetError: the session has ended; it does not obey what came with its last
                command.
        """
        if self._client_is_gone():
            raise ConnectionResetError("the session has ended")
        await super().push(printable(status) if isinstance(status, str) else status)

    async def _take_message(self) -> Reply:
        await self.push("354 End data with <CR><LF>.<CR><LF>")
        hold = self._shared.budget.hold()
        try:
            received = await receive(
                self._reader,
                max_bytes=self._max_bytes,
                hold=hold,
                on_progress=self._reset_timeout,
            )
            # At once, before another await: the reader's buffer must still be empty.
            self._reader.feed_data(received.rest)
            message = await received.message(self._max_bytes)
            policy = self.policy_session
            envelope = Envelope(
                peer=policy.peer,
                listen=policy.listen,
                helo=policy.helo,
                contexts=policy.contexts,
                sender=policy.sender,
                mail_parameters=tuple(self.envelope.mail_options),
                recipients=tuple(Recipient(path=path) for path in policy.recipients),
                message=message,
                received_at=self._shared.clock().timestamp(),
            )
        except DataRefusedError as refused:
            hold.release()
            self._shared.counters.add(f"messages.refused.{refused.why}")
            log.info("message.refused", why=refused.why, code=refused.reply.code)
            return refused.reply
        except BaseException:
            hold.release()
            raise
        # The message goes on even if the client does not wait for the answer.
        answers = self._shared.answers
        answer = self._shared.acceptance.answer(envelope, hold, self._client_is_gone)
        task = self.loop.create_task(answer)
        answers.add(task)
        task.add_done_callback(answers.discard)
        self._is_answering = True
        try:
            return await asyncio.shield(task)
        finally:
            self._is_answering = False
            self._reset_timeout()

    def _client_is_gone(self) -> bool:
        return self.transport is None or self.transport.is_closing()

    def _close(self, reply: str) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self._writer.write(reply.encode("ascii") + b"\r\n")
            self.transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count the session and begin it."""
        # asyncio sets it only for sockets that it made. Without, replies to pipelined commands
        # would wait 40 ms for the client's delayed acknowledgement.
        raw: socket.socket = transport.get_extra_info("socket")
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().connection_made(transport)
        self._shared.sessions.add(self)
        self._shared.counters.add("connections.accepted")
        # aiosmtpd ends the task of a lost connection with an error that is never read.
        self._handler_coroutine.add_done_callback(_log_error)

    def connection_lost(self, error: Exception | None) -> None:
        """Forget the session."""
        self._shared.sessions.discard(self)
        super().connection_lost(error)

    async def handle_exception(self, error: Exception) -> str:
        """Answer a defect of ours; the session ends, as what follows may be half a message."""
        log.error("session.failed", exc_info=error)
        self._shared.counters.add("sessions.failed")
        self._close("421 4.3.0 Internal error of the tracking proxy")
        return ""  # aiosmtpd pushes it, and `push` ends the session

    def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
        """Read an address; the plain ones at a hundredth of the cost."""
        return address.split_argument(arg, super()._getaddr)

    def _getparams(self, params: Sequence[str]) -> dict[str, str | bool] | None:
        """Read ESMTP parameters, which are ASCII; aiosmtpd would take any script's digits."""
        if not all(each.isascii() for each in params):
            return None
        return super()._getparams(params)

    def _reset_timeout(self, duration: float | None = None) -> None:
        """Note that the client is alive; one timer lasts the whole session."""
        self._last_heard = self.loop.time()
        if self._timeout_handle is None:
            self._timeout_handle = self.loop.call_later(
                duration or self._timeout_duration, self._timeout_cb
            )

    def _timeout_cb(self) -> None:
        """Close after silence; while we owe the answer, the silence is ours."""
        silence = 0.0 if self._is_answering else self.loop.time() - self._last_heard
        left = self._timeout_duration - silence
        if left > 0:
            self._timeout_handle = self.loop.call_later(left, self._timeout_cb)
            return
        # A connection closes only when its client has read the replies that wait for it.
        if (
            self._client_is_gone()
            or cast("asyncio.Transport", self.transport).get_write_buffer_size()
        ):
            self.abort()
            return
        self._close("421 4.4.2 Idle for too long")
        self._timeout_handle = self.loop.call_later(self._timeout_duration, self._timeout_cb)


def _log_error(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.debug("session.ended", why=repr(error))
