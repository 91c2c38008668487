"""The reference front: aiosmtpd reads the commands, and the same acceptance stands behind it.

It is what the command machine is held against, and a second opinion in operation: slower by far,
without TLS, AUTH, PROXY protocol and XCLIENT, with aiosmtpd's limits (a line of a message has at
most 1,001 bytes) and with its reading of addresses, which knows comments and encoded-words. It
uses aiosmtpd's public API only.
"""

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Final, cast

from aiosmtpd.smtp import SMTP, Envelope
from aiosmtpd.smtp import Session as SmtpSession

from msys_track.dispatch.session import PolicySession
from msys_track.errors import UpstreamError
from msys_track.injection.acceptance import FAILED
from msys_track.injection.access.origin import Origin
from msys_track.injection.access.visitor import Visitor
from msys_track.injection.connection import SHUTTING_DOWN
from msys_track.injection.session import TOO_MANY_CONNECTIONS
from msys_track.injection.shared import Shared
from msys_track.injection.transaction import ClientTransaction
from msys_track.logs import event_logger
from msys_track.smtp.commands.events import Received
from msys_track.smtp.path import is_path
from msys_track.smtp.proxies import read_ids
from msys_track.smtp.reply import Reply

if TYPE_CHECKING:
    from msys_track.smtp.capabilities import Capabilities

log = event_logger(__name__)

_NULL_PATH: Final = "<>"
_MALFORMED: Final = "553 5.1.3 Malformed address"


class ReferenceDoor(asyncio.Protocol):
    """Takes a client or refuses it, as `Session` does; aiosmtpd serves the one that is taken."""

    def __init__(self, shared: Shared, loop: asyncio.AbstractEventLoop, *, listen: str) -> None:
        self._shared = shared
        self._loop = loop
        self._listen = listen

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let access and policy decide, before the greeting."""
        shared, stream = self._shared, cast("asyncio.Transport", transport)
        origin = Origin.of(transport)
        if shared.closing.is_set():
            self._refuse(stream, SHUTTING_DOWN, "connections.refused")
            return
        if shared.is_full:
            self._refuse(stream, TOO_MANY_CONNECTIONS, "connections.refused")
            return
        visitor = shared.access.admit(origin.ip, self._listen)
        if isinstance(visitor, Reply):
            self._refuse(stream, visitor, "connections.refused")
            return
        scopes = shared.acceptance.rewriter.scopes
        policy = PolicySession(
            scopes, peer=str(origin), listen=self._listen, can_relay=visitor.can_relay
        )
        rejection = policy.connect(shared.guard)
        if rejection is not None:
            visitor.leave()
            self._refuse(stream, shared.count_rejection(rejection), "connections.rejected")
            return
        shared.counters.add("connections.accepted")
        server = ReferenceServer(_Handler(shared, visitor, policy, origin), self._loop)
        stream.set_protocol(server)
        server.connection_made(stream)

    def _refuse(self, stream: asyncio.Transport, reply: Reply, counter: str) -> None:
        self._shared.counters.add(counter)
        stream.write(reply.wire)
        stream.close()


class _Handler:
    """Answers well-formed commands for aiosmtpd."""

    def __init__(
        self, shared: Shared, visitor: Visitor, policy: PolicySession, origin: Origin
    ) -> None:
        self.shared = shared
        self.visitor = visitor
        self.policy = policy
        self.transaction = ClientTransaction(shared, visitor, policy)
        self.is_in_message = False
        self._origin = origin
        self._told_ids: set[str] = set()

    async def handle_HELO(  # noqa: N802 - aiosmtpd's names, here and below
        self, server: SMTP, session: SmtpSession, _envelope: Envelope, hostname: str
    ) -> str:
        self._forget_message()
        rejection = self.policy.greet(self.shared.guard, hostname, is_extended=False)
        if rejection is not None:
            return _write(self.shared.count_rejection(rejection))
        session.host_name = hostname
        return f"250 {server.hostname}"

    async def handle_EHLO(  # noqa: N802
        self,
        server: SMTP,
        session: SmtpSession,
        _envelope: Envelope,
        hostname: str,
        responses: list[str],
    ) -> list[str]:
        self._forget_message()
        rejection = self.policy.greet(self.shared.guard, hostname)
        if rejection is not None:
            return [_write(self.shared.count_rejection(rejection))]
        session.host_name = hostname
        offered: Capabilities | None = None
        with contextlib.suppress(UpstreamError):
            offered = await self.shared.upstream.capabilities()
        offer = self.shared.offer(offered, self.visitor, self._origin)
        server.data_size_limit = offer.size
        server.enable_SMTPUTF8 = offer.smtp_utf8
        keywords = {"8BITMIME": offer.eight_bit_mime, "SMTPUTF8": offer.smtp_utf8}
        middle = [f"250-{keyword}" for keyword, is_offered in keywords.items() if is_offered]
        return [responses[0], f"250-SIZE {offer.size}", *middle, "250 HELP"]

    async def handle_NOOP(  # noqa: N802
        self, _server: SMTP, _session: SmtpSession, _envelope: Envelope, argument: str
    ) -> str:
        self.shared.upstream.identity.note(read_ids(argument or ""), self._told_ids)
        return "250 OK"

    async def handle_RSET(  # noqa: N802
        self, _server: SMTP, _session: SmtpSession, _envelope: Envelope
    ) -> str:
        self._forget_message()
        return "250 OK"

    async def handle_MAIL(  # noqa: N802
        self,
        _server: SMTP,
        _session: SmtpSession,
        envelope: Envelope,
        address: str,
        options: list[str],
    ) -> str:
        sender = "" if address == _NULL_PATH else address
        if not is_path(sender):
            return _MALFORMED
        reply = self.transaction.set_sender(sender, tuple(options))
        if reply.is_positive:
            envelope.mail_from = address
            envelope.mail_options.extend(options)
        return _write(reply)

    async def handle_RCPT(  # noqa: N802
        self,
        _server: SMTP,
        _session: SmtpSession,
        envelope: Envelope,
        address: str,
        _options: list[str],
    ) -> str:
        if address == _NULL_PATH or not is_path(address):
            return _MALFORMED
        recipient, answer = self.transaction.add_recipient(address, ())
        if not isinstance(answer, Reply):
            await asyncio.wait([answer])
            answer = self.transaction.judge(recipient, answer)
        if answer.is_positive:
            envelope.rcpt_tos.append(address)
        return _write(answer)

    async def handle_DATA(  # noqa: N802
        self, server: SMTP, _session: SmtpSession, envelope: Envelope
    ) -> str:
        shared, loop, content = self.shared, server.loop, envelope.original_content or b""
        hold = shared.budget.hold()
        received = Received(content, is_stuffed=False, over=None)
        if not hold.take(len(content)):
            received = Received(b"", is_stuffed=False, over="budget")
        transaction = self.transaction
        self.transaction = ClientTransaction(shared, self.visitor, self.policy)
        stream = cast("asyncio.Transport", server.transport)
        task = loop.create_task(
            transaction.take_message(
                received,
                hold,
                max_bytes=server.data_size_limit or 0,
                received_at=shared.clock(),
                receive_seconds=0.0,
                client_is_gone=stream.is_closing,
            )
        )
        shared.answers.add(task)
        task.add_done_callback(shared.answers.discard)
        self.is_in_message = True
        try:
            reply = await asyncio.shield(task)
        finally:
            self.is_in_message = False
            self.policy.begin_message()
        return _write(reply)

    async def handle_exception(self, error: Exception) -> str:
        log.error("session.failed", exc_info=error)
        self.shared.counters.add("sessions.failed")
        return _write(FAILED)  # not INTERNAL: aiosmtpd's session goes on

    def leave(self) -> None:
        """Give back what the client held."""
        self.transaction.forget()
        self.visitor.leave()
        self.shared.upstream.identity.forget(self._told_ids)

    def _forget_message(self) -> None:
        self.transaction.forget()
        self.policy.begin_message()


class ReferenceServer(SMTP):
    """aiosmtpd's session, as the listener that stops sees it."""

    def __init__(self, handler: _Handler, loop: asyncio.AbstractEventLoop) -> None:
        settings = handler.shared.settings
        self._front = handler
        super().__init__(
            handler,
            data_size_limit=handler.visitor.limits.max_message_bytes,
            hostname=settings.hostname,
            ident=handler.shared.ident,
            timeout=settings.idle_timeout_seconds,
            loop=loop,
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the session."""
        self._front.shared.sessions.add(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        """Forget the session; a message that is being answered goes on."""
        self._front.shared.sessions.discard(self)
        self._front.leave()
        super().connection_lost(error)

    def drain(self) -> None:
        """End the session: at once if it waits for a command, else with its message's answer."""
        stream: Any = self.transport
        if not self._front.is_in_message and stream is not None and not stream.is_closing():
            stream.write(SHUTTING_DOWN.wire)
            stream.close()

    async def wait_for_message(self) -> None:
        """Do nothing: the answers themselves are waited for."""

    def abort(self) -> None:
        """Cut the connection."""
        if self.transport is not None:
            cast("asyncio.Transport", self.transport).abort()

    def check_time(self, now: float) -> None:
        """Do nothing: aiosmtpd has a timer of its own."""


def _write(reply: Reply) -> str:
    """Write a reply as aiosmtpd takes it, its lines separated."""
    return reply.wire.removesuffix(b"\r\n").decode("ascii")
