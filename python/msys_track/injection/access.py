"""Who may inject mail, as whom, and how much: asked at each step of a session.

It has no socket, so that the rules can be tested alone. A client is let in by its network or by a
password; whoever is neither is refused, and so is a listener that would let in everybody.
"""

import asyncio
import ssl
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from ipaddress import IPv6Address, ip_network
from typing import Any, Final, TypeAlias
from weakref import WeakValueDictionary

from msys_track.errors import SettingsError, UpstreamError, UsersError
from msys_track.injection.access_settings import (
    INTERFACE,
    LOOPBACK,
    AccessSettings,
    LimitSettings,
)
from msys_track.injection.faults import find_faults
from msys_track.injection.interfaces import find_networks_around
from msys_track.injection.limits import Counted, Gauge, TokenBucket
from msys_track.injection.settings import ProxySettings, is_loopback
from msys_track.injection.users import (
    Login,
    User,
    Users,
    UsersBusyError,
    fold_name,
    read_login,
    read_users,
)
from msys_track.injection.watched import Watched
from msys_track.logs import event_logger
from msys_track.metrics import Counters
from msys_track.relay.passthrough import Login as UpstreamLogin
from msys_track.relay.passthrough import UserUpstreams
from msys_track.relay.upstream import NextHop
from msys_track.settings.addresses import Network
from msys_track.smtp.address import IpAddress, parse_ip
from msys_track.smtp.reply import Reply
from msys_track.smtp.tls import make_server_context

log = event_logger(__name__)

Tables: TypeAlias = tuple[tuple[Hashable, LimitSettings], ...]
"""What is said of one client, the most specific first; the key is what its numbers count for."""

_LOOPBACK: Final = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
# A provider gives each customer a /64 at least (RFC 6177), all of whose addresses are one client.
_CLIENT_PREFIX_IPV6: Final = 64
_LOOKS_AT_FILES_EVERY_SECONDS: Final = 5
_LONGEST_DELAY_SECONDS: Final = 16
_CLIENTS_REMEMBERED: Final = 4096
_MAX_SHOWN: Final = 100
_PERMANENT: Final = 500  # RFC 5321 section 4.2.1
_MAX_CHECKING: Final = 100  # each is a connection to the upstream

_TOO_MANY: Final = {
    "connections": "Too many connections; try again later",
    "connection_rate": "Too many connections in a minute; try again later",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one client may send."""

    max_message_bytes: int
    max_recipients: int
    max_messages: int | None
    """On this connection; None: no limit."""


class Access:
    """The rules of one proxy, and what they count; each worker has its own."""

    def __init__(
        self,
        settings: ProxySettings,
        counters: Counters,
        clock: Callable[[], float] = time.monotonic,
        passthrough: UserUpstreams | None = None,
    ) -> None:
        """Read the files.

        Args:
            settings: The rules, and the limits that they leave open.
            counters: Count what is refused, and why.
            clock: Gives seconds that never go back.
            passthrough: Checks users where the upstream does that.

        Raises:
            SettingsError: a file can't be used, or a listener would let in anybody.
            UsersError: the file of users can't be used.
        """
        for fault in find_faults(settings):
            raise SettingsError(f"proxy: {fault.key}: {fault.text}")
        listens = (*settings.listens, *settings.access.listen_tls)
        reached = [str(each) for each in listens if not is_loopback(each.host)]
        if settings.access.open_relay and reached:
            log.warning("proxy.open_relay", addresses=reached)
        self.rules = rules = settings.access
        self.counters = counters
        self.counted = Counted()
        self.gates: WeakValueDictionary[Hashable, asyncio.Lock] = WeakValueDictionary()
        """Held by the client that is being checked."""
        self.checking = 0  # logins that the upstream is asked about
        self.clock = clock
        self.passthrough = passthrough
        self._settings = settings
        self._networks = tuple(_list_networks(settings))
        self._client_tables = sorted(
            rules.clients.items(), key=lambda item: item[0].prefixlen, reverse=True
        )
        self._user_tables = {fold_name(name): table for name, table in rules.users.items()}
        self._find_tables = lru_cache(_CLIENTS_REMEMBERED)(self._list_tables)
        self._certificate = _watch_certificate(rules)
        self._user_file = _watch_users(rules)
        self._users = Users(self._user_file.value if self._user_file else ())
        self._next_look = clock() + _LOOKS_AT_FILES_EVERY_SECONDS

    @property
    def tls(self) -> ssl.SSLContext | None:
        """The context for the next handshake; None if there is no certificate."""
        self._look_at_files()
        return self._certificate.value if self._certificate else None

    @property
    def has_tls(self) -> bool:
        """Whether there is a certificate."""
        return self._certificate is not None

    @property
    def users(self) -> Users:
        """The users as their file has them now."""
        self._look_at_files()
        return self._users

    def admit(self, peer: IpAddress | None, listen: str) -> "Visitor | Reply":
        """Let a client in, or return what it gets in place of a greeting.

        Args:
            peer: The client's address; None if it has none.
            listen: The name of the listening address, for the log.
        """
        visitor = Visitor(self, peer, listen, self._find_tables(peer))
        return visitor.enter() or visitor

    def is_allowed(self, peer: IpAddress | None) -> bool:
        """Whether a client may send without AUTH."""
        return self.rules.open_relay or _is_in(peer, self._networks)

    def must_send_proxy_header(self, peer: IpAddress | None) -> bool:
        """Whether a connection from this address begins with a PROXY header."""
        return _is_in(peer, self.rules.proxy_protocol_from)

    def may_use_xclient(self, peer: IpAddress | None) -> bool:
        """Whether XCLIENT is believed of the address that a connection itself has."""
        return _is_in(peer, self.rules.xclient_from)

    def list_user_tables(self, user: str) -> Tables:
        """List the tables of a user: one or none."""
        name = fold_name(user)
        table = self._user_tables.get(name)
        return () if table is None else ((("user", name), table),)

    def make_limits(self, tables: Tables) -> Limits:
        """Make the limits of a connection of what its tables say, else of `[proxy]`."""
        settings = self._settings
        sizes, recipients, messages = (
            _find_limit(tables, name)
            for name in ("max_message_bytes", "max_recipients", "max_messages")
        )
        return Limits(
            max_message_bytes=sizes[1] if sizes else settings.max_message_bytes,
            max_recipients=recipients[1] if recipients else settings.max_recipients,
            max_messages=messages[1] if messages else None,
        )

    def reload(self) -> None:
        """Read certificate and users again; what can't be used is logged and changes nothing."""
        self._reload(Watched.reload)

    def close(self) -> None:
        """Check no password any more."""
        self._users.close()

    def _look_at_files(self) -> None:
        now = self.clock()
        if now >= self._next_look:
            self._next_look = now + _LOOKS_AT_FILES_EVERY_SECONDS
            self._reload(Watched.reload_if_changed)

    def _reload(self, reload: Callable[[Watched[Any]], bool | None]) -> None:
        all_watched: tuple[Watched[Any] | None, ...] = (self._certificate, self._user_file)
        for watched in all_watched:
            if watched is None:
                continue
            file = str(watched.files[0])
            try:
                is_new = reload(watched) is not False
            except (SettingsError, UsersError) as error:
                log.error("file.not_reloaded", file=file, why=str(error))  # noqa: TRY400 - not ours
                continue
            if is_new:
                log.info("file.reloaded", file=file)
            if is_new and watched is self._user_file:
                self._users.replace(watched.value)

    def _list_tables(self, peer: IpAddress | None) -> Tables:
        """List the tables of the networks around an address, the most specific first."""
        return tuple(
            (("client", network, _find_client(peer) if table.each_address else None), table)
            for network, table in self._client_tables
            if _is_in(peer, (network,))
        )


class Visitor:
    """One connection, and what its client may do.

    A reply with the code 421 ends the session.

    Attributes:
        peer: The client's address, perhaps as a trusted peer gave it.
        limits: What the client may send; a login may change them.
        login: Who authenticated; None if nobody did.
        is_encrypted: Whether the client speaks TLS, with us or with a trusted load balancer.
    """

    __slots__ = (
        "_access", "_failures", "_gauges", "_is_allowed", "_listen", "_message_rates", "_messages",
        "_recipient_rates", "_relayed", "_tables", "is_encrypted", "limits", "login", "peer",
    )  # fmt: skip

    def __init__(
        self, access: Access, peer: IpAddress | None, listen: str, tables: Tables
    ) -> None:
        self.peer = peer
        self._listen = listen
        self.limits = access.make_limits(tables)
        self._is_allowed = access.is_allowed(peer)
        self.login: Login | None = None
        self.is_encrypted = False
        self._access = access
        self._tables = tables
        self._failures = 0
        self._messages = 0
        self._relayed: UpstreamLogin | None = None
        self._gauges: list[Gauge] = []
        self._message_rates: list[TokenBucket] = []
        self._recipient_rates: list[TokenBucket] = []

    def enter(self) -> Reply | None:
        """Count the connection; a reply if the client has too many."""
        why = self._find_excess(self._tables)
        if why is not None:
            return self._refuse(421, f"4.7.0 {_TOO_MANY[why]}", why)
        self._join(self._tables)
        return None

    @property
    def may_authenticate(self) -> bool:
        """Whether AUTH is offered now: there are users, and TLS protects the password."""
        return self.is_encrypted and self._access.rules.offers_auth and self.login is None

    async def check_password(self, user: str, password: str) -> Login | Reply:
        """Return who logs in, or a reply that comes late, to slow guessing.

        A subaccount may stand behind the name, see `Users.check`. `log_in` lets the user in.
        """
        access, client = self._access, _find_client(self.peer)
        # One at a time from one address: no guess runs ahead of the count of those before it.
        async with access.gates.setdefault(client, asyncio.Lock()):
            answer = await self._check_counted(client, user, password)
        if isinstance(answer, Login) or answer.code < _PERMANENT:
            return answer
        self._failures += 1
        log.warning("auth.failed", client=str(self.peer), user=user[:_MAX_SHOWN])
        seconds = access.rules.auth_failure_delay_seconds * 2 ** (self._failures - 1)
        await asyncio.sleep(min(seconds, _LONGEST_DELAY_SECONDS))
        if self._failures >= access.rules.max_auth_failures:
            return self._refuse(421, "4.7.0 Too many failed logins; goodbye", "auth_failed")
        return self._refuse(answer.code, answer.text, "auth_failed")

    async def _check_counted(self, client: Hashable, user: str, password: str) -> Login | Reply:
        """Check a pair, and count it if it is wrong: a reply of 5xx."""
        access, most = self._access, self._access.rules.auth_failures_per_minute
        failures = access.counted.find_bucket(("auth", client), most, access.clock())
        checker = access.passthrough or access.users
        # Others behind the same address may have the right password.
        is_locked = not failures.has_token(access.clock())
        if is_locked and not checker.is_verified(user, password):
            text = "4.7.0 Too many failed logins from this address; try again later"
            return self._refuse(454, text, "auth_locked")
        try:
            login = await self._check(user, password)
        except UsersBusyError:
            text = "4.7.0 Too many logins at one time; try again later"
            return self._refuse(454, text, "auth_busy")
        except UpstreamError as error:
            if error.code < _PERMANENT:
                return self._refuse(error.code, error.text, "auth_upstream")
            wrong = Reply(error.code, error.text)
        else:
            if login is not None:
                return login
            wrong = Reply(535, "5.7.8 Authentication credentials invalid")
        failures.take(access.clock())
        return wrong

    async def _check(self, user: str, password: str) -> Login | None:
        """Ask the file of users, or the upstream."""
        access = self._access
        if access.passthrough is None:
            return await access.users.check(user, password)
        if access.checking >= _MAX_CHECKING:
            raise UsersBusyError
        access.checking += 1
        try:
            relayed = await access.passthrough.log_in(user, password)
        finally:
            access.checking -= 1
        self._leave_upstream()
        self._relayed = relayed
        return read_login(user)

    @property
    def next_hop(self) -> NextHop | None:
        """Relays as the user who logged in; None: as everybody."""
        return self._relayed.next_hop if self._relayed and self.login else None

    def _leave_upstream(self) -> None:
        if self._relayed is not None and self._access.passthrough is not None:
            self._access.passthrough.leave(self._relayed)
        self._relayed = None

    def log_in(self, login: Login, approve: Callable[[], Reply | None]) -> Reply | None:
        """Let a user in, whose password was right or whom a trusted peer names; a reply if not.

        Args:
            login: Who it is.
            approve: Is called if there is room for the user; its reply refuses.
        """
        tables = self._access.list_user_tables(login.user)
        why = self._find_excess(tables)
        if why is not None:
            return self._refuse(454, f"4.7.0 {_TOO_MANY[why]}", f"user_{why}")
        refusal = approve()
        if refusal is not None:
            return refusal
        self._join(tables)
        self.login = login
        self.limits = self._access.make_limits((*tables, *self._tables))
        self._access.counters.add("access.logged_in")
        log.info(
            "client.logged_in",
            client=str(self.peer),
            user=login.user,
            subaccount_id=login.subaccount_id,
            workspace_id=login.workspace_id,
        )
        return None

    def check_sender(self) -> Reply | None:
        """Answer MAIL: None if this client may send a message now."""
        access, most = self._access, self.limits.max_messages
        is_known = self._is_allowed or self.login is not None
        if not self.is_encrypted and (
            access.rules.tls_required or (access.rules.offers_auth and not is_known)
        ):
            text = "5.7.0 Must issue a STARTTLS command first"
            return self._refuse(530, text, "tls_required")
        if not is_known and access.rules.offers_auth:
            return self._refuse(530, "5.7.0 Authentication required", "auth_required")
        if not is_known:
            text = "5.7.1 Relaying denied: this client may not send mail here"
            return self._refuse(550, text, "relay")
        if most is not None and self._messages >= most:
            text = f"4.7.0 {most} messages on one connection are enough; please connect again"
            return self._refuse(421, text, "messages")
        if not self._take(self._message_rates):
            text = "4.7.1 Too many messages in a minute; try again later"
            return self._refuse(451, text, "message_rate")
        self._messages += 1
        return None

    def count_recipient(self) -> Reply | None:
        """Answer RCPT: None if this client may name a recipient now."""
        if self._take(self._recipient_rates):
            return None
        # Not 452 4.5.3, after which clients send to the others at once.
        text = "4.7.1 Too many recipients in a minute; try again later"
        return self._refuse(451, text, "recipient_rate")

    def leave(self) -> None:
        """Count the connection no more; a second call changes nothing."""
        for gauge in self._gauges:
            gauge.give_back()
        self._gauges.clear()
        self._leave_upstream()

    def _find_excess(self, tables: Tables) -> str | None:
        """Say what one more connection would be too much of; None: there is room for it."""
        counted, now = self._access.counted, self._access.clock()
        connections = _find_limit(tables, "max_connections")
        if connections is not None and counted.find_gauge(*connections).is_full:
            return "connections"
        rate = _find_limit(tables, "connections_per_minute")
        if rate is not None and not counted.find_bucket(*rate, now).has_token(now):
            return "connection_rate"
        return None

    def _join(self, tables: Tables) -> None:
        """Count the connection by some tables, and note their rates."""
        counted, now = self._access.counted, self._access.clock()
        if connections := _find_limit(tables, "max_connections"):
            gauge = counted.find_gauge(*connections)
            gauge.take()
            self._gauges.append(gauge)
        if rate := _find_limit(tables, "connections_per_minute"):
            counted.find_bucket(*rate, now).take(now)
        if rate := _find_limit(tables, "messages_per_minute"):
            self._message_rates.append(counted.find_bucket(*rate, now))
        if rate := _find_limit(tables, "recipients_per_minute"):
            self._recipient_rates.append(counted.find_bucket(*rate, now))

    def _take(self, buckets: Sequence[TokenBucket]) -> bool:
        """Take a token of every bucket or of none."""
        now = self._access.clock()
        if not all(each.has_token(now) for each in buckets):
            return False
        for each in buckets:
            each.take(now)
        return True

    def _refuse(self, code: int, text: str, why: str) -> Reply:
        self._access.counters.add(f"access.refused.{why}")
        log.info(
            "client.refused",
            client=str(self.peer),
            listen=self._listen,
            user=self.login.user if self.login else None,
            why=why,
            code=code,
            text=text,
        )
        return Reply(code, text)


def _list_networks(settings: ProxySettings) -> Iterator[Network]:
    for name in settings.access.networks:
        if name == LOOPBACK:
            yield from _LOOPBACK
        elif name == INTERFACE:
            for address in (*settings.listens, *settings.access.listen_tls):
                if (ip := parse_ip(address.host)) is not None:
                    yield from find_networks_around(ip)
        else:
            yield name


def _watch_certificate(rules: AccessSettings) -> Watched[ssl.SSLContext] | None:
    if rules.tls_certificate is None:
        return None
    files = tuple(filter(None, (rules.tls_certificate, rules.tls_key)))
    return Watched(files, partial(make_server_context, *files))


def _watch_users(rules: AccessSettings) -> Watched[Sequence[User]] | None:
    if rules.auth_users is None:
        return None
    return Watched((rules.auth_users,), partial(read_users, rules.auth_users))


def _is_in(peer: IpAddress | None, networks: Iterable[Network]) -> bool:
    return peer is not None and any(peer in network for network in networks)


def _find_client(peer: IpAddress | None) -> Hashable:
    """Return what is one client: an address of IPv4, a /64 of IPv6."""
    if isinstance(peer, IPv6Address):
        return int(peer) >> (128 - _CLIENT_PREFIX_IPV6), 6
    return peer


def _find_limit(tables: Tables, name: str) -> tuple[Hashable, int] | None:
    """Find the first table that sets a limit: what it counts for, and the limit."""
    for key, table in tables:
        limit: int | None = getattr(table, name)
        if limit is not None:
            return (name, key), limit
    return None
