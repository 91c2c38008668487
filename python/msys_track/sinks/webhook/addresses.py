"""Which addresses a webhook may lead to: an owner's own network is no place for a stranger's URL.

Checked where a URL is configured, as far as it says where it leads, and again for each connection
with the very addresses that it is made to.
"""

import socket
from contextlib import suppress
from ipaddress import (
    IPv4Address,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Final

_LOCAL_NAMES: Final = ("localhost", "local", "internal")
# They look public, to some releases of Python at least, but there Azure's and Oracle's virtual
# machines get their secrets.
_OF_CLOUDS: Final = (ip_network("168.63.129.16/32"), ip_network("192.0.0.0/24"))
# IPv4 within IPv6 (RFC 6052 section 2.1, RFC 3056 section 2).
_NAT64: Final = IPv6Network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """Whether an address is on the public internet: not private, loopback, link-local or such.

    An IPv6 address that holds one of IPv4 is judged by that too. What is no address is not public.
    """
    try:
        known = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(known, IPv6Address):
        inner = known.ipv4_mapped or known.sixtofour
        if inner is None and known in _NAT64:
            inner = IPv4Address(int(known) & 0xFFFF_FFFF)
        if inner is not None:
            return is_public(str(inner))
    if any(known in network for network in _OF_CLOUDS):
        return False
    return known.is_global and not known.is_multicast


def is_private_host(host: str) -> bool:
    """Whether a URL's host can't be public, as far as it says: an address, or a local name.

    Addresses count in every form that a resolver takes, such as `127.1` or `0x7f000001`.
    """
    name = host.strip("[]").rstrip(".").lower()
    if name in _LOCAL_NAMES or name.endswith(tuple(f".{each}" for each in _LOCAL_NAMES)):
        return True
    with suppress(OSError):
        return not is_public(socket.inet_ntoa(socket.inet_aton(name)))
    with suppress(ValueError):
        ip_address(name.partition("%")[0])
        return not is_public(name)
    return False
