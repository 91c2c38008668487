"""Listening sockets, which live longer than the workers that accept on them.

Each worker has a socket of its own for each address, and the kernel spreads connections over them
(SO_REUSEPORT, socket(7)). The supervisor holds them all and never closes one that is still wanted.
So a connection that nobody has accepted yet waits for the next worker and is not reset.
"""

import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Final, TypeAlias

from msys_track.errors import SettingsError, describe_os_error
from msys_track.smtp.address import Address

Sockets: TypeAlias = Mapping[Address, Sequence[socket.socket]]
"""The listening sockets of each address, as the configuration has it."""

_BACKLOG: Final = 1024
# Elsewhere the kernel may give all connections to one of the sockets.
_SPREADS: Final = sys.platform == "linux"


def bind_addresses(
    name: str, addresses: Sequence[Address], count: int, given: Sockets
) -> dict[Address, Sequence[socket.socket]]:
    """Listen on each address with so many sockets, or on none.

    An address that has sockets already keeps them. A name is looked up as IPv4; an IPv6 address
    is taken as it is.

    Args:
        name: The server's, for the error.
        addresses: Where to listen; with port 0 the system chooses one.
        count: How many sockets an address has at least.
        given: Sockets that were bound before.

    Raises:
        SettingsError: an address can't be bound.
    """
    bound: dict[Address, Sequence[socket.socket]] = {}
    for address in addresses:
        try:
            sockets = given.get(address) or [_bind(address)]
        except OSError as error:
            close_unwanted(bound, given)
            raise SettingsError(
                f"{name}: can't listen on {address}: {describe_os_error(error)}; choose another "
                "address, or end what listens there"
            ) from error
        bound[address] = [*sockets, *_bind_more(sockets, count)]
    return bound


def share_out(sockets: Sockets, slot: int, count: int) -> dict[Address, Sequence[socket.socket]]:
    """Choose the sockets of one worker of so many: every socket has one that accepts on it."""
    return {
        address: each[slot::count] or [each[slot % len(each)]] for address, each in sockets.items()
    }


def close_unwanted(sockets: Sockets, wanted: Sockets) -> None:
    """Close the sockets of addresses that are not wanted any more."""
    for address in sockets.keys() - wanted.keys():
        for each in sockets[address]:
            each.close()


def _bind(address: Address, *, shares: bool = False) -> socket.socket:
    is_ipv6 = ":" in address.host
    bound = socket.socket(socket.AF_INET6 if is_ipv6 else socket.AF_INET)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if is_ipv6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        # The first is bound without SO_REUSEPORT: else two servers that were started by mistake
        # would share the port.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, shares)
        bound.bind(address)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, _SPREADS)
        bound.listen(_BACKLOG)
    except OSError:
        bound.close()
        raise
    return bound


def _bind_more(sockets: Sequence[socket.socket], count: int) -> Iterator[socket.socket]:
    """Bind until there are so many; workers share a socket that allows no others, as systemd's."""
    own = Address(*sockets[0].getsockname()[:2])
    with suppress(OSError):
        for _ in range(len(sockets), count if _SPREADS else 0):
            yield _bind(own, shares=True)
