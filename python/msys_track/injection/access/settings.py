"""Settings of who may inject mail, as whom, and how much; every default is stated here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias

from msys_track.settings.addresses import LISTEN, NETWORK, NETWORK_PATTERN, Network
from msys_track.settings.key import Key, check_settings
from msys_track.settings.kinds import (
    COUNT,
    FILE_NAME,
    LARGE_BYTES,
    SECONDS,
    SWITCH,
    Kind,
    NotAllowedError,
    array,
)
from msys_track.smtp.address import Address

LOOPBACK: Final = "loopback"
INTERFACE: Final = "interface"
NetworkName: TypeAlias = Network | Literal["loopback", "interface"]

_WORDS: Final = (LOOPBACK, INTERFACE)


def _read_network_name(value: object) -> NetworkName:
    if value in _WORDS:
        return value
    try:
        network: Network = NETWORK.read(value)
    except NotAllowedError as error:
        text = error.faults[0][1].partition("allowed: ")[2]
        raise NotAllowedError(value, f'{text}; or "loopback", or "interface"') from None
    return network


_NETWORK_NAME: Final = Kind(
    read=_read_network_name,
    allowed='networks as in ["loopback", "10.0.0.0/8"]',
    json_schema={
        "anyOf": [{"enum": list(_WORDS)}, {"type": "string", "pattern": NETWORK_PATTERN}]
    },
)
_NETWORKS: Final = array(NETWORK, "networks or addresses")


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitSettings:
    """What a network or a user may do; None: as the next wider one has it, `[proxy]` at last.

    Each counts in one process: with several workers each has them for itself.
    """

    max_message_bytes: Annotated[
        int | None, Key(LARGE_BYTES, "largest message", example=10_485_760, unset="`[proxy]`'s")
    ] = None
    max_recipients: Annotated[
        int | None, Key(COUNT, "recipients of one message", example=100, unset="`[proxy]`'s")
    ] = None
    max_messages: Annotated[
        int | None, Key(COUNT, "messages on one connection", example=1000, unset="no limit")
    ] = None
    max_connections: Annotated[
        int | None, Key(COUNT, "connections at one time", example=20, unset="no limit")
    ] = None
    connections_per_minute: Annotated[
        int | None,
        Key(COUNT, "new connections in a minute; of a user: logins", example=60, unset="no limit"),
    ] = None
    messages_per_minute: Annotated[
        int | None, Key(COUNT, "messages in a minute", example=600, unset="no limit")
    ] = None
    recipients_per_minute: Annotated[
        int | None, Key(COUNT, "recipients in a minute", example=6000, unset="no limit")
    ] = None

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSettings(LimitSettings):
    """What the clients of one network may do together, or each of them."""

    each_address: Annotated[
        bool,
        Key(
            SWITCH,
            "whether this table's connections and rates are counted for each address, of IPv6 "
            "for each /64, and not for the whole network together",
        ),
    ] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessSettings:
    """Who may inject mail, over what, and how much.

    Raises:
        SettingsError: a value that no proxy could work with.
    """

    networks: Annotated[
        tuple[NetworkName, ...],
        Key(
            array(_NETWORK_NAME, "networks or addresses, `loopback` or `interface`"),
            "clients that may send without AUTH; `loopback` is this machine, `interface` the "
            "networks that the listening addresses are in",
        ),
    ] = (LOOPBACK,)
    open_relay: Annotated[
        bool,
        Key(
            SWITCH,
            "every client that reaches the proxy may send, as something else, such as a "
            "firewall, protects it",
        ),
    ] = False
    auth_users: Annotated[
        Path | None,
        Key(
            FILE_NAME,
            "the file of users who may send after AUTH; `msys-track users` writes it",
            example="users.toml",
            unset="no AUTH",
        ),
    ] = None
    auth_passthrough: Annotated[
        bool,
        Key(
            SWITCH,
            "whether the upstream checks AUTH, over a connection of the user's own, which carries "
            "the user's mail too; in place of `auth_users`",
        ),
    ] = False
    tls_certificate: Annotated[
        Path | None,
        Key(
            FILE_NAME,
            "the certificate for STARTTLS and `listen_tls`, with those between it and its root, "
            "in PEM; read again when it changes",
            example="fullchain.pem",
            unset="no TLS",
        ),
    ] = None
    tls_key: Annotated[
        Path | None,
        Key(
            FILE_NAME,
            "its key, in PEM",
            example="privkey.pem",
            unset="in the same file",
        ),
    ] = None
    tls_required: Annotated[bool, Key(SWITCH, "whether mail is taken over TLS only")] = False
    listen_tls: Annotated[
        tuple[Address, ...],
        Key(
            array(LISTEN, 'addresses as in ["127.0.0.1:465"]'),
            "addresses where TLS begins at once (RFC 8314)",
        ),
    ] = ()
    proxy_protocol_from: Annotated[
        tuple[Network, ...],
        Key(
            _NETWORKS,
            "load balancers, whose every connection must begin with a PROXY header (version 1 or "
            "2); nobody else's may",
        ),
    ] = ()
    xclient_from: Annotated[
        tuple[Network, ...], Key(_NETWORKS, "peers whose XCLIENT is believed")
    ] = ()
    # RFC 4954 section 6 lets a server end the session after several.
    max_auth_failures: Annotated[
        int, Key(COUNT, "failed logins on one connection; it is closed then")
    ] = 3
    auth_failures_per_minute: Annotated[
        int,
        Key(
            COUNT,
            "failed logins of one address in a minute; beyond, only users who logged in before "
            "can, until a minute has passed",
        ),
    ] = 10
    auth_failure_delay_seconds: Annotated[
        float, Key(SECONDS, "how long the answer to a failed login waits; twice as long each time")
    ] = 1
    clients: Mapping[Network, ClientSettings] = field(default_factory=dict)
    """The tables `[client."NETWORK"]`."""
    users: Mapping[str, LimitSettings] = field(default_factory=dict)
    """The tables `[user.NAME]`."""

    def __post_init__(self) -> None:
        check_settings(self, "proxy: ")

    @property
    def offers_auth(self) -> bool:
        """Whether clients can log in, where TLS protects the password."""
        return self.auth_users is not None or self.auth_passthrough
