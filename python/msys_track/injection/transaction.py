"""What a client has said of its next message, and who agreed: access, policy, the upstream."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeAlias

from msys_track.dispatch.session import PolicySession
from msys_track.errors import UpstreamError
from msys_track.injection.acceptance import FAILED
from msys_track.injection.access.visitor import Visitor
from msys_track.injection.budget import Hold
from msys_track.injection.envelope import Envelope
from msys_track.injection.intake import DataRefusedError, open_message
from msys_track.injection.record import shorten_addresses
from msys_track.injection.shared import Shared
from msys_track.logs import event_logger
from msys_track.smtp.commands.events import Received
from msys_track.smtp.path import Recipient, fold_domain
from msys_track.smtp.reply import Reply

if TYPE_CHECKING:
    from msys_track.relay.upstream import Transaction

log = event_logger(__name__)

Answer: TypeAlias = Reply | asyncio.Future[Reply]

MAIL_OK: Final = Reply(250, "2.1.0 Ok")
RCPT_OK: Final = Reply(250, "2.1.5 Ok")
INTERNAL: Final = Reply(421, FAILED.text)

_NOBODY: Final = "AUTH=<>"
_TOO_MANY_RECIPIENTS: Final = Reply(452, "4.5.3 Too many recipients")


class ClientTransaction:
    """One mail transaction of a client, from MAIL to the message."""

    __slots__ = ("_exchange", "_policy", "_recipients", "_shared", "_visitor", "parameters")

    def __init__(self, shared: Shared, visitor: Visitor, policy: PolicySession) -> None:
        self.parameters: tuple[str, ...] = ()
        self._shared = shared
        self._visitor = visitor
        self._policy = policy
        self._recipients: dict[str, Recipient] = {}  # by the form in which mailboxes are equal
        self._exchange: Transaction | None = None

    def set_sender(self, path: str, parameters: tuple[str, ...]) -> Reply:
        """Begin with MAIL; return its answer."""
        shared = self._shared
        refusal = self._visitor.check_sender()
        if refusal is not None:
            return refusal
        rejection = self._policy.set_sender(shared.guard, path)
        if rejection is not None:
            return shared.count_rejection(rejection)
        if parameters and self._visitor.login is None:
            # RFC 4954 section 5: who has not logged in can't say whose mail it is.
            parameters = tuple(
                _NOBODY if each.startswith("AUTH=") else each for each in parameters
            )
        self.parameters = parameters
        if shared.settings.recipients == "as_they_come":
            next_hop = self._visitor.next_hop or shared.upstream
            self._exchange = next_hop.begin(path, parameters)
        return MAIL_OK

    def add_recipient(self, path: str, parameters: tuple[str, ...]) -> tuple[Recipient, Answer]:
        """Add a RCPT; return its answer, or the upstream's, which is for `judge`."""
        # The same mailbox is one reader, however its domain is written.
        mailbox = fold_domain(path)
        known = self._recipients.get(mailbox)
        recipient = known or Recipient(path, parameters)
        if known is None and len(self._recipients) >= self._visitor.limits.max_recipients:
            return recipient, _TOO_MANY_RECIPIENTS
        refusal = self._visitor.count_recipient()
        if refusal is not None:
            return recipient, refusal
        rejection = self._policy.add_recipient(self._shared.guard, recipient.path)
        if rejection is not None:
            if (events := self._shared.acceptance.events) is not None:
                policy = self._policy
                events.note_recipient_rejected(
                    recipient.path,
                    rejection,
                    sender=policy.sender,
                    peer=policy.peer,
                    contexts=policy.contexts,
                )
            return recipient, self._shared.count_rejection(rejection)
        self._recipients[mailbox] = recipient
        is_discarded = self._policy.is_discarded(recipient.path)
        if self._exchange is None or known is not None or is_discarded:
            return recipient, RCPT_OK
        return recipient, self._exchange.add_recipient(recipient)

    def judge(self, recipient: Recipient, answer: asyncio.Future[Reply]) -> Reply:
        """Return the answer to a RCPT that the upstream was asked about, once it is there."""
        if answer.cancelled():
            return INTERNAL
        error = answer.exception()
        if error is None:
            reply = answer.result()
        elif not isinstance(error, UpstreamError):
            return INTERNAL
        elif self._shared.keeps_always:
            return RCPT_OK  # the spool takes the mail if the upstream can't be asked
        else:
            reply = Reply(error.code, error.text)
        if not reply.is_positive:
            self._drop_recipient(recipient, reply)
        return reply

    def forget(self) -> None:
        """End it without a message."""
        self.parameters = ()
        self._recipients = {}
        if self._exchange is not None:
            self._exchange.drop()
            self._exchange = None

    async def take_message(  # noqa: PLR0913 - what is known of one message
        self,
        received: Received,
        hold: Hold,
        *,
        max_bytes: int,
        received_at: float,
        receive_seconds: float,
        client_is_gone: Callable[[], bool],
    ) -> Reply:
        """Return the answer to the message, and release `hold`; the transaction is over then."""
        shared, policy = self._shared, self._policy
        try:
            message = await open_message(received, max_bytes, shared.settings)
            envelope = Envelope(
                policy.peer,
                policy.listen,
                policy.contexts,
                policy.sender,
                tuple(self._recipients.values()),
                message,
                received_at,
                self.parameters,
                policy.helo,
                policy.user,
                self._exchange,
                self._visitor.next_hop,
                receive_seconds,
                policy.is_extended,
                policy.is_encrypted,
                policy.changes,
                policy.id,
                policy.connection_id,
                policy.can_relay,
                policy.messages,
                policy.recipient_count,
            )
            del received
            reply = await shared.acceptance.answer(envelope, hold, client_is_gone)
        except DataRefusedError as refused:
            shared.counters.add(f"messages.refused.{refused.why}")
            log.info("message.refused", why=refused.why, code=refused.reply.code)
            return refused.reply
        finally:
            self.forget()
            hold.release()
        policy.messages += reply.is_positive
        return reply

    def _drop_recipient(self, recipient: Recipient, reply: Reply) -> None:
        self._recipients.pop(fold_domain(recipient.path), None)
        self._policy.drop_recipient(recipient.path)
        self._shared.counters.add("recipients.refused")
        shows = self._shared.settings.log_addresses
        log.info(
            "recipient.refused",
            peer=self._policy.peer,
            sender=self._policy.sender if shows else shorten_addresses(self._policy.sender),
            recipient=recipient.path if shows else shorten_addresses(recipient.path),
            code=reply.code,
            text=reply.text if shows else shorten_addresses(reply.text),
        )
