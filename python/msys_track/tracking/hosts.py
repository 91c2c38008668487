"""Answers a front server that asks whether a host is ours, before it has a certificate issued.

As Caddy's `on_demand_tls` asks: `?domain=…`, and 200 is yes. Anybody else is not answered: the
list of hosts would tell who the tenants are.
"""

from collections.abc import Collection
from typing import Final
from urllib.parse import parse_qs

HOST_PATH: Final = b"/.well-known/msys-track/host"
_MAX_BYTES: Final = 512


class Hosts:
    """The hosts of one tracker.

    Args:
        names: Host names; a port is ignored, and so are case and a dot at the end.
    """

    __slots__ = ("_names",)

    def __init__(self, names: Collection[str]) -> None:
        self._names = frozenset(map(normalize_host, names))

    def answer(self, target: bytes) -> bool | None:
        """Whether the host is ours that a request target asks for; None where it asks nothing."""
        path, _, query = target.partition(b"?")
        if path != HOST_PATH or len(query) > _MAX_BYTES:
            return None
        asked = parse_qs(query.decode("latin-1")).get("domain", [])
        return len(asked) == 1 and normalize_host(asked[0]) in self._names


def normalize_host(name: str) -> str:
    """Return a host in lower case, without its port and final dot."""
    host, colon, port = name.rpartition(":")
    # A port may be empty (RFC 3986 section 3.2.3).
    without_port = host if colon and (port.isdecimal() or not port) else name
    return without_port.removesuffix(".").lower()
