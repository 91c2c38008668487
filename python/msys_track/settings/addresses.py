"""Addresses and networks as a configuration file writes them: values and names of tables."""

import re
from contextlib import suppress
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final, TypeAlias

from msys_track.settings.kinds import Kind, NotAllowedError
from msys_track.smtp.address import Address, Protocol, UpstreamAddress, is_ipv6

Network: TypeAlias = IPv4Network | IPv6Network

MAX_PORT: Final = 65_535
_ANY: Final = "0.0.0.0"  # noqa: S104 - asked for by leaving the host out
_ANY_IPV6: Final = "[::]"
_ADDRESS: Final = re.compile(
    r"(?:\[(?P<ipv6>[^\[\]\s]+)\]|(?P<host>[^\s:/@\[\]]+)):(?P<port>[0-9]{1,5})"
)
_NETWORK_WORDS: Final = 'a network or address as in "10.0.0.0/8" or "::1"'
_LISTEN_WORDS: Final = (
    '"host:port", or ":port" for every IPv4 address, as [listen."127.0.0.1:2525"]'
)

# JSON Schema's patterns (ECMA-262): every port of at most five digits, whatever zeros lead it.
PORT_PATTERN: Final = (
    "([0-9]{1,4}|[0-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
)
_HOST_PATTERN: Final = r"(\[[0-9A-Fa-f:.]+(%[^\]\s]+)?\]|[^\s:/@\[\]]+)"
LISTEN_NAME_PATTERN: Final = rf"^({_HOST_PATTERN}|\*?|\[\*\]):{PORT_PATTERN}$"
_HOST_NAME: Final = r"[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*"
ORIGIN_PATTERN: Final = rf"^https?://({_HOST_NAME}|\[[0-9A-Fa-f:.]+\])(:(?!0+$){PORT_PATTERN})?$"
NETWORK_PATTERN: Final = r"^[0-9A-Fa-f:.]+(%[^/]+)?(/[0-9.]{1,15})?$"


def address(*, lowest_port: int) -> Kind:
    """Make the kind of `host:port`; where port 0 is allowed it means any free one."""
    free = ", 0 for any free one" if lowest_port == 0 else ""
    allowed = f'host:port as in "127.0.0.1:2525", port {lowest_port} to {MAX_PORT}{free}'

    def read_value(value: object) -> Address:
        parts = _ADDRESS.fullmatch(value) if isinstance(value, str) else None
        if parts is None or not lowest_port <= int(parts["port"]) <= MAX_PORT:
            raise NotAllowedError(value, allowed)
        if parts["ipv6"] is not None and not is_ipv6(parts["ipv6"]):
            raise NotAllowedError(value, allowed)
        return Address(parts["ipv6"] or parts["host"], int(parts["port"]))

    not_zero = "" if lowest_port == 0 else "(?!0+$)"
    pattern = f"^{_HOST_PATTERN}:{not_zero}{PORT_PATTERN}$"
    return Kind(
        read=read_value, allowed=allowed, json_schema={"type": "string", "pattern": pattern}
    )


def listen_name(name: str) -> Address:
    """Read the name of a `[listen]` table: `host:port`, or `:port` for every IPv4 address.

    `*` is every IPv4 address too, and `[*]` every one of IPv6.

    Raises:
        NotAllowedError: neither.
    """
    try:
        given = re.sub(r"\A\*?:", f"{_ANY}:", name)
        listen: Address = LISTEN.read(re.sub(r"\A\[\*\]:", f"{_ANY_IPV6}:", given))
    except NotAllowedError:
        raise NotAllowedError(name, _LISTEN_WORDS) from None
    return listen


def is_origin(value: str) -> bool:
    """Whether a text is `http` or `https`, a host in ASCII and maybe a port: no path, no user."""
    if not re.fullmatch(ORIGIN_PATTERN, value) or value.endswith("\n"):
        return False
    host = value.partition("://")[2]
    return not host.startswith("[") or is_ipv6(host[1:].partition("]")[0])


def network_name(name: str) -> Network:
    """Read the name of a `[peer]` table: a network or an address.

    Raises:
        NotAllowedError: neither.
    """
    return _read_network(name, 'a network as in [peer."10.0.0.0/8"]')


def _read_upstream(value: object) -> UpstreamAddress:
    if not isinstance(value, str):
        raise NotAllowedError(value, UPSTREAM.allowed)
    place = value.removeprefix("lmtp:")
    protocol: Protocol = "smtp" if place == value else "lmtp"
    path = place.removeprefix("unix:")
    if path != place and path.startswith("/") and "\0" not in path:
        return UpstreamAddress(path, 0, protocol)
    try:
        server: Address = _SERVER.read(place)
    except NotAllowedError:
        raise NotAllowedError(value, UPSTREAM.allowed) from None
    return UpstreamAddress(server.host, server.port, protocol)


def _read_network(item: object, allowed: str) -> Network:
    if not isinstance(item, str):
        raise NotAllowedError(item, allowed)
    try:
        return ip_network(item)
    except ValueError:
        with suppress(ValueError):
            allowed += f"; did you mean {ip_network(item, strict=False)}?"
        raise NotAllowedError(item, allowed) from None


LISTEN: Final = address(lowest_port=0)
_SERVER: Final = address(lowest_port=1)
UPSTREAM: Final = Kind(
    read=_read_upstream,
    allowed=f'{_SERVER.allowed}, or "unix:/path"; for LMTP with "lmtp:" before it',
    json_schema={
        "type": "string",
        # A host can't hold a colon, so lmtp: is none.
        "pattern": rf"^(lmtp:)?(unix:/[^\0]+|{_HOST_PATTERN}:(?!0+$){PORT_PATTERN})$",
    },
)
NETWORK: Final = Kind(
    read=lambda value: _read_network(value, _NETWORK_WORDS),
    allowed='networks as in ["10.0.0.0/8", "::1"]',
    json_schema={"type": "string", "pattern": NETWORK_PATTERN},
)
