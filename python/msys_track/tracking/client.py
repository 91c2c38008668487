"""The client of a request: its address, and the headers that an event keeps.

All of it comes from the client, and is trusted only as far as a configured proxy vouches for it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from msys_track.settings.addresses import Network
from msys_track.smtp.address import IpAddress, parse_ip

# What an event keeps of a header; a client may send far more, as often as it likes.
_MAX_HEADER_CHARACTERS = 1_024

# "192.0.2.1:4711" and "[2001:db8::1]:4711": some proxies add the port.
_WITH_PORT = re.compile(r"([0-9.]+):[0-9]+|\[([0-9A-Fa-f:.]+)\](?::[0-9]+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """The HTTP client behind one request.

    Attributes:
        ip_address: Textual address; None when the socket has none that is one.
        user_agent: The header, invalid UTF-8 replaced, cut at 1,024 characters.
        accept_language: The same of `Accept-Language`.
    """

    ip_address: str | None
    user_agent: str | None = None
    accept_language: str | None = None


def decode_header(value: bytes | None) -> str | None:
    """Return a header's value for an event, at most 1,024 characters; None where it is empty."""
    if not value:
        return None
    return value[: 4 * _MAX_HEADER_CHARACTERS].decode("utf-8", "replace")[:_MAX_HEADER_CHARACTERS]


def find_client_address(
    peer: str | None, forwarded_for: Sequence[bytes], trusted: Sequence[Network]
) -> str | None:
    """Return the client's address: the right-most hop that is not one of our proxies.

    Args:
        peer: The address of the socket's other end.
        forwarded_for: The values of `X-Forwarded-For`, in the order of the header lines.
        trusted: Networks of configured proxies.

    A hop that is not an address ends the walk: no known proxy wrote what stands left of it, so the
    last proxy's address is the best one.
    """
    hop = _parse_address(peer.partition("%")[0]) if peer else None  # the zone is our own
    if hop is None:
        return None
    # Every proxy appends the address it was called from, so the list is read from the right.
    entries = b",".join(forwarded_for).decode("latin-1").split(",")
    while entries and any(hop in network for network in trusted):
        # RFC 9110 section 5.6.3: blanks around an entry are spaces and tabs, no others.
        before = _parse_address(entries.pop().strip(" \t"))
        if before is None:
            break
        hop = before
    return str(hop)


@lru_cache(maxsize=4_096)  # a reader comes again, and a front server with every reader
def normalize_peer(peer: str) -> str | None:
    """Return the address of a socket's other end as events have it; None for what is none."""
    return find_client_address(peer, (), ())


def is_loopback(address: str | None) -> bool:
    """Whether a client is on this machine; one without an address is, by a Unix socket."""
    ip = None if address is None else parse_ip(address)
    return ip is None or ip.is_loopback


def _parse_address(text: str) -> IpAddress | None:
    port = _WITH_PORT.fullmatch(text)
    address = parse_ip(text if port is None else port[1] or port[2])
    # A zone (RFC 4007 section 11) may be any text, and means nothing to others.
    zone = getattr(address, "scope_id", None)
    return address if zone is None else None
