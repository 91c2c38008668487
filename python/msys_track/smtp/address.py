"""The address of an end point, and that of a machine."""

from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address, ip_address
from typing import Literal, NamedTuple, TypeAlias

IpAddress: TypeAlias = IPv4Address | IPv6Address
Protocol: TypeAlias = Literal["smtp", "lmtp"]


class Address(NamedTuple):
    """A TCP end point; an IPv6 host has no brackets here."""

    host: str
    port: int

    def __str__(self) -> str:
        """Write it as configurations and logs do: an IPv6 host stands in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class UpstreamAddress(NamedTuple):
    """Where a server takes mail, and in which protocol."""

    host: str
    """A name, an address, or the path of a Unix socket, which begins with a slash."""
    port: int
    """0 for a Unix socket."""
    protocol: Protocol = "smtp"

    @property
    def is_unix(self) -> bool:
        """Whether it is a Unix socket."""
        return self.host.startswith("/")

    def __str__(self) -> str:
        """Write it as configurations do: `host:port` or `unix:/path`, for LMTP after `lmtp:`."""
        place = f"unix:{self.host}" if self.is_unix else str(Address(self.host, self.port))
        return place if self.protocol == "smtp" else f"{self.protocol}:{place}"


@lru_cache(maxsize=1024)  # a client comes again, and each parse costs as much as an EHLO
def parse_ip(text: str) -> IpAddress | None:
    """Parse the address of a client, an IPv6 address without brackets; None if it is not one.

    A socket for both families shows IPv4 as `::ffff:192.0.2.1` (RFC 4291 section 2.5.5.2), which
    becomes IPv4 again.
    """
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def is_ipv6(text: str) -> bool:
    """Whether a text is an IPv6 address, written without brackets."""
    try:
        IPv6Address(text)
    except AddressValueError:
        return False
    return True
