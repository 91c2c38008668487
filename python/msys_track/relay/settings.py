"""Settings of the next hop; every default is stated here."""

from dataclasses import dataclass
from typing import Annotated

from msys_track.settings.addresses import UPSTREAM
from msys_track.settings.key import Key, check_settings
from msys_track.settings.kinds import COUNT, HOSTNAME, SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamSettings:
    """Where mail is relayed to, and the limits of these connections.

    `host` is a name or an address, of IPv6 without brackets. In a file the keys begin with
    `upstream_`.

    Raises:
        SettingsError: a value that no connection could work with.
    """

    host: Annotated[
        str,
        Key(
            UPSTREAM,
            "where mail is relayed to",
            name="upstream",
            fields=("host", "port"),
            example="127.0.0.1:25",
            is_required=True,
        ),
    ] = "127.0.0.1"
    port: int = 25
    # None: the address literal of our end (RFC 5321 section 4.1.4).
    ehlo_name: Annotated[
        str | None,
        Key(
            HOSTNAME,
            "our name in EHLO",
            name="upstream_ehlo_name",
            example="proxy.example.com",
            unset="our address",
        ),
    ] = None
    max_connections: Annotated[
        int, Key(COUNT, "connections open at one time", name="upstream_max_connections")
    ] = 50
    connect_timeout_seconds: Annotated[
        float,
        Key(
            SECONDS,
            "for the TCP connection; a client's EHLO waits no longer for the upstream's",
            name="upstream_connect_timeout_seconds",
        ),
    ] = 10
    # RFC 5321 section 4.5.3.2 asks for minutes.
    reply_timeout_seconds: Annotated[
        float,
        Key(
            SECONDS,
            "for the answers to one group of commands",
            name="upstream_reply_timeout_seconds",
        ),
    ] = 120
    # After the dot: 10 minutes (RFC 5321 section 4.5.3.2.6).
    data_timeout_seconds: Annotated[
        float,
        Key(SECONDS, "for the answer to a message", name="upstream_data_timeout_seconds"),
    ] = 600
    pool_wait_seconds: Annotated[
        float,
        Key(
            SECONDS,
            "how long a message waits for a free connection",
            name="upstream_pool_wait_seconds",
        ),
    ] = 60
    # Shorter than any MTA's own patience.
    idle_seconds: Annotated[
        float,
        Key(
            SECONDS,
            "an unused connection is closed after this time",
            name="upstream_idle_seconds",
        ),
    ] = 30
    # OpenSMTPD takes no more than 100.
    max_messages_per_connection: Annotated[
        int,
        Key(
            COUNT,
            "a connection is closed after this many messages",
            name="upstream_max_messages_per_connection",
        ),
    ] = 100
    # Long enough to be worth it, and soon enough to follow an upstream that has changed.
    max_age_seconds: Annotated[
        float,
        Key(
            SECONDS,
            "a connection is closed after its first message beyond this time",
            name="upstream_max_age_seconds",
        ),
    ] = 300

    def __post_init__(self) -> None:
        check_settings(self, "upstream: ")
