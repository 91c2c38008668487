"""The address of a TCP end point, and that of a machine."""

from ipaddress import AddressValueError, IPv4Address, IPv6Address, ip_address
from typing import NamedTuple, TypeAlias

IpAddress: TypeAlias = IPv4Address | IPv6Address


class Address(NamedTuple):
    """A TCP end point; an IPv6 host has no brackets here."""

    host: str
    port: int

    def __str__(self) -> str:
        """Write it as configurations and logs do: an IPv6 host stands in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


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
