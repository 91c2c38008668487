"""What a key of a configuration file may hold: parsed once, or refused in words that help.

A kind is a function from the file's value to the setting's; what it refuses it raises as
`NotAllowedError`.
"""

import math
import re
from collections.abc import Callable
from ipaddress import AddressValueError, IPv4Network, IPv6Address, IPv6Network, ip_network
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

from msys_track.config.problems import shown
from msys_track.options.tracking import RULES

Kind: TypeAlias = Callable[[object], object]
Network: TypeAlias = IPv4Network | IPv6Network

MAX_PORT: Final = 65_535
_MAX_COUNT: Final = 2**31 - 1
_MAX_SECONDS: Final = 86_400
_ADDRESS: Final = re.compile(
    r"(?:\[(?P<ipv6>[^\[\]\s]+)\]|(?P<host>[^\s:/@\[\]]+)):(?P<port>[0-9]{1,5})"
)
_HOSTNAME: Final = re.compile(r"[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*|\[[0-9A-Za-z.:]+\]")


class NotAllowedError(ValueError):
    """What was found and what is allowed; `item` is the place in an array, from 0."""

    def __init__(self, found: object, allowed: str, *, item: int | None = None) -> None:
        super().__init__(f"found {shown(found)}, allowed: {allowed}")
        self.item = item


class Address(NamedTuple):
    """A TCP end point; an IPv6 host has no brackets here."""

    host: str
    port: int


def tracking_option(field: str) -> Kind:
    """Make the kind of a field of `TrackingOptions`; a scheme is read in any case."""
    rule = RULES[field]
    is_scheme = field.endswith("_scheme")

    def read(value: object) -> object:
        lowered = value.lower() if is_scheme and isinstance(value, str) else value
        if not rule.allows(lowered):
            raise NotAllowedError(value, rule.allowed)
        return lowered

    return read


def whole_number(*, lowest: int = 1, highest: int = _MAX_COUNT) -> Kind:
    """Make the kind of a count or of a size in bytes."""

    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
            raise NotAllowedError(value, f"a whole number from {lowest} to {highest}")
        return value

    return read


def address(*, lowest_port: int) -> Kind:
    """Make the kind of `host:port`; where port 0 is allowed it means any free one."""
    free = ", 0 for any free one" if lowest_port == 0 else ""
    allowed = f'host:port as in "127.0.0.1:2525", port {lowest_port} to {MAX_PORT}{free}'

    def read(value: object) -> Address:
        parts = _ADDRESS.fullmatch(value) if isinstance(value, str) else None
        if parts is None or not lowest_port <= int(parts["port"]) <= MAX_PORT:
            raise NotAllowedError(value, allowed)
        if parts["ipv6"] is not None and not _is_ipv6(parts["ipv6"]):
            raise NotAllowedError(value, allowed)
        return Address(parts["ipv6"] or parts["host"], int(parts["port"]))

    return read


def file_name(value: object) -> Path:
    """Read the name of a file; whoever knows the folder joins it.

    Raises:
        NotAllowedError: no text, or none that names a file.
    """
    if not isinstance(value, str) or not value or "\0" in value:
        raise NotAllowedError(value, "the name of a file, in quotes")
    return Path(value)


def seconds(value: object) -> float:
    """Read a duration: above 0, fractions allowed, a day at most.

    Raises:
        NotAllowedError: no such number.
    """
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not math.isfinite(value)
        or not 0 < value <= _MAX_SECONDS
    ):
        raise NotAllowedError(value, f"seconds, a number above 0 and at most {_MAX_SECONDS}")
    return float(value)


def hostname(value: object) -> str:
    """Read a name for ourselves in SMTP: a domain, or an address in brackets.

    Raises:
        NotAllowedError: neither (RFC 5321 section 4.1.2).
    """
    if not isinstance(value, str) or not _HOSTNAME.fullmatch(value):
        raise NotAllowedError(value, 'a host name in ASCII, or an address as "[192.0.2.1]"')
    return value


def header_text(value: object) -> str:
    """Read a text that stands in an HTTP header as it is.

    Raises:
        NotAllowedError: a character that would end the header or means nothing in it.
    """
    if not isinstance(value, str) or not value.isascii() or not value.isprintable():
        raise NotAllowedError(value, "printable ASCII on one line, in quotes")
    return value


def networks(value: object) -> tuple[Network, ...]:
    """Read an array of IP networks or addresses.

    Raises:
        NotAllowedError: no array, or an item that is no network.
    """
    allowed = 'networks as in ["10.0.0.0/8", "::1"]'
    if not isinstance(value, list):
        raise NotAllowedError(value, f"an array of {allowed}")
    return tuple(_network(item, place, allowed) for place, item in enumerate(value))


def _network(item: object, place: int, allowed: str) -> Network:
    if not isinstance(item, str):
        raise NotAllowedError(item, allowed, item=place)
    try:
        return ip_network(item)
    except ValueError:
        meant = _without_host_bits(item)
        hint = f"; did you mean {meant}?" if meant else ""
        raise NotAllowedError(item, allowed + hint, item=place) from None


def _without_host_bits(item: str) -> Network | None:
    try:
        return ip_network(item, strict=False)
    except ValueError:
        return None


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except AddressValueError:
        return False
    return True
