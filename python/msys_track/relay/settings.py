"""Settings of the next hop; every default is stated here."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeAlias, get_args

from msys_track.keys.file import KeySource
from msys_track.settings.addresses import UPSTREAM
from msys_track.settings.key import ConflictError, Key, check_settings
from msys_track.settings.kinds import (
    COUNT,
    FILE_NAME,
    HOSTNAME,
    NAME,
    SECONDS,
    SWITCH,
    array,
    choice,
    text,
    whole_number,
)
from msys_track.settings.secrets import SECRET
from msys_track.smtp.address import Protocol, UpstreamAddress, parse_ip
from msys_track.smtp.tls import FINGERPRINT

Encryption: TypeAlias = Literal["none", "opportunistic", "require", "implicit"]

_FINGERPRINT = text(
    lambda given: FINGERPRINT.fullmatch(given) is not None,
    "SHA-256 as `openssl x509 -noout -fingerprint -sha256` prints it",
    {"pattern": f"^{FINGERPRINT.pattern}$"},
)

_ROOM = "upstream: "
_INSIST = 'tls is "require" or "implicit"'


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamSettings:
    """Where mail is relayed to, and the limits of these connections.

    `host` is a name, an address, of IPv6 without brackets, or the path of a Unix socket, with port
    0. In `[proxy]` the keys begin with `upstream_`.

    Raises:
        SettingsError: a value that no connection could work with.
    """

    host: Annotated[
        str,
        Key(
            UPSTREAM,
            "where mail is relayed to",
            name="upstream",
            fields=("host", "port", "protocol"),
            example="127.0.0.1:25",
            is_required=True,
        ),
    ] = "127.0.0.1"
    port: int = 25
    protocol: Protocol = "smtp"
    tls: Annotated[
        Encryption,
        Key(
            choice(*get_args(Encryption)),
            "`opportunistic`: STARTTLS where it is offered, unverified, except to this machine "
            "itself; `require`: STARTTLS or nothing; `implicit`: TLS from the first byte",
            name="upstream_tls",
        ),
    ] = "opportunistic"
    tls_verify: Annotated[
        bool,
        Key(
            SWITCH,
            "whether `require` and `implicit` want a certificate that is good for the name",
            name="upstream_tls_verify",
        ),
    ] = True
    tls_name: Annotated[
        str | None,
        Key(
            HOSTNAME,
            "the name that the certificate must have",
            name="upstream_tls_name",
            example="mx.example.com",
            unset="the host of the address",
        ),
    ] = None
    tls_ca_file: Annotated[
        Path | None,
        Key(
            FILE_NAME,
            "certificates of the authorities to trust, in PEM",
            name="upstream_tls_ca_file",
            example="ca.pem",
            unset="the system's",
        ),
    ] = None
    tls_fingerprints: Annotated[
        tuple[str, ...],
        Key(
            array(_FINGERPRINT, "fingerprints"),
            "certificates to take, and no others; names and authorities don't count then",
            name="upstream_tls_fingerprints",
        ),
    ] = ()
    user: Annotated[
        str | None,
        Key(
            NAME,
            "who we are in AUTH; only inside TLS, or to this machine itself",
            name="upstream_user",
            example="proxy",
            unset="no AUTH",
        ),
    ] = None
    password: Annotated[
        KeySource | None,
        Key(
            SECRET,
            "where the password is; a file as private as a key file",
            name="upstream_password",
            example="credential:upstream",
            unset="none",
        ),
    ] = None
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
    # As the preference of MX records (RFC 5321 section 5.1).
    priority: Annotated[
        int,
        Key(
            whole_number(lowest=0, highest=65_535),
            "of several upstreams those with the lowest number are used, as long as one is up",
            name="upstream_priority",
        ),
    ] = 10
    weight: Annotated[
        int,
        Key(
            whole_number(highest=65_535),
            "its share of the mail among those of the same priority",
            name="upstream_weight",
        ),
    ] = 1
    back_off_seconds: Annotated[
        float,
        Key(
            SECONDS,
            "the longest time for which one that failed is left alone; the first is a second",
            name="upstream_back_off_seconds",
        ),
    ] = 60
    next_on_4xx: Annotated[
        bool,
        Key(
            SWITCH,
            "whether another upstream is asked where this one answers 4xx",
            name="upstream_next_on_4xx",
        ),
    ] = False
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

    def check_conflicts(self, *, relays_passwords: bool = False) -> None:
        """Check values that are good by themselves, but don't go together.

        Args:
            relays_passwords: Whether the proxy's clients log in here as themselves.

        Raises:
            ConflictError: two don't.
        """
        insists = self.tls in {"require", "implicit"}
        is_safe = insists or self.is_local
        if self.tls_fingerprints and self.tls == "opportunistic":
            raise ConflictError(_ROOM, "tls_fingerprints", f"does nothing unless {_INSIST}")
        has_name = self.tls_name is not None or not self.address.is_unix
        if insists and self.tls_verify and not self.tls_fingerprints and not has_name:
            raise ConflictError(_ROOM, "tls", "a Unix socket has no name to verify; give tls_name")
        if self.user is None and self.password is not None:
            raise ConflictError(_ROOM, "password", "needs a user too")
        if self.user is not None and self.password is None:
            raise ConflictError(_ROOM, "user", "needs a password too")
        if self.user is not None and not is_safe:
            text = f"the password would travel in plain text unless {_INSIST}"
            raise ConflictError(_ROOM, "user", text)
        if relays_passwords and not is_safe:
            text = f"auth_passthrough would send passwords in plain text unless {_INSIST}"
            raise ConflictError(_ROOM, "tls", text)

    @property
    def address(self) -> UpstreamAddress:
        """Where it takes mail."""
        return UpstreamAddress(self.host, self.port, self.protocol)

    @property
    def is_local(self) -> bool:
        """Whether mail to it stays on this machine, so that nobody can listen in between."""
        if self.address.is_unix or self.host.lower() == "localhost":
            return True
        ip = parse_ip(self.host)
        return ip is not None and ip.is_loopback
