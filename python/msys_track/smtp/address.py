"""The address of a TCP end point."""

from ipaddress import AddressValueError, IPv6Address
from typing import NamedTuple


class Address(NamedTuple):
    """A TCP end point; an IPv6 host has no brackets here."""

    host: str
    port: int

    def __str__(self) -> str:
        """Write it as configurations and logs do: an IPv6 host stands in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def is_ipv6(text: str) -> bool:
    """Whether a text is an IPv6 address, written without brackets."""
    try:
        IPv6Address(text)
    except AddressValueError:
        return False
    return True
