"""Where a connection comes from, as the connection itself or a trusted peer says."""

import asyncio
from dataclasses import dataclass, replace

from msys_track.smtp.address import Address, IpAddress, parse_ip
from msys_track.smtp.xclient import XClient


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """One connection's client, and the machine at the other end of its wire."""

    client: Address | None
    """The client; None where it has no address, as behind a Unix socket."""
    neighbour: IpAddress | None
    """The other end of the connection itself, by which XCLIENT is believed."""
    is_encrypted: bool = False
    """Whether the client speaks TLS, with us or with the load balancer in front."""

    @classmethod
    def of(cls, transport: asyncio.BaseTransport) -> "Origin":
        """Return what a connection says of itself."""
        client = None
        match transport.get_extra_info("peername"):
            case (str(host), int(port), *_):
                client = Address(host, port)
        return cls(client=client, neighbour=find_ip(client))

    def rename(self, named: XClient) -> "Origin":
        """Return where a connection comes from as a trusted peer says; the rest stays."""
        own, client = self.client or Address("", 0), None
        if named.address is not None:
            client = Address(str(named.address), named.port or 0)
        elif "ADDR" not in named.given:
            client = Address(own.host, named.port or own.port)
        return replace(self, client=client)

    @property
    def ip(self) -> IpAddress | None:
        """The client's IP address."""
        return find_ip(self.client)

    def __str__(self) -> str:
        """Write the client's address and port."""
        return "unknown" if self.client is None else str(self.client)


def find_ip(address: Address | None) -> IpAddress | None:
    """Return the IP address of an end point, without an interface's name; None if it has none."""
    return None if address is None else parse_ip(address.host.partition("%")[0])
