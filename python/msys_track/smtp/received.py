"""The Received field that a relay puts above a message (RFC 5321 section 4.4), and loops.

A loop is a message that comes again for ever, because two servers hand it to each other. Each
adds its field, so that their number tells it.
"""

import re
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache
from ipaddress import IPv6Address
from typing import Final, NamedTuple

from msys_track.smtp.address import parse_ip

MAX_RECEIVED: Final = 50
"""How many Received fields a message has at most; RFC 5321 section 6.3 asks for a high number."""

_FIELDS: Final = re.compile(rb"^received[ \t]*:", re.IGNORECASE | re.MULTILINE)
_BEYOND_DOMAIN: Final = re.compile(r"[^A-Za-z0-9.:_\[\]-]")
# RFC 5321 section 4.5.3.1: octets of a domain, and of a path.
_MAX_NAME: Final = 255
_MAX_PATH: Final = 256


class Way(NamedTuple):
    """How a message came to us: the same for many messages of a client."""

    helo: str
    """What the client calls itself."""
    peer: str
    """Its address and port, as `10.0.0.7:51234`; any other text if it has none."""
    hostname: str
    """Our own name."""
    is_extended: bool
    """Whether the client said EHLO."""
    is_encrypted: bool
    """Whether it speaks TLS."""
    is_authenticated: bool
    """Whether it has logged in."""
    is_international: bool
    """Whether MAIL had SMTPUTF8."""

    @property
    def protocol(self) -> str:
        """The keyword of RFC 3848, or of RFC 6531 section 4.3."""
        if not self.is_extended:
            return "SMTP"
        end = f"{'S' if self.is_encrypted else ''}{'A' if self.is_authenticated else ''}"
        return f"{'UTF8SMTP' if self.is_international else 'ESMTP'}{end}"


def write_received(way: Way, transmission_id: int, recipient: str | None, at: float) -> bytes:
    """Write the field, folded, its last line break included.

    Args:
        way: how the message came.
        transmission_id: the name that events have for the message.
        recipient: whom it goes to, if that is one; an address beyond ASCII is left out, because
            not every server of the way takes such a field.
        at: when it came, in Unix seconds.
    """
    is_named = recipient is not None and len(recipient) <= _MAX_PATH and recipient.isascii()
    to = f"\r\n\tfor <{recipient}>; " if is_named else ";\r\n\t"
    return f"{_write_start(way)}{transmission_id}{to}{_write_date(int(at))}\r\n".encode("ascii")


def has_looped(message: bytes) -> bool:
    """Whether a message in wire form has more Received fields than any way is long."""
    end = message.find(b"\r\n\r\n")
    if end < 0:
        end = len(message)
    # Few headers have so many lines at all, and counting those costs next to nothing.
    if message.count(b"\n", 0, end) < MAX_RECEIVED:
        return False
    return len(_FIELDS.findall(message, 0, end)) > MAX_RECEIVED


# For each mail of a connection it is the same.
@lru_cache(maxsize=4096)
def _write_start(way: Way) -> str:
    name = _BEYOND_DOMAIN.sub("?", way.helo[:_MAX_NAME]) or "unknown"
    address = parse_ip(way.peer.rpartition(":")[0].strip("[]").partition("%")[0])
    place = "unknown"
    if address is not None:
        place = f"[IPv6:{address}]" if isinstance(address, IPv6Address) else f"[{address}]"
    return (
        f"Received: from {name} ({place})\r\n"
        f"\tby {way.hostname} (msys-track) with {way.protocol} id "
    )


@lru_cache(maxsize=4)
def _write_date(second: int) -> str:
    """Write a time as RFC 5322 section 3.3 has it, whatever the machine's language."""
    return format_datetime(datetime.fromtimestamp(second, UTC))
