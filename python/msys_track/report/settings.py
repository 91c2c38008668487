"""Settings of the report; every default is stated here."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from msys_track.settings.addresses import LISTEN, NETWORK, Network
from msys_track.settings.key import ConflictError, Key, check_settings
from msys_track.settings.kinds import COUNT, FILE_NAME, HOSTNAME, SECONDS, SWITCH, array
from msys_track.smtp.address import Address


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSettings:
    """Where the report listens, who may see it, and what it shows.

    Raises:
        SettingsError: a value that no report could work with.
    """

    listen_host: Annotated[
        str,
        Key(
            LISTEN,
            "where pages and read APIs are answered",
            name="listen",
            fields=("listen_host", "listen_port"),
        ),
    ] = "127.0.0.1"
    listen_port: int = 8026
    tls_certificate: Annotated[
        Path | None,
        Key(
            FILE_NAME,
            "its certificate, with those between it and its root, in PEM; read again when it "
            "changes",
            example="fullchain.pem",
            unset="no TLS",
        ),
    ] = None
    tls_key: Annotated[
        Path | None,
        Key(FILE_NAME, "its key, in PEM", example="privkey.pem", unset="in the same file"),
    ] = None
    users: Annotated[
        Path | None,
        Key(
            FILE_NAME,
            "who may log in; `msys-track users` makes the file",
            example="users.toml",
            unset="as `auth_users` of `[proxy]`",
        ),
    ] = None
    store: Annotated[
        Path | None,
        Key(
            FILE_NAME,
            "the store that is shown",
            example="events.sqlite",
            unset="as `store` of `[tracker]`",
        ),
    ] = None
    api_keys: Annotated[
        Path | None,
        Key(
            FILE_NAME,
            "who may use SparkPost's read APIs; `msys-track api-keys` makes the file",
            example="api-keys.toml",
            unset="nobody",
        ),
    ] = None
    session_hours: Annotated[int, Key(COUNT, "how long somebody stays logged in at most")] = 12
    idle_minutes: Annotated[
        int, Key(COUNT, "how long somebody stays logged in without looking at a page")
    ] = 120
    hosts: Annotated[
        tuple[str, ...],
        Key(
            array(HOSTNAME, 'host names as in ["report.example.com"]'),
            "the names that it answers to; none: every name that leads to it",
        ),
    ] = ()
    allow_remote_images: Annotated[
        bool,
        Key(SWITCH, "whether the click map loads a mail's images from where they are"),
    ] = False
    trusted_proxies: Annotated[
        tuple[Network, ...],
        Key(
            array(NETWORK, NETWORK.allowed),
            "proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed",
        ),
    ] = ()

    max_connections: Annotated[int, Key(COUNT, "open connections; 503 beyond")] = 256
    request_timeout_seconds: Annotated[
        float, Key(SECONDS, "for one whole request to arrive, and for an idle connection")
    ] = 10.0
    close_timeout_seconds: Annotated[
        float, Key(SECONDS, "how long stopping takes in all, requests under way included")
    ] = 5.0

    def __post_init__(self) -> None:
        """Check each value."""
        check_settings(self, "report: ")

    def check_conflicts(self) -> None:
        """Check what goes together.

        Raises:
            ConflictError: a value is not good beside another.
        """
        if self.tls_key is not None and self.tls_certificate is None:
            text = "needs a certificate: set tls_certificate"
            raise ConflictError("report: ", "tls_key", text)

    @property
    def listen(self) -> Address:
        """Where it is answered."""
        return Address(self.listen_host, self.listen_port)
