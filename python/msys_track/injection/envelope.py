"""One received message with all that SMTP said about it, frozen.

aiosmtpd's own envelope is changed by every command; what leaves this room must not be.
"""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What one DATA brought; recipients have no parameters, as no extension offered has any."""

    peer: str
    """Address and port of the client."""
    helo: str
    sender: str
    """The reverse-path without angle brackets; empty for the null reverse-path."""
    mail_parameters: tuple[str, ...]
    """As given, in upper case: `BODY=8BITMIME`, `SIZE=4711`, `SMTPUTF8`."""
    recipients: tuple[str, ...]
    """In the order of RCPT, each once: a second copy with its own links would be a second mail."""
    message: bytes
    """Unstuffed, without the final dot; every line ends in CRLF."""
    received_at: datetime
    """Aware, UTC."""
