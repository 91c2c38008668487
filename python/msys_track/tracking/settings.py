"""What an operator may set on the tracker; the room documents its own knobs and needs no file."""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Literal, TypeAlias

from msys_track.errors import SettingsError

Network: TypeAlias = IPv4Network | IPv6Network
Expired: TypeAlias = Literal["redirect", "gone"]

_HIGHEST_PORT = 65_535


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackerSettings:
    """Where the tracker listens, where its events go, and how much a client may ask of it.

    Attributes:
        listen_host: Name or address to listen on.
        listen_port: TCP port; 0 lets the system choose (see `Tracker.port`).
        store: The SQLite file that takes the events.
        server_name: The `Server` header; consumers of SparkPost look for `msys-http`.
        expired: What becomes of a click on a link past its time: still a redirect, or 410.
        unsubscribe_also_click: A link that unsubscribes leaves a click beside its own event.
        trusted_proxies: Peers whose `X-Forwarded-For` is believed; empty: nobody's.
        max_connections: Open connections; one more is answered 503 and closed.
        max_request_line_bytes: Longest request target; beyond it 414. Our own URLs end at 4,096.
        max_header_bytes: All header names and values of one request; beyond it 431.
        max_headers: Header lines of one request; beyond it 431.
        max_body_bytes: A body is read and thrown away up to here; beyond it 413.
        max_pipelined_requests: Requests answered from one read; the connection closes after them.
        idle_timeout_seconds: A connection without a request is closed after this time.
        request_timeout_seconds: From the first to the last byte of one request, however the
            bytes trickle; then 408. Also how long a closing connection may take to read.
        close_timeout_seconds: How long `Tracker.close` waits for requests under way.

    Raises:
        SettingsError: a value that no tracker could work with.
    """

    store: Path
    listen_host: str = "127.0.0.1"
    listen_port: int = 8080
    server_name: str = "msys-http"
    expired: Expired = "redirect"
    unsubscribe_also_click: bool = False
    trusted_proxies: tuple[Network, ...] = ()
    max_connections: int = 4_096
    max_request_line_bytes: int = 8_192
    max_header_bytes: int = 16_384
    max_headers: int = 100
    max_body_bytes: int = 65_536
    max_pipelined_requests: int = 100
    idle_timeout_seconds: float = 60.0
    request_timeout_seconds: float = 10.0
    close_timeout_seconds: float = 5.0

    def __post_init__(self) -> None:
        if not 0 <= self.listen_port <= _HIGHEST_PORT:
            raise SettingsError(
                f"tracker: listen port {self.listen_port}: give 0 to {_HIGHEST_PORT}"
            )
        # The name goes into every answer as it stands: a line break would be a header of its own.
        if not (self.server_name.isascii() and self.server_name.isprintable()):
            raise SettingsError(
                f"tracker: server_name {self.server_name!r}: give printable ASCII on one line"
            )
        if self.expired not in ("redirect", "gone"):
            raise SettingsError(f'tracker: expired {self.expired!r}: give "redirect" or "gone"')
        for name in _AT_LEAST_ONE:
            if getattr(self, name) < 1:
                raise SettingsError(f"tracker: {name} {getattr(self, name)}: give 1 or more")
        for name in _POSITIVE_SECONDS:
            if not getattr(self, name) > 0:
                raise SettingsError(f"tracker: {name} {getattr(self, name)}: give more than 0")


_AT_LEAST_ONE = (
    "max_connections",
    "max_request_line_bytes",
    "max_header_bytes",
    "max_headers",
    "max_pipelined_requests",
)
_POSITIVE_SECONDS = (
    "idle_timeout_seconds",
    "request_timeout_seconds",
    "close_timeout_seconds",
)
