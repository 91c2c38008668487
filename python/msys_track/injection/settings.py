"""What may be set about the listener that takes mail; every default is stated here."""

from dataclasses import dataclass
from ipaddress import ip_address

_MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxySettings:
    """The address of the listener and the limits that keep one client from starving the rest."""

    listen_host: str = "127.0.0.1"
    """Name or address to bind; an IPv6 address without brackets."""

    listen_port: int = 2525
    """0 takes any free port."""

    more_listens: tuple[tuple[str, int], ...] = ()
    """Further addresses to bind, of the same form."""

    unprotected: bool = False
    """Whether something else, such as a firewall, guards addresses that others can reach."""

    hostname: str = "localhost"
    """Our name in the greeting and in the answer to EHLO; never looked up."""

    max_message_bytes: int = 32 * _MEBIBYTE
    """Announced as SIZE, unless the upstream's own limit is lower; 552 beyond."""

    size_margin_bytes: int = 64 * 1024
    """How far below the upstream's SIZE ours stays: tracked mail is longer than it came."""

    max_recipients: int = 1000
    """Recipients of one transaction; 452 beyond (RFC 5321 section 4.5.3.1.8 asks for 100)."""

    max_connections: int = 1000
    """Clients at one time; 421 beyond."""

    max_bytes_in_flight: int = 512 * _MEBIBYTE
    """Bytes of all messages being received, rewritten or relayed, copies included; 452 beyond."""

    idle_timeout_seconds: float = 300
    """How long a client may be silent (RFC 5321 section 4.5.3.2.7); 421 then."""

    drain_seconds: float = 30
    """How long closing waits for messages that are under way."""


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a host; no name but localhost is trusted to be such."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.casefold() == "localhost"
