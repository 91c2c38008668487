"""The networks that this machine's interfaces are in."""

import socket
from collections.abc import Iterator
from ipaddress import ip_address, ip_interface

from msys_track.errors import SettingsError, describe_os_error
from msys_track.extras import needed_extra
from msys_track.settings.addresses import Network
from msys_track.smtp.address import IpAddress


def find_networks_around(address: IpAddress) -> frozenset[Network]:
    """Return the networks of the interface that has an address; of all if it is 0.0.0.0 or ::.

    Loopback and link-local networks are left out, and one that everybody is in.

    Raises:
        SettingsError: the system does not tell.
    """
    try:
        found = list(_list_interfaces())
    except OSError as error:
        raise SettingsError(
            'proxy: networks: "interface": the system does not tell its interfaces: '
            f'{describe_os_error(error)}; write the networks, as in "10.0.0.0/8"'
        ) from error
    return frozenset(
        network
        for network, own in found
        if network.prefixlen
        and not (network.is_loopback or network.is_link_local)
        and (address.is_unspecified or address == own)
    )


def list_own_addresses() -> frozenset[IpAddress]:
    """Return every address of this machine; none if the system does not tell."""
    try:
        return frozenset(address for _, address in _list_interfaces())
    except OSError:
        return frozenset()


def _list_interfaces() -> Iterator[tuple[Network, IpAddress]]:
    """Yield each address of this machine with the network around it."""
    with needed_extra("proxy", 'the network "interface"'):
        import psutil  # noqa: PLC0415 - takes 30 ms, and few configurations need it

    for addresses in psutil.net_if_addrs().values():
        for each in addresses:
            # Others are of the hardware; the end of a tunnel may have no network.
            if each.family in (socket.AF_INET, socket.AF_INET6) and each.netmask:
                prefix_length = int(ip_address(each.netmask)).bit_count()
                # An IPv6 address may end in its zone, such as %eth0.
                interface = ip_interface((each.address.partition("%")[0], prefix_length))
                yield interface.network, interface.ip
