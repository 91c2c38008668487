"""Finds upstreams that are the proxy itself: a mail would go round until it is refused."""

from collections.abc import Iterator, Mapping
from ipaddress import ip_address

from msys_track.injection.access.interfaces import list_own_addresses
from msys_track.injection.settings import ProxySettings
from msys_track.relay.settings import UpstreamSettings
from msys_track.smtp.address import Address, IpAddress, parse_ip

_LOCALHOST = (ip_address("127.0.0.1"), ip_address("::1"))


def find_loops(
    proxy: ProxySettings, upstreams: Mapping[str, UpstreamSettings]
) -> Iterator[tuple[str, str]]:
    """Yield the name of each upstream whose address is one that the proxy listens on, and why.

    Only what the addresses themselves say: a host name, other than localhost, is not looked up.
    """
    for name, upstream in upstreams.items():
        for listen in proxy.all_listens:
            is_port = upstream.port == listen.port and not upstream.address.is_unix
            if is_port and listen.port and _is_reached(listen, upstream.host):
                text = (
                    f"{upstream.address} is the proxy itself, which listens on {listen}; name the "
                    "server that takes the mail from it"
                )
                yield name, text
                break


def _is_reached(listen: Address, host: str) -> bool:
    """Whether a connection to a host, at the port of a listening address, comes in there."""
    if listen.host.lower() == host.lower():
        return True
    at, targets = _read_hosts(listen.host), _read_hosts(host)
    for target in targets:
        for own in at:
            if own.version != target.version:
                continue
            # A connection to 0.0.0.0 or :: goes to this machine.
            if own == target or (target.is_unspecified and own.is_loopback):
                return True
            if own.is_unspecified and (target.is_loopback or target in list_own_addresses()):
                return True
    return False


def _read_hosts(host: str) -> tuple[IpAddress, ...]:
    if host.lower() == "localhost":
        return _LOCALHOST
    ip = parse_ip(host)
    return (ip,) if ip is not None else ()
