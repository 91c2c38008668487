"""The networks that this machine's interfaces are in, asked of Linux by netlink (rtnetlink(7))."""

import socket
import struct
from collections.abc import Iterator
from ipaddress import ip_interface
from typing import Final

from msys_track.errors import SettingsError, describe_os_error
from msys_track.settings.addresses import Network
from msys_track.smtp.address import IpAddress

_RTM_GETADDR: Final = 22
_RTM_NEWADDR: Final = 20
_NLMSG_ERROR: Final = 2
_NLMSG_DONE: Final = 3
_REQUEST_DUMP: Final = 0x301  # NLM_F_REQUEST | NLM_F_ROOT | NLM_F_MATCH
_HEADER: Final = struct.Struct("=LHHLL")  # length, type, flags, sequence, port
_ADDRESS: Final = struct.Struct("=BBBBL")  # family, prefix length, flags, scope, interface
_ATTRIBUTE: Final = struct.Struct("=HH")  # length, type
_IFA_ADDRESS: Final = 1
_IFA_LOCAL: Final = 2
_BUFFER_BYTES: Final = 65_536
_TIMEOUT_SECONDS: Final = 5


def find_networks_around(address: IpAddress) -> frozenset[Network]:
    """Return the networks of the interface that has an address; of all if it is 0.0.0.0 or ::.

    Loopback and link-local networks are left out, and one that everybody is in.

    Raises:
        SettingsError: the system does not tell.
    """
    try:
        found = list(_list_interfaces())
    except (OSError, AttributeError, struct.error) as error:
        what = describe_os_error(error) if isinstance(error, OSError) else "it is not Linux"
        raise SettingsError(
            f'proxy: networks: "interface": the system does not tell its interfaces: {what}; '
            'write the networks, as in "10.0.0.0/8"'
        ) from error
    return frozenset(
        network
        for network, own in found
        if network.prefixlen
        and not (network.is_loopback or network.is_link_local)
        and (address.is_unspecified or address == own)
    )


def _list_interfaces() -> Iterator[tuple[Network, IpAddress]]:
    """Yield each address of this machine with the network around it."""
    request = _HEADER.pack(_HEADER.size + 1, _RTM_GETADDR, _REQUEST_DUMP, 1, 0) + b"\0"
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as netlink:
        netlink.settimeout(_TIMEOUT_SECONDS)
        netlink.sendto(request, (0, 0))
        while True:
            answer = netlink.recv(_BUFFER_BYTES)
            while answer:
                length, kind, *_ = _HEADER.unpack_from(answer)
                if kind in (_NLMSG_DONE, _NLMSG_ERROR):
                    return
                if kind == _RTM_NEWADDR:
                    yield from _read_address(answer[_HEADER.size : length])
                answer = answer[(length + 3) & ~3 :]


def _read_address(message: bytes) -> Iterator[tuple[Network, IpAddress]]:
    family, prefix_length, *_ = _ADDRESS.unpack_from(message)
    if family not in (socket.AF_INET, socket.AF_INET6):
        return
    attributes: dict[int, bytes] = {}
    at = _ADDRESS.size
    while at + _ATTRIBUTE.size <= len(message):
        length, kind = _ATTRIBUTE.unpack_from(message, at)
        attributes[kind] = message[at + _ATTRIBUTE.size : at + length]
        at += max((length + 3) & ~3, _ATTRIBUTE.size)
    # With a peer at the other end of the line, IFA_ADDRESS is the peer's.
    address = attributes.get(_IFA_LOCAL, attributes.get(_IFA_ADDRESS))
    if address is not None:
        interface = ip_interface((address, prefix_length))
        yield interface.network, interface.ip
