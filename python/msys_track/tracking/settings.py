"""Settings of the tracker; every default is stated here."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias, get_args

from msys_track.settings.addresses import LISTEN, NETWORK, ORIGIN_PATTERN, Network, is_origin
from msys_track.settings.key import Key, check_settings
from msys_track.settings.kinds import (
    BYTES,
    BYTES_OR_NONE,
    COUNT,
    FILE_NAME,
    HEADER_TEXT,
    SECONDS,
    SWITCH,
    array,
    choice,
    text,
)

Expired: TypeAlias = Literal["redirect", "gone"]

REFUSE: Final = "refuse"
UNKNOWN_LINKS: Final = text(
    lambda value: value == REFUSE or is_origin(value),
    f'"{REFUSE}", or the old tracker as in "https://old.example.com:8443", without a path',
    {"anyOf": [{"const": REFUSE}, {"pattern": ORIGIN_PATTERN}]},
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackerSettings:
    """Where the tracker listens, where its events go, and how much a client may ask of it.

    `listen_port` 0 lets the system choose (see `Tracker.port`).

    Raises:
        SettingsError: a value that no tracker could work with.
    """

    listen_host: Annotated[
        str,
        Key(
            LISTEN,
            "where links are answered",
            name="listen",
            fields=("listen_host", "listen_port"),
        ),
    ] = "127.0.0.1"
    listen_port: int = 8080
    store: Annotated[
        Path,
        Key(
            FILE_NAME,
            "the SQLite file that stores the events; made if it does not exist",
            example="events.sqlite",
            is_required=True,
        ),
    ]
    # Consumers of SparkPost look for `msys-http`. It goes into every answer as it stands.
    server_name: Annotated[str, Key(HEADER_TEXT, "the `Server` header")] = "msys-http"
    expired: Annotated[
        Expired,
        Key(
            choice(*get_args(Expired)),
            "a click past the link's time still leads to its target, or gets 410",
        ),
    ] = "redirect"
    unknown_links: Annotated[
        str,
        Key(
            UNKNOWN_LINKS,
            "where links that another tracker made are sent on to: `refuse`, or that tracker",
        ),
    ] = REFUSE
    unsubscribe_also_click: Annotated[
        bool,
        Key(SWITCH, "a link that unsubscribes makes a `click` beside its `link_unsubscribe`"),
    ] = False
    trusted_proxies: Annotated[
        tuple[Network, ...],
        Key(array(NETWORK, NETWORK.allowed), "clients whose `X-Forwarded-For` is trusted"),
    ] = ()
    max_connections: Annotated[int, Key(COUNT, "open connections")] = 4_096
    # 414 beyond; our own URLs end at 4,096.
    max_request_line_bytes: Annotated[int, Key(BYTES, "longest request target")] = 8_192
    max_header_bytes: Annotated[int, Key(BYTES, "all header fields of a request")] = 16_384
    max_headers: Annotated[int, Key(COUNT, "header fields of a request")] = 100
    max_body_bytes: Annotated[
        int, Key(BYTES_OR_NONE, "largest body, which is read and discarded")
    ] = 65_536
    max_pipelined_requests: Annotated[int, Key(COUNT, "requests answered from one read")] = 100
    idle_timeout_seconds: Annotated[
        float, Key(SECONDS, "a connection without a request is closed after this")
    ] = 60.0
    # However the bytes trickle; then 408. A closing connection may take as long to read.
    request_timeout_seconds: Annotated[float, Key(SECONDS, "for one whole request to arrive")] = (
        10.0
    )
    close_timeout_seconds: Annotated[
        float, Key(SECONDS, "how long stopping waits for requests under way")
    ] = 5.0

    def __post_init__(self) -> None:
        check_settings(self, "tracker: ")
