"""One mail transaction over one connection: MAIL, RCPT, DATA, and what each refusal means.

This module has the order of commands of RFC 5321 and RFC 2920. The connection knows bytes
and replies, the pool knows connections.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from msys_track.errors import UpstreamError
from msys_track.logs import event_logger
from msys_track.relay.connection import (
    ConnectionFailedError,
    ServiceClosingError,
    UpstreamConnection,
)
from msys_track.smtp import data as wire
from msys_track.smtp.capabilities import Capabilities
from msys_track.smtp.path import is_path
from msys_track.smtp.reply import START_MAIL_INPUT, Reply

log = event_logger(__name__)

_DATA = b"DATA\r\n"
_END = b".\r\n"
_RSET = b"RSET\r\n"

_PARAMETER = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """The content of one MAIL, its RCPTs and one DATA."""

    sender: str
    """Without angle brackets; empty for the null reverse-path."""
    mail_parameters: tuple[str, ...] = ()
    """As the client gave them, `SIZE=` included: it is replaced by the real size."""
    recipients: tuple[str, ...]
    message: bytes
    """Neither dot-stuffed nor with the final dot."""


async def deliver(connection: UpstreamConnection, delivery: Delivery) -> Reply:
    """Hand a message over to all of its recipients, or to none of them.

    Raises:
        UpstreamError: refused; or the answer was lost after the message, which is a 451.
        ConnectionGoneError: the connection was closed, and nothing of the message has been sent.
        ConnectionFailedError: no answers; nothing of the message has been sent.
    """
    message = delivery.message
    body = await wire.compute(len(message), partial(wire.stuff, message))
    start = await _start_data(connection, delivery)
    if start.code != START_MAIL_INPUT:
        await _reset(connection)
        raise start.refusal("DATA")
    timeout_seconds = connection.settings.data_timeout_seconds
    try:
        (reply,) = await connection.exchange(body, 1, timeout_seconds=timeout_seconds)
    except ServiceClosingError as closing:
        raise UpstreamError(451, f"4.4.2 The upstream refused the message: {closing}") from closing
    except ConnectionFailedError as failure:
        raise _report_lost_answer(delivery, str(failure)) from failure
    except asyncio.CancelledError:
        _report_lost_answer(delivery, "not waited for any longer")
        raise
    if not reply.is_positive:
        raise reply.refusal("the message")
    return reply


async def verify(
    connection: UpstreamConnection,
    sender: str,
    parameters: Sequence[str],
    recipients: Sequence[str],
) -> None:
    """Ask whether the upstream accepts these recipients, then reset the transaction.

    Raises:
        UpstreamError: the first refusal.
        ConnectionGoneError: the connection was closed.
        ConnectionFailedError: no answers.
    """
    commands = _write_envelope(connection.capabilities, sender, parameters, recipients)
    refused = await _ask_recipients(connection, commands)
    await _reset(connection)
    if refused is not None:
        raise refused


async def _start_data(connection: UpstreamConnection, delivery: Delivery) -> Reply:
    """Return the answer to DATA; send DATA only if every recipient was accepted.

    Raises:
        UpstreamError: sender or a recipient refused, or the message can't travel as it is.
    """
    capabilities = connection.capabilities
    if not (capabilities.eight_bit_mime or delivery.message.isascii()):
        raise UpstreamError(554, "5.6.3 The message is 8-bit; the upstream takes only 7-bit mail")
    given = delivery.mail_parameters
    kept = [each for each in given if not each.upper().startswith("SIZE=")]
    parameters = [*kept, f"SIZE={len(delivery.message)}"]
    commands = _write_envelope(capabilities, delivery.sender, parameters, delivery.recipients)
    # With several recipients DATA has to wait: were only some of them taken, there would be no
    # way back from 354 but to cut the connection.
    if capabilities.pipelining and len(delivery.recipients) == 1:
        return await _start_data_at_once(connection, commands)
    refused = await _ask_recipients(connection, commands)
    if refused is not None:
        await _reset(connection)
        raise refused
    (start,) = await connection.exchange(_DATA, 1)
    return start


async def _start_data_at_once(connection: UpstreamConnection, commands: Sequence[bytes]) -> Reply:
    """Send MAIL, the one RCPT and DATA in a single write."""
    group = b"".join([*commands, _DATA])
    *replies, recipient, start = await connection.exchange(group, len(commands) + 1)
    refused = _find_refusal([*replies, recipient])
    if refused is None:
        return start
    if start.code != START_MAIL_INPUT:
        await _reset(connection)
    elif recipient.is_positive:
        connection.abort("it goes on without the sender: a dot would send an empty message")
    else:
        await _reset(connection, before=_END)  # to no recipient (RFC 2920 section 3.1)
    raise refused


async def _ask_recipients(
    connection: UpstreamConnection, commands: Sequence[bytes]
) -> UpstreamError | None:
    """Send MAIL and RCPTs; return the first refusal, having read every reply."""
    replies: list[Reply] = []
    if connection.capabilities.pipelining:
        replies = await connection.exchange(b"".join(commands), len(commands))
    else:
        for command in commands:
            replies += await connection.exchange(command, 1)
            if not replies[-1].is_positive:
                break
    return _find_refusal(replies)


def _find_refusal(replies: Sequence[Reply]) -> UpstreamError | None:
    for index, reply in enumerate(replies):
        if not reply.is_positive:
            return reply.refusal("RCPT" if index else "MAIL")
    return None


async def _reset(connection: UpstreamConnection, before: bytes = b"") -> None:
    """Prepare the connection for the next transaction, or close it."""
    try:
        if before:
            await connection.exchange(before, 1)
        (reply,) = await connection.exchange(_RSET, 1)
    except ConnectionFailedError:
        return  # the next transaction finds a fresh connection, which is as good
    if not reply.is_positive:
        connection.quit()


def _write_envelope(
    capabilities: Capabilities, sender: str, parameters: Sequence[str], recipients: Sequence[str]
) -> list[bytes]:
    addresses = (sender, *recipients)
    if not all(map(is_path, addresses)):
        raise UpstreamError(553, "5.1.3 An address has characters that no SMTP command can carry")
    paths = [address.encode("utf-8") for address in addresses]
    # What this upstream does not understand is left out, or refused if the message needs it.
    offered = []
    for parameter in parameters:
        keyword = parameter.partition("=")[0].upper()
        if _PARAMETER.fullmatch(parameter) is None:
            raise UpstreamError(501, "5.5.4 A parameter of MAIL has characters it can't have")
        if keyword == "SMTPUTF8" and not capabilities.smtp_utf8:
            raise UpstreamError(553, "5.6.7 The upstream does not take internationalized mail")
        # Without 8BITMIME a 7-bit message needs no BODY=, and an 8-bit one is refused elsewhere.
        if not (
            (keyword == "BODY" and not capabilities.eight_bit_mime)
            or (keyword == "SIZE" and capabilities.size is None)
        ):
            offered.append(parameter)
    if "SMTPUTF8" not in offered and not all(path.isascii() for path in paths):
        raise UpstreamError(553, "5.6.7 A non-ASCII address needs the SMTPUTF8 parameter of MAIL")
    mail = b" ".join([b"MAIL FROM:<%b>" % paths[0], *(each.encode("ascii") for each in offered)])
    return [mail + b"\r\n", *(b"RCPT TO:<%b>\r\n" % path for path in paths[1:])]


def _report_lost_answer(delivery: Delivery, why: str) -> UpstreamError:
    """Log it: the message may have been accepted, and the client may send it again."""
    # Other logs name no recipients, but these people may get the mail twice.
    log.error("upstream.answer_lost", recipients=delivery.recipients, why=why)
    text = f"4.4.2 The upstream's answer to the message was lost: {why}"
    return UpstreamError(451, f"{text}; it may have been accepted")
