"""Settings of the tracker; every default is stated here."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias, get_args

from msys_track.settings.addresses import LISTEN, NETWORK, ORIGIN_PATTERN, Network, is_origin
from msys_track.settings.key import ConflictError, Key, check_settings
from msys_track.settings.kinds import (
    BYTES,
    BYTES_OR_NONE,
    COUNT,
    COUNT_OR_AUTO,
    FILE_NAME,
    HEADER_TEXT,
    HOSTNAME,
    SECONDS,
    SHARE,
    SWITCH,
    array,
    choice,
    text,
)
from msys_track.smtp.address import Address

Expired: TypeAlias = Literal["redirect", "gone"]

REFUSE: Final = "refuse"
UNKNOWN_LINKS: Final = text(
    lambda value: value == REFUSE or is_origin(value),
    f'"{REFUSE}", or the old tracker as in "https://old.example.com:8443", without a path',
    {"anyOf": [{"const": REFUSE}, {"pattern": ORIGIN_PATTERN}]},
)


_MAX_URL: Final = 4_096
_URL_PATTERN: Final = r"https?://[!-~]+"
URL: Final = text(
    lambda value: len(value) <= _MAX_URL and re.fullmatch(_URL_PATTERN, value) is not None,
    'a URL as in "https://www.example.com/expired"',
    {"pattern": f"^{_URL_PATTERN}$", "maxLength": _MAX_URL},
)
_APPLE_PATTERN: Final = r"[A-Z0-9]{10}\.[A-Za-z0-9.-]{1,155}"
APPLE_APP: Final = text(
    lambda value: re.fullmatch(_APPLE_PATTERN, value) is not None,
    'team and bundle as in "ABCDE12345.com.example.shop"',
    {"pattern": f"^{_APPLE_PATTERN}$"},
)
_FINGERPRINT: Final = "([0-9A-F]{2}:){31}[0-9A-F]{2}"
_ANDROID_PATTERN: Final = rf"[A-Za-z0-9_.]{{1,255}}={_FINGERPRINT}(,{_FINGERPRINT})*"


ANDROID_APP: Final = text(
    lambda value: re.fullmatch(_ANDROID_PATTERN, value) is not None,
    "a package, =, and the SHA-256 fingerprints of its certificates as keytool shows them",
    {"pattern": f"^{_ANDROID_PATTERN}$"},
)
_SUBLINK_PATTERN: Final = r"[A-Za-z0-9._-]{1,64}(/[A-Za-z0-9._-]{1,64})*"
SUBLINK: Final = text(
    lambda value: re.fullmatch(_SUBLINK_PATTERN, value) is not None,
    "a sublink as in data-msys-sublink",
    {"pattern": f"^{_SUBLINK_PATTERN}$"},
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
    listen_tls: Annotated[
        tuple[Address, ...],
        Key(
            array(LISTEN, 'addresses as in ["0.0.0.0:443"]'),
            "addresses where links are answered over TLS",
        ),
    ] = ()
    tls_certificate: Annotated[
        Path | None,
        Key(
            FILE_NAME,
            "the certificate for `listen_tls`, with those between it and its root, in PEM; read "
            "again when it changes",
            example="fullchain.pem",
            unset="no TLS",
        ),
    ] = None
    tls_key: Annotated[
        Path | None,
        Key(FILE_NAME, "its key, in PEM", example="privkey.pem", unset="in the same file"),
    ] = None
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
    expired_url: Annotated[
        str | None,
        Key(
            URL,
            "a page that a click past the link's time leads to, in place of its target",
            example="https://www.example.com/expired",
            unset="none",
        ),
    ] = None
    redirects: Annotated[
        Path | None,
        Key(
            FILE_NAME,
            "a file of lines with an old and a new target: clicks on the old lead to the new; "
            "read again when it changes",
            example="redirects.txt",
            unset="none",
        ),
    ] = None
    withdrawn: Annotated[
        Path | None,
        Key(
            FILE_NAME,
            "a file of recipients of whom no events are made, a line each: the address, or its "
            "SHA-256 in lower case; read again when it changes",
            example="withdrawn.txt",
            unset="none",
        ),
    ] = None
    confirm_unsubscribe: Annotated[
        bool,
        Key(
            SWITCH,
            "a link that unsubscribes leads to a page with a button first, since scanners follow "
            "links but press no buttons that POST",
        ),
    ] = False
    apple_apps: Annotated[
        tuple[str, ...],
        Key(
            array(APPLE_APP, 'apps as in ["ABCDE12345.com.example.shop"]'),
            "apps that open links below `app_sublinks`, for apple-app-site-association",
        ),
    ] = ()
    android_apps: Annotated[
        tuple[str, ...],
        Key(
            array(ANDROID_APP, 'apps as in ["com.example.shop=AB:CD:…"]'),
            "apps that open links, each with the SHA-256 fingerprints of its certificates, "
            "separated by commas, for assetlinks.json",
        ),
    ] = ()
    app_sublinks: Annotated[
        tuple[str, ...],
        Key(
            array(SUBLINK, 'sublinks as in ["open-in-app"]'),
            "the values of `data-msys-sublink` whose links open an app",
        ),
    ] = ()
    unsubscribe_also_click: Annotated[
        bool,
        Key(SWITCH, "a link that unsubscribes makes a `click` beside its `link_unsubscribe`"),
    ] = False
    trusted_proxies: Annotated[
        tuple[Network, ...],
        Key(array(NETWORK, NETWORK.allowed), "clients whose `X-Forwarded-For` is trusted"),
    ] = ()
    proxy_protocol: Annotated[
        bool,
        Key(
            SWITCH,
            "every connection from `trusted_proxies` must begin with a PROXY header (version 1 or "
            "2); nobody else's may",
        ),
    ] = False
    hosts: Annotated[
        tuple[str, ...],
        Key(
            array(HOSTNAME, 'host names as in ["click.example.com"]'),
            "hosts that are ours, beside each `tracking_domain`: what a front server may have a "
            "certificate issued for",
        ),
    ] = ()
    # service/
    workers: Annotated[
        int | str,
        Key(
            COUNT_OR_AUTO,
            'processes that answer readers; `"auto"`: one for each processor. They share '
            "`max_connections`",
        ),
    ] = 1
    access_log_share: Annotated[
        float, Key(SHARE, "how many of the requests are logged, by method, route and status only")
    ] = 0.0
    # Beyond, the one that has been idle longest is closed; 503 where none is idle.
    max_connections: Annotated[int, Key(COUNT, "open connections")] = 4_096
    max_connections_per_address: Annotated[
        int,
        Key(
            COUNT,
            "open connections of one address, or of one /64 of IPv6; `trusted_proxies` may have "
            "as many as there are",
        ),
    ] = 256
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
        float,
        Key(SECONDS, "how long stopping takes in all, requests under way and events included"),
    ] = 10.0

    def __post_init__(self) -> None:
        check_settings(self, "tracker: ")

    def check_conflicts(self) -> None:
        """Check what goes together.

        Raises:
            ConflictError: a value is not good beside another.
        """
        if self.tls_certificate is None:
            for field in ("listen_tls", "tls_key"):
                if getattr(self, field):
                    raise ConflictError(
                        "tracker: ", field, "needs a certificate: set tls_certificate"
                    )
        for address in self.listen_tls:
            if address.port and address == self.listen:
                text = f"{address} is in listen too; TLS begins there at once, or it does not"
                raise ConflictError("tracker: ", "listen_tls", text)
        if self.proxy_protocol and not self.trusted_proxies:
            text = "nobody is believed: name the front servers in trusted_proxies"
            raise ConflictError("tracker: ", "proxy_protocol", text)
        if self.apple_apps and not self.app_sublinks:
            text = "open no links: name their sublinks in app_sublinks"
            raise ConflictError("tracker: ", "apple_apps", text)

    @property
    def listen(self) -> Address:
        """Where links are answered in plain text."""
        return Address(self.listen_host, self.listen_port)

    @property
    def all_listens(self) -> tuple[Address, ...]:
        """Every address that it listens on, those for TLS last."""
        return (self.listen, *self.listen_tls)
