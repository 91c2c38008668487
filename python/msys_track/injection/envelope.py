"""One received message with its SMTP transaction.

It is frozen: every command changes aiosmtpd's own envelope.
"""

from dataclasses import dataclass
from datetime import datetime

from msys_track.policy.hooks import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """One received message; no extension that we offer gives recipients parameters."""

    transaction: Transaction
    """Client, listener, sender, recipients, message and policy's variables. The recipients stand
    in the order of RCPT, each once: a second copy with its own links would be a second mail. The
    message is unstuffed, without the final dot; every line ends in CRLF."""
    sender: str
    """The reverse-path without angle brackets; empty for the null reverse-path."""
    mail_parameters: tuple[str, ...]
    """As given, in upper case: `BODY=8BITMIME`, `SIZE=4711`, `SMTPUTF8`."""
    recipients: tuple[str, ...]
    message: bytes
    received_at: datetime
    """Aware, UTC."""
