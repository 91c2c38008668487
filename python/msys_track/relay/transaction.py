"""One mail transaction over one connection: MAIL, RCPT, DATA, and what each refusal means.

This module has the order of commands of RFC 5321 and RFC 2920, as dialogues. The connection knows
bytes and replies, the pool knows connections.
"""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, NoReturn

from msys_track.errors import PartlyTakenError, UpstreamError
from msys_track.logs import event_logger
from msys_track.relay.connection import (
    ConnectionFailedError,
    ConnectionGoneError,
    Dialogue,
    Group,
    ServiceClosingError,
    UpstreamConnection,
)
from msys_track.relay.envelope import ExtensionMissingError, write_envelope
from msys_track.smtp.path import Recipient
from msys_track.smtp.reply import START_MAIL_INPUT, Reply

log = event_logger(__name__)

_DATA: Final = b"DATA\r\n"
_END: Final = b".\r\n"
_RSET: Final = b"RSET\r\n"

# Every upstream takes as many recipients in one transaction (RFC 5321 section 4.5.3.1.8).
_RECIPIENTS_AT_ONCE: Final = 100

# What of one write is still here is told apart no finer than yes or no, so only a message that
# leaves at once has the next transaction behind it.
_MOST_BEFORE_NEXT_BYTES: Final = 65_536


class Delivery(NamedTuple):
    """The content of one MAIL, its RCPTs and one DATA."""

    sender: str
    """Without angle brackets; empty for the null reverse-path."""
    recipients: tuple[Recipient, ...]
    wire: bytes
    """The message as DATA has it: dot-stuffed, with the line that ends it."""
    size: int
    """Bytes of the message before stuffing."""
    is_seven_bit: bool
    """Whether the message has no byte above 127."""
    mail_parameters: tuple[str, ...] = ()
    """As the client gave them, `SIZE=` included: it is replaced by the real size."""


class SenderPutOffError(UpstreamError):
    """A 4xx to MAIL: the upstream may have had enough of this connection.

    OpenSMTPD takes 100 mails on one, and Exim and Postfix have limits as well.
    """


# After these errors a fresh connection may do better, and no mail has been sent.
WORN: Final = (ConnectionGoneError, SenderPutOffError, ExtensionMissingError)


class Row:
    """Messages that are handed over one behind the other, and what came of each.

    Attributes:
        delivery: The one whose turn it is; None when all are done.
    """

    __slots__ = ("_following", "_note", "_take", "delivery")

    def __init__(
        self,
        take: Callable[[], Delivery | None],
        note: Callable[[Reply | UpstreamError], None],
    ) -> None:
        """Take the first.

        Args:
            take: Returns the next message, which may be wanted while the one before is under
                way; None after the last.
            note: Gets the upstream's acceptance of each, or why it was not taken, in the order
                in which they were taken.
        """
        self._take = take
        self._note = note
        self.delivery = take()
        self._following: Delivery | None = None

    def look_ahead(self) -> Delivery | None:
        """Return the one whose turn is next."""
        if self._following is None:
            self._following = self._take()
        return self._following

    def move_on(self, result: Reply | UpstreamError) -> None:
        """Note what came of this one; it is the next one's turn."""
        self._note(result)
        self.delivery, self._following = self.look_ahead(), None


def deliver(connection: UpstreamConnection, delivery: Delivery) -> Dialogue[Reply]:
    """Hand a message over to all of its recipients, or to none of them.

    Raises:
        UpstreamError: refused; or the answer was lost after the message, which is a 451.
        ConnectionGoneError: the connection was closed, and nothing of the message has been sent.
        ConnectionFailedError: no answers; nothing of the message has been sent.
    """
    start = yield from _begin(connection, delivery)
    return (yield from _send_message(connection, delivery, start))


def deliver_row(
    connection: UpstreamConnection,
    row: Row,
    may_go_on: Callable[[UpstreamConnection], bool],
) -> Dialogue[None]:
    """Hand messages over, as many of a row as this connection is good for.

    Where it can, the next transaction begins in the write that ends the message before: RFC 2920
    section 3.1 lets a message be the first in a group of commands.

    Args:
        connection: Where to.
        row: The messages.
        may_go_on: Says before each message whether one more may follow on this connection.

    Raises:
        UpstreamError: of the message whose turn it is, as `deliver`.
        ConnectionGoneError: of the first, as `deliver`; with others the row ends without it.
        ConnectionFailedError: of the message whose turn it is, as `deliver`.
    """
    first = row.delivery
    begun: Sequence[Reply] | None = None
    while (delivery := row.delivery) is not None:
        try:
            if begun is None:
                start = yield from _begin(connection, delivery)
            else:
                start = yield from _judge_begun(connection, delivery, begun)
        except WORN as error:
            if delivery is first:
                raise
            if isinstance(error, SenderPutOffError):
                connection.quit()  # it has had enough of this connection
            return
        begun = None
        is_good = start.code == START_MAIL_INPUT and connection.is_usable
        goes_on = is_good and may_go_on(connection)
        commands = _write_next(connection, delivery, row) if goes_on else b""
        if not commands:
            row.move_on((yield from _send_message(connection, delivery, start)))
            if goes_on:
                continue
            return
        result, begun = yield from _send_and_begin(connection, delivery, commands)
        row.move_on(result)
        if begun is None:
            return


def deliver_held(connection: UpstreamConnection, delivery: Delivery) -> Dialogue[Reply]:
    """Hand a message over where MAIL and every RCPT have been accepted already.

    Raises:
        UpstreamError: refused; or the answer was lost after the message, which is a 451.
        ConnectionGoneError: the connection was closed, and nothing of the message has been sent.
        ConnectionFailedError: no answers; nothing of the message has been sent.
    """
    (start,) = yield Group(_DATA, 1, connection.settings.reply_timeout_seconds)
    return (yield from _send_message(connection, delivery, start))


def ask_recipients(
    connection: UpstreamConnection,
    sender: str,
    mail_parameters: tuple[str, ...],
    recipients: Sequence[Recipient],
) -> Dialogue[Sequence[Reply]]:
    """Send MAIL and RCPTs, return the replies to RCPT, and leave the transaction open.

    Raises:
        UpstreamError: the sender was refused; there is no transaction then.
        ConnectionGoneError: the connection was closed.
        ConnectionFailedError: no answers.
    """
    connection.transactions += 1
    commands = write_envelope(
        connection.capabilities, sender, mail_parameters, recipients, is_seven_bit=True
    )
    replies = yield from _ask(connection, commands, stops=False)
    if not replies[0].is_positive:
        yield from _refuse(connection, replies, recipients)
    connection.refusals += _count_refusals(replies)
    return replies[1:]


def ask_more(
    connection: UpstreamConnection,
    mail_parameters: tuple[str, ...],
    recipients: Sequence[Recipient],
) -> Dialogue[Sequence[Reply]]:
    """Send RCPTs in an open transaction and return the replies.

    Raises:
        UpstreamError: an address can't be written.
        ConnectionGoneError: the connection was closed.
        ConnectionFailedError: no answers.
    """
    _, *commands = write_envelope(
        connection.capabilities, "", mail_parameters, recipients, is_seven_bit=True
    )
    replies = yield from _ask(connection, commands, stops=False)
    connection.refusals += _count_refusals(replies)
    return replies


def verify(
    connection: UpstreamConnection,
    sender: str,
    mail_parameters: tuple[str, ...],
    recipients: Sequence[Recipient],
) -> Dialogue[None]:
    """Ask whether the upstream accepts these recipients, in transactions that send nothing.

    Raises:
        UpstreamError: the first refusal.
        ConnectionGoneError: the connection was closed.
        ConnectionFailedError: no answers.
    """
    for start in range(0, len(recipients), _RECIPIENTS_AT_ONCE):
        connection.transactions += 1
        some = recipients[start : start + _RECIPIENTS_AT_ONCE]
        commands = write_envelope(
            connection.capabilities, sender, mail_parameters, some, is_seven_bit=True
        )
        replies = yield from _ask(connection, commands)
        if not all(reply.is_positive for reply in replies):
            yield from _refuse(connection, replies, some)
        yield from reset(connection)


def reset(connection: UpstreamConnection, before: bytes = b"") -> Dialogue[None]:
    """Prepare the connection for the next transaction, or close it."""
    seconds = connection.settings.reply_timeout_seconds
    try:
        if before:
            yield Group(before, 1, seconds)
        (reply,) = yield Group(_RSET, 1, seconds)
    except ConnectionFailedError:
        return  # the next transaction finds a fresh connection, which is as good
    if not reply.is_positive:
        connection.quit()


def _begin(connection: UpstreamConnection, delivery: Delivery) -> Dialogue[Reply]:
    """Send MAIL, RCPTs and DATA and return the reply to DATA; raise what the others refuse."""
    connection.transactions += 1
    commands, recipients = _write_commands(connection, delivery), delivery.recipients
    seconds = connection.settings.reply_timeout_seconds
    if _takes_data_at_once(connection, delivery):
        commands.append(_DATA)
        replies = yield Group(b"".join(commands), 3, seconds)
        return (yield from _judge_begun(connection, delivery, replies))
    replies = yield from _ask(connection, commands)
    if not all(reply.is_positive for reply in replies):
        yield from _refuse(connection, replies, recipients)
    (start,) = yield Group(_DATA, 1, seconds)
    return start


def _write_commands(connection: UpstreamConnection, delivery: Delivery) -> list[bytes]:
    capabilities = connection.capabilities
    if not (capabilities.eight_bit_mime or delivery.is_seven_bit):
        text = "5.6.3 The message is 8-bit; the upstream takes only 7-bit mail"
        raise ExtensionMissingError(554, text, "eight_bit_mime")
    return write_envelope(
        capabilities,
        delivery.sender,
        delivery.mail_parameters,
        delivery.recipients,
        size=delivery.size,
        is_seven_bit=delivery.is_seven_bit,
    )


def _takes_data_at_once(connection: UpstreamConnection, delivery: Delivery) -> bool:
    """Whether DATA may follow RCPT in one write.

    With several recipients it has to wait: were only some of them taken, there would be no way
    back from 354 but to cut the connection. After a refusal it waits as well: DATA behind a
    refused recipient is one more error, and Postfix slows down connections that make them.
    """
    return (
        connection.capabilities.pipelining
        and len(delivery.recipients) == 1
        and not connection.refusals
    )


def _judge_begun(
    connection: UpstreamConnection, delivery: Delivery, replies: Sequence[Reply]
) -> Dialogue[Reply]:
    """Return the reply to DATA; raise what MAIL or RCPT was refused with."""
    mail, recipient, start = replies
    if not (mail.is_positive and recipient.is_positive):
        yield from _refuse(connection, [mail, recipient], delivery.recipients, start)
    return start


def _write_next(connection: UpstreamConnection, delivery: Delivery, row: Row) -> bytes:
    """Write how the next transaction begins, if that may leave together with this message."""
    if len(delivery.wire) > _MOST_BEFORE_NEXT_BYTES or len(delivery.recipients) > 1:
        return b""
    following = row.look_ahead()
    if following is None or not _takes_data_at_once(connection, following):
        return b""
    try:
        return b"".join([*_write_commands(connection, following), _DATA])
    except UpstreamError:
        return b""  # it is raised when its turn comes


def _send_and_begin(
    connection: UpstreamConnection, delivery: Delivery, commands: bytes
) -> Dialogue[tuple[Reply | UpstreamError, Sequence[Reply] | None]]:
    """Send a message, and how the next transaction begins.

    Returns:
        What came of the message, and the replies to MAIL, RCPT and DATA; None if the connection
        has ended, with nothing of the next message sent.
    """
    connection.transactions += 1
    seconds = connection.settings.data_timeout_seconds
    try:
        reply, *begun = yield Group(delivery.wire + commands, 4, seconds, is_message=True)
    except ConnectionFailedError as failure:
        if failure.replies:
            return _judge_end(connection, failure.replies[0]), None
        recipients = delivery.recipients
        raise _judge_failure(connection, recipients, failure, has_more=True) from failure
    result = _judge_end(connection, reply)
    if not reply.is_positive and begun[-1].code != START_MAIL_INPUT:
        # It may have refused the message before its end, and taken the rest for commands.
        connection.abort("its refusals may not be of the next message")
        return result, None
    return result, begun


def _judge_end(connection: UpstreamConnection, reply: Reply) -> Reply | UpstreamError:
    """Return the reply to a message, or what it was refused with."""
    if reply.is_positive:
        return reply
    connection.refusals += 1
    return reply.refusal("the message")


def _ask(
    connection: UpstreamConnection, commands: Sequence[bytes], *, stops: bool = True
) -> Dialogue[Sequence[Reply]]:
    """Send MAIL and RCPTs and return the replies.

    Without PIPELINING it `stops` at the first refusal; a refused MAIL always ends it.
    """
    seconds = connection.settings.reply_timeout_seconds
    if connection.capabilities.pipelining:
        return (yield Group(b"".join(commands), len(commands), seconds))
    replies: list[Reply] = []
    for command in commands:
        replies += yield Group(command, 1, seconds)
        if not replies[-1].is_positive and (stops or command.startswith(b"MAIL")):
            break
    return replies


def _count_refusals(replies: Sequence[Reply]) -> int:
    return len([each for each in replies if not each.is_positive])


def _refuse(
    connection: UpstreamConnection,
    replies: Sequence[Reply],
    recipients: Sequence[Recipient],
    start: Reply | None = None,
) -> Dialogue[NoReturn]:
    """Leave the transaction, and raise the first refusal among the replies to MAIL and RCPTs.

    `start` is the reply to DATA if that was sent already.
    """
    connection.refusals += _count_refusals(replies)
    # DATA behind a refusal is refused as well, and the upstream counts it.
    connection.refusals += start is not None and start.code != START_MAIL_INPUT
    mail, *others = replies
    refused = mail.refusal("MAIL")
    if mail.is_positive:
        pairs = zip(others, recipients, strict=False)
        reply, recipient = next(pair for pair in pairs if not pair[0].is_positive)
        refused = reply.refusal("RCPT", recipient.path)
    if start is not None and start.code == START_MAIL_INPUT:
        if replies[-1].is_positive:
            connection.abort("it goes on without the sender: a dot would send an empty message")
        yield from reset(connection, before=_END)  # to no recipient (RFC 2920 section 3.1)
    elif not mail.is_positive and mail.is_temporary and connection.transactions > 1:
        raise SenderPutOffError(refused.code, refused.text)
    else:
        yield from reset(connection)
    raise refused


def _send_message(
    connection: UpstreamConnection, delivery: Delivery, start: Reply
) -> Dialogue[Reply]:
    """Send the message after the reply to DATA."""
    if start.code != START_MAIL_INPUT:
        connection.refusals += 1
        yield from reset(connection)
        raise start.refusal("DATA")
    if connection.settings.protocol == "lmtp" and len(delivery.recipients) > 1:
        return (yield from _send_to_each(connection, delivery))
    try:
        (reply,) = yield Group(delivery.wire, 1, connection.settings.data_timeout_seconds)
    except ConnectionFailedError as failure:
        raise _judge_failure(connection, delivery.recipients, failure) from failure
    result = _judge_end(connection, reply)
    if isinstance(result, UpstreamError):
        raise result
    return result


def _send_to_each(connection: UpstreamConnection, delivery: Delivery) -> Dialogue[Reply]:
    """Send a message over LMTP: a reply comes for each recipient (RFC 2033 section 4.2)."""
    recipients = delivery.recipients
    refused: dict[str, UpstreamError] = {}
    try:
        replies = yield Group(
            delivery.wire, len(recipients), connection.settings.data_timeout_seconds
        )
    except ConnectionFailedError as failure:
        replies = failure.replies
        remaining = recipients[len(replies) :]
        error = _judge_failure(connection, remaining, failure)
        refused = {each.path: error for each in remaining}
    pairs = tuple(zip(recipients, replies, strict=False))
    refused |= {
        recipient.path: reply.refusal("the message", recipient.path)
        for recipient, reply in pairs
        if not reply.is_positive
    }
    connection.refusals += _count_refusals(replies)
    if not refused:
        return replies[0]
    taken = tuple(recipient.path for recipient, reply in pairs if reply.is_positive)
    if not taken:
        # Nobody has it, so the client may repeat it as long as there is hope for one of them.
        raise min(refused.values(), key=lambda each: (each.outcome != "unknown", each.code))
    raise PartlyTakenError(taken, refused)


def _judge_failure(
    connection: UpstreamConnection,
    recipients: Sequence[Recipient],
    failure: ConnectionFailedError,
    *,
    has_more: bool = False,
) -> UpstreamError:
    """Say what a connection that failed after the reply to DATA means for these recipients.

    Args:
        connection: The one that failed.
        recipients: Those of the message.
        failure: Why.
        has_more: Whether more was written than the message, so that what has not been sent may
            be of that.
    """
    if isinstance(failure, ServiceClosingError):
        return UpstreamError(451, f"4.4.2 The upstream refused the message: {failure}")
    if connection.has_unsent and not has_more:
        text = f"4.4.2 The connection broke within the message: {failure}"
        return UpstreamError(451, text, outcome="not_sent")
    return _report_lost_answer(recipients, str(failure))


def _report_lost_answer(recipients: Sequence[Recipient], why: str) -> UpstreamError:
    """Log it: the message may have been accepted, and the client may send it again."""
    # Other logs name no recipients, but these people may get the mail twice.
    paths = tuple(recipient.path for recipient in recipients)
    log.error("upstream.answer_lost", recipients=paths, why=why)
    text = f"4.4.2 The upstream's answer to the message was lost: {why}"
    return UpstreamError(451, f"{text}; it may have been accepted", outcome="unknown")
