"""Opens connections to one upstream: from its address to a connection that takes transactions.

Kept apart from the connection, which knows groups of commands only: what is said here is said
once, a command at a time, so clarity counts more than speed.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final, TypeAlias

from msys_track.errors import KeyRingError, SettingsError, describe_os_error
from msys_track.keys.file import read_source
from msys_track.logs import event_logger
from msys_track.relay.connection import (
    ConnectionFailedError,
    ConnectionGoneError,
    UpstreamConnection,
)
from msys_track.relay.deadlines import Deadlines
from msys_track.relay.identity import Identity
from msys_track.relay.settings import UpstreamSettings
from msys_track.smtp import auth
from msys_track.smtp.address import parse_ip
from msys_track.smtp.capabilities import Capabilities
from msys_track.smtp.proxies import read_mark, write_ids
from msys_track.smtp.reply import Reply
from msys_track.smtp.tls import ClientTls, FingerprintError, make_client_tls

log = event_logger(__name__)

# Reply codes of RFC 5321 section 4.2.3 and RFC 4954 section 4.
_READY: Final = 220
_AUTHENTICATED: Final = 235
_CHALLENGE: Final = 334
_PERMANENT: Final = 500

_INSISTS: Final = frozenset({"require", "implicit"})

# Not every mail tries a password that was refused: upstreams lock accounts after a few.
_REFUSED_SECONDS: Final = 10.0

OnLost: TypeAlias = Callable[[UpstreamConnection], None]

_MAX_COMMAND_BYTES: Final = 510  # RFC 5321 section 4.5.3.1.4; without CRLF


class TlsFailedError(ConnectionFailedError):
    """No TLS was agreed on, or the certificate is not the upstream's."""


class LoginRefusedError(ConnectionFailedError):
    """The upstream refused our user and password: `reply` is what it said."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(f"it refused AUTH with: {reply.code} {reply.text}")
        self.reply = reply


class Opener:
    """Opens connections to one upstream, and looks a name up for each of them.

    Raises:
        SettingsError: two settings don't go together, or a file that they name can't be used.
    """

    def __init__(
        self,
        settings: UpstreamSettings,
        credentials: auth.Credentials | None = None,
        identity: Identity | None = None,
    ) -> None:
        """Check what opening needs; `credentials` go before those that the settings name."""
        settings.check_conflicts()
        self.settings = settings
        self.identity = identity or Identity()
        self._credentials = credentials
        self._looking_up: asyncio.Task[list[str]] | None = None
        self._refused: Reply | None = None
        self._refused_until = 0.0
        # What the settings insist on has to work from the start.
        self._ready_tls = _make_tls(settings) if settings.tls in _INSISTS else None
        self._read_credentials()

    async def open(self, deadlines: Deadlines, on_lost: OnLost) -> UpstreamConnection:
        """Connect and agree on TLS and who we are; call `on_lost` when the upstream ends it.

        Raises:
            LoginRefusedError: it does not take our user or password.
            TlsFailedError: what the settings require of TLS can't be had.
            RoutingLoopError: it is this proxy, or one that mail comes from.
            ConnectionFailedError: it is unreachable, refuses service, or does not speak SMTP.
        """
        if self._refused is not None and asyncio.get_running_loop().time() < self._refused_until:
            raise LoginRefusedError(self._refused)
        if self.settings.tls != "opportunistic":
            return await self._open(deadlines, on_lost, tls=self.settings.tls)
        try:
            return await self._open(deadlines, on_lost, tls="opportunistic")
        except TlsFailedError as failure:
            # Some protection most of the time (RFC 7435), and mail in any case.
            why = str(failure)
            log.warning("upstream.not_encrypted", upstream=str(self.settings.address), why=why)
        return await self._open(deadlines, on_lost, tls="none")

    async def _open(
        self, deadlines: Deadlines, on_lost: OnLost, *, tls: str
    ) -> UpstreamConnection:
        protocol = partial(
            UpstreamConnection, self.settings, asyncio.get_running_loop(), deadlines, on_lost
        )
        connection = await self._connect(protocol)
        try:
            await self._greet(connection)
            await self._introduce(connection)
            if tls == "require" or (tls == "opportunistic" and not _is_local(connection)):
                await self._start_tls(connection, is_required=tls == "require")
            await self._authenticate(connection)
        except BaseException:
            connection.quit()
            raise
        return connection

    async def _connect(self, protocol: Callable[[], UpstreamConnection]) -> UpstreamConnection:
        """Connect to the first address that takes the connection."""
        loop, seconds = asyncio.get_running_loop(), self.settings.connect_timeout_seconds
        too_slow = f"no connection within {seconds:g} s"
        end = loop.time() + seconds
        try:
            async with asyncio.timeout_at(end):
                hosts = await self._look_up()
        except TimeoutError as error:
            raise ConnectionFailedError(too_slow) from error
        except OSError as error:
            raise ConnectionFailedError(f"no connection: {describe_os_error(error)}") from error
        # Addresses are not named: what is told here reaches clients.
        failures: dict[str, ConnectionFailedError] = {}
        for place, host in enumerate(hosts):
            # An address that is silent leaves time for those after it.
            share = (end - loop.time()) / (len(hosts) - place)
            try:
                async with asyncio.timeout(share):
                    return await self._connect_to(host, protocol)
            except TimeoutError:
                failure = ConnectionFailedError(too_slow)
            except ConnectionFailedError as error:
                failure = error
            except OSError as error:
                failure = ConnectionFailedError(f"no connection: {describe_os_error(error)}")
            failures[str(failure)] = failure
        if len(failures) == 1:
            raise failures.popitem()[1]
        raise ConnectionFailedError("; ".join(failures))

    async def _look_up(self) -> list[str]:
        """Return the addresses of the host, in the resolver's order.

        Connections that are opened at the same time share one look-up: each occupies a thread as
        long as the resolver is silent, and there are few.
        """
        settings = self.settings
        if settings.address.is_unix or parse_ip(settings.host) is not None:
            return [settings.host]
        if self._looking_up is None:
            self._looking_up = asyncio.get_running_loop().create_task(_look_up(settings))
            self._looking_up.add_done_callback(self._end_look_up)
        return await asyncio.shield(self._looking_up)

    def _end_look_up(self, task: asyncio.Task[list[str]]) -> None:
        self._looking_up = None
        with suppress(asyncio.CancelledError):
            task.exception()  # nobody may wait for it any longer

    async def _connect_to(
        self, host: str, protocol: Callable[[], UpstreamConnection]
    ) -> UpstreamConnection:
        loop, settings = asyncio.get_running_loop(), self.settings
        tls: dict[str, Any] = {}
        if settings.tls == "implicit":
            tls = {"ssl": self._tls.context, "server_hostname": self._tls_name}
        try:
            if settings.address.is_unix:
                _, connection = await loop.create_unix_connection(protocol, host, **tls)
            else:
                _, connection = await loop.create_connection(protocol, host, settings.port, **tls)
            if tls:
                self._check_peer(connection)
        except ssl.SSLError as error:
            raise TlsFailedError(f"TLS failed: {_describe_tls_error(error)}") from error
        return connection

    async def _greet(self, connection: UpstreamConnection) -> None:
        """Read the greeting; tell a proxy of ours where mail comes from, unless it is a loop."""
        greeting = await connection.read_greeting()
        if greeting.code != _READY:  # RFC 5321 section 4.3.1
            raise ConnectionFailedError(f"it greeted with: {greeting.code} {greeting.text}")
        connection.mark = read_mark(greeting.text)
        self.identity.check(connection.mark, str(self.settings.address))
        if connection.mark is not None:
            # Before EHLO: the upstream asks its own upstream before it answers that.
            commands = list(write_ids(self.identity.ids))
            await connection.exchange(b"".join(commands), len(commands))

    async def _introduce(self, connection: UpstreamConnection) -> None:
        """Say EHLO, then HELO if EHLO is unknown; LMTP has LHLO alone (RFC 2033 section 4.1)."""
        name = self.settings.ehlo_name or _address_literal(connection)
        is_lmtp = self.settings.protocol == "lmtp"
        word = "LHLO" if is_lmtp else "EHLO"
        (reply,) = await connection.exchange(f"{word} {name}\r\n".encode("ascii", "replace"), 1)
        connection.capabilities = Capabilities.parse(reply.text)
        # With 4xx it knows EHLO, but does not serve us now (RFC 5321 section 4.2.1).
        if reply.code >= _PERMANENT and not is_lmtp:
            word = "HELO"
            (reply,) = await connection.exchange(f"HELO {name}\r\n".encode("ascii", "replace"), 1)
            connection.capabilities = Capabilities()
        if not reply.is_positive:
            raise ConnectionFailedError(f"it answered {word} with: {reply.code} {reply.text}")

    async def _start_tls(self, connection: UpstreamConnection, *, is_required: bool) -> None:
        """Encrypt with STARTTLS; what it offered before does not count then (RFC 3207)."""
        why = "it does not offer STARTTLS, which the settings require"
        if connection.capabilities.start_tls:
            (reply,) = await connection.exchange(b"STARTTLS\r\n", 1)
            if reply.code == _READY:
                await self._encrypt(connection)
                await self._introduce(connection)
                return
            why = f"it answered STARTTLS with: {reply.code} {reply.text}"
        if is_required:
            raise TlsFailedError(why)

    async def _encrypt(self, connection: UpstreamConnection) -> None:
        if connection.transport is None or not connection.is_usable:
            raise TlsFailedError("TLS failed: the connection was closed before it began")
        try:
            transport = await asyncio.get_running_loop().start_tls(
                connection.transport,
                connection,
                self._tls.context,
                server_hostname=self._tls_name,
                ssl_handshake_timeout=self.settings.connect_timeout_seconds,
            )
        except BaseException as error:
            connection.abort()  # a QUIT within the handshake would be noise
            if isinstance(error, OSError):
                raise TlsFailedError(f"TLS failed: {_describe_tls_error(error)}") from error
            raise
        if transport is None:
            connection.abort()
            raise TlsFailedError("TLS failed: the connection was closed")
        try:
            connection.use_transport(transport)
        except ConnectionFailedError as error:
            raise TlsFailedError(f"TLS failed: {error}") from error
        self._check_peer(connection)

    @property
    def _tls(self) -> ClientTls:
        if self._ready_tls is None:
            self._ready_tls = _make_tls(self.settings)
        return self._ready_tls

    @property
    def _tls_name(self) -> str:
        """The name that the certificate must have."""
        host = "localhost" if self.settings.address.is_unix else self.settings.host
        return self._tls.server_name or host

    def _check_peer(self, connection: UpstreamConnection) -> None:
        if connection.transport is None:
            raise ConnectionGoneError("the connection was closed")
        try:
            self._tls.check_peer(connection.transport.get_extra_info("ssl_object"))
        except FingerprintError as error:
            connection.abort()
            raise TlsFailedError(f"TLS failed: {_describe_tls_error(error)}") from error

    async def _authenticate(self, connection: UpstreamConnection) -> None:
        try:
            credentials = self._read_credentials()
        except SettingsError as error:
            log.error("upstream.no_password", why=str(error))  # noqa: TRY400 - the file's fault, not ours
            raise ConnectionFailedError("our password for it can't be read") from error
        if credentials is None:
            return
        if self.settings.tls not in _INSISTS and not _is_local(connection):
            raise ConnectionFailedError("the password would travel in plain text")
        user, password = credentials.user, credentials.password
        lines: tuple[str, ...]
        match auth.choose_mechanism(connection.capabilities.auth_mechanisms):
            case "PLAIN":
                lines = _with_initial("AUTH PLAIN", auth.write_plain_response(user, password))
            case "LOGIN":
                lines = ("AUTH LOGIN", *auth.write_login_responses(user, password))
            case _:
                known = " or ".join(auth.MECHANISMS)
                raise ConnectionFailedError(f"it does not offer AUTH {known}")
        for place, line in enumerate(lines, start=1):
            (reply,) = await connection.exchange(f"{line}\r\n".encode("ascii"), 1)
            if reply.code != (_AUTHENTICATED if place == len(lines) else _CHALLENGE):
                self._refused = reply
                self._refused_until = asyncio.get_running_loop().time() + _REFUSED_SECONDS
                raise LoginRefusedError(reply)

    def _read_credentials(self) -> auth.Credentials | None:
        """Read the password for each connection anew: it may have been changed."""
        user, source = self.settings.user, self.settings.password
        if self._credentials is not None or user is None or source is None:
            return self._credentials
        where = f"upstream: password: {source}"
        hint = "write the password, and nothing else, into a file that only its owner can read"
        try:
            password = read_source(source, what="password file", hint=hint).decode()
        except KeyRingError as error:
            raise SettingsError(f"upstream: password: {error}") from error
        except UnicodeDecodeError:  # not chained: its text has what may be the password
            raise SettingsError(f"{where}: is not UTF-8") from None
        password = password.removesuffix("\n").removesuffix("\r")
        if not password or "\0" in password or "\n" in password:
            raise SettingsError(f"{where}: must hold the password alone, on one line")
        return auth.Credentials(user=user, password=password)


def _with_initial(command: str, response: str) -> tuple[str, ...]:
    """Put a response into the command, unless they are too long for one (RFC 4954 section 4)."""
    whole = f"{command} {response}"
    return (whole,) if len(whole) <= _MAX_COMMAND_BYTES else (command, response)


async def _look_up(settings: UpstreamSettings) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(
        settings.host, settings.port, type=socket.SOCK_STREAM
    )
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _make_tls(settings: UpstreamSettings) -> ClientTls:
    """Make what TLS needs; what is opportunistic is not verified (RFC 7435)."""
    return make_client_tls(
        verify=settings.tls_verify and settings.tls != "opportunistic",
        ca_file=settings.tls_ca_file,
        server_name=settings.tls_name,
        fingerprints=settings.tls_fingerprints,
    )


def _is_local(connection: UpstreamConnection) -> bool:
    """Whether the other end is this machine, so that nobody listens in between."""
    transport = connection.transport
    match transport and transport.get_extra_info("peername"):
        case [str(host), _, *_]:
            ip = parse_ip(host)
            return ip is not None and ip.is_loopback
    return transport is not None  # a Unix socket, unless the connection is gone


def _address_literal(connection: UpstreamConnection) -> str:
    """Return our end of a connection as EHLO says it (RFC 5321 section 4.1.3)."""
    transport = connection.transport
    match transport and transport.get_extra_info("sockname"):
        case [str(host), _, *_]:
            host = host.partition("%")[0]  # a scope id follows the %
            return f"[IPv6:{host}]" if ":" in host else f"[{host}]"
    return "localhost"


def _describe_tls_error(error: OSError) -> str:
    match error:
        case ssl.SSLCertVerificationError():
            # What follows the comma is the name, which is not for clients.
            return f"its certificate is not accepted: {error.verify_message.partition(',')[0]}"
        case FingerprintError():
            return "its certificate is none of those that are pinned"
        case ssl.SSLError():
            return (error.reason or "not TLS").replace("_", " ").lower()
        case ConnectionAbortedError():
            return "no handshake in time"
    return describe_os_error(error) or "the connection was closed"
