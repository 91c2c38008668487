"""Settings of the listener that takes mail; every default is stated here."""

from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Annotated

from msys_track.injection.access.settings import AccessSettings
from msys_track.settings.addresses import LISTEN
from msys_track.settings.key import Key, check_settings
from msys_track.settings.kinds import (
    BYTES,
    BYTES_OR_NONE,
    COUNT,
    COUNT_OR_AUTO,
    HOSTNAME,
    LARGE_BYTES,
    SECONDS,
    SWITCH,
    choice,
    whole_number,
)
from msys_track.smtp.address import Address

_MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxySettings:
    """The address of the listener and the limits that keep one client from starving the rest.

    `listen_host` is a name or an address, of IPv6 without brackets; `listen_port` 0 takes any free
    port; `more_listens` are further addresses of the same form.

    Raises:
        SettingsError: a value that no proxy could work with.
    """

    listen_host: Annotated[
        str,
        Key(
            LISTEN,
            "where mail is accepted; no default where there are `[listen]` tables",
            name="listen",
            fields=("listen_host", "listen_port"),
        ),
    ] = "127.0.0.1"
    listen_port: int = 2525
    more_listens: tuple[Address, ...] = ()
    is_tls_only: bool = False
    """Whether it listens on `access.listen_tls` and nowhere else."""
    hostname: Annotated[str, Key(HOSTNAME, "our name in the greeting")] = "localhost"
    # Announced as SIZE, unless the upstream's own limit is lower; 552 beyond.
    max_message_bytes: Annotated[int, Key(LARGE_BYTES, "largest message")] = 32 * _MEBIBYTE
    size_margin_bytes: Annotated[
        int,
        Key(
            BYTES_OR_NONE,
            "how far our announced size stays below the upstream's, for what tracking adds",
        ),
    ] = 64 * 1024
    # 452 beyond; RFC 5321 section 4.5.3.1.8 asks for 100.
    max_recipients: Annotated[int, Key(COUNT, "recipients of one message")] = 1000
    max_connections: Annotated[int, Key(COUNT, "clients at one time")] = 1000
    max_bytes_in_flight: Annotated[
        int, Key(LARGE_BYTES, "all messages under way, copies included")
    ] = 512 * _MEBIBYTE
    # RFC 5321 section 4.5.3.2.7; 421 then.
    idle_timeout_seconds: Annotated[float, Key(SECONDS, "how long a client may be silent")] = 300
    drain_seconds: Annotated[
        float, Key(SECONDS, "how long stopping waits for messages under way")
    ] = 30
    # service/
    workers: Annotated[
        int | str,
        Key(
            COUNT_OR_AUTO,
            'processes that take mail; `"auto"`: one for each processor. They share '
            "`max_connections`, `max_bytes_in_flight` and `upstream_max_connections`",
        ),
    ] = 1
    worker_timeout_seconds: Annotated[
        float,
        Key(
            SECONDS,
            "a worker that stands still for so long, in a policy perhaps, is killed and replaced",
        ),
    ] = 60

    access: AccessSettings = field(default_factory=AccessSettings)
    """Who may inject mail; its keys stand in `[proxy]` too."""

    # The session's limits.
    max_command_bytes: Annotated[
        int,
        Key(whole_number(lowest=512, highest=65_536, unit="bytes, "), "longest line of a command"),
    ] = 2048
    max_errors: Annotated[int, Key(COUNT, "wrong commands of one session; 421 then")] = 20
    max_commands_without_mail: Annotated[
        int, Key(COUNT, "commands of one session since its last message; 421 then")
    ] = 1000
    front: Annotated[
        str,
        Key(
            choice("machine", "aiosmtpd"),
            "what reads the commands: our own machine; or aiosmtpd, the reference, which is slow "
            "and has neither TLS nor AUTH",
        ),
    ] = "machine"
    recipients: Annotated[
        str,
        Key(
            choice("as_they_come", "at_the_end"),
            "when the upstream is asked about recipients: at each RCPT, so that every answer is "
            "its own; or once the message is there",
        ),
    ] = "as_they_come"
    bare_newline: Annotated[
        str,
        Key(
            choice("refuse", "normalize"),
            "a CR or LF that is not part of a CRLF: refuse the message, or make a line's end of a "
            "lone LF and a space of a lone CR",
        ),
    ] = "refuse"
    refuse_nul: Annotated[bool, Key(SWITCH, "refuse messages that contain a NUL")] = False
    max_header_bytes: Annotated[int, Key(BYTES, "largest header section of a message")] = _MEBIBYTE
    message_timeout_seconds: Annotated[
        float, Key(SECONDS, "how long a message may take from DATA to its end")
    ] = 3600
    # What becomes of a message
    copies_at_once: Annotated[
        int, Key(COUNT, "copies of one message that are sent to the upstream at one time")
    ] = 10
    received_header: Annotated[
        bool,
        Key(
            SWITCH,
            "add a `Received` line to each mail: it names the client and the time (RFC 5321 "
            "section 4.4), and by it a loop is noticed",
        ),
    ] = True
    log_addresses: Annotated[
        bool, Key(SWITCH, "log senders and readers whole; otherwise as `j…@example.com`")
    ] = False

    def __post_init__(self) -> None:
        check_settings(self, "proxy: ")

    @property
    def listens(self) -> tuple[Address, ...]:
        """Every address that it listens on in plain text."""
        if self.is_tls_only:
            return ()
        return (Address(self.listen_host, self.listen_port), *self.more_listens)

    @property
    def all_listens(self) -> tuple[Address, ...]:
        """Every address that it listens on, those for TLS from the first byte last."""
        return (*self.listens, *self.access.listen_tls)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a host; localhost is the only name that is trusted."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"  # casefold would make an s of U+017F
