"""The address of a TCP end point."""

from typing import NamedTuple


class Address(NamedTuple):
    """A TCP end point; an IPv6 host has no brackets here."""

    host: str
    port: int

    def __str__(self) -> str:
        """Write it as configurations and logs do: an IPv6 host stands in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
