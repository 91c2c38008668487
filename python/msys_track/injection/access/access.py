"""Who may inject mail, as whom, and how much: asked at each step of a session.

It has no socket, so that the rules can be tested alone. A client is let in by its network or by a
password; whoever is neither is refused, and so is a listener that would let in everybody.
"""

import ssl
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from functools import lru_cache, partial
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakValueDictionary

from msys_track.accounts.limits import Counted
from msys_track.accounts.users import (
    User,
    Users,
    fold_name,
    read_users,
)
from msys_track.errors import SettingsError, UsersError
from msys_track.injection.access.faults import find_faults
from msys_track.injection.access.interfaces import find_networks_around
from msys_track.injection.access.settings import (
    INTERFACE,
    LOOPBACK,
    AccessSettings,
)
from msys_track.injection.access.visitor import (
    Client,
    Limits,
    Tables,
    Visitor,
    find_client,
    find_limit,
)
from msys_track.injection.record import shorten_addresses
from msys_track.injection.settings import ProxySettings, is_loopback
from msys_track.logs import event_logger
from msys_track.metrics import Counters
from msys_track.relay.passthrough import UserUpstreams
from msys_track.settings.addresses import Network
from msys_track.settings.watched import Watched
from msys_track.smtp.address import IpAddress, parse_ip
from msys_track.smtp.reply import Reply
from msys_track.smtp.tls import make_server_context

if TYPE_CHECKING:
    import asyncio

log = event_logger(__name__)

_LOOPBACK: Final = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
_LOOKS_AT_FILES_EVERY_SECONDS: Final = 5
_CLIENTS_REMEMBERED: Final = 4096
_MAX_SHOWN: Final = 100


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
        self._find_client = lru_cache(_CLIENTS_REMEMBERED)(self._judge_client)
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

    def admit(self, peer: IpAddress | None, listen: str) -> Visitor | Reply:
        """Let a client in, or return what it gets in place of a greeting.

        Args:
            peer: The client's address; None if it has none.
            listen: The name of the listening address, for the log.
        """
        visitor = Visitor(self, self._find_client(peer), listen)
        return visitor.enter() or visitor

    def must_send_proxy_header(self, peer: IpAddress | None) -> bool:
        """Whether a connection from this address begins with a PROXY header."""
        return _is_in(peer, self.rules.proxy_protocol_from)

    def may_use_xclient(self, peer: IpAddress | None) -> bool:
        """Whether XCLIENT is believed of the address that a connection itself has."""
        return _is_in(peer, self.rules.xclient_from)

    def show_user(self, name: str) -> str:
        """Write a user's name for the log, where many are mail addresses."""
        shown = name[:_MAX_SHOWN]
        return shown if self._settings.log_addresses else shorten_addresses(shown)

    def list_user_tables(self, user: str) -> Tables:
        """List the tables of a user: one or none."""
        name = fold_name(user)
        table = self._user_tables.get(name)
        return () if table is None else ((("user", name), table),)

    def make_limits(self, tables: Tables) -> Limits:
        """Make the limits of a connection of what its tables say, else of `[proxy]`."""
        settings = self._settings
        sizes, recipients, messages = (
            find_limit(tables, name)
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

    def _judge_client(self, peer: IpAddress | None) -> Client:
        """Find what the rules say of an address; its networks' tables, the most specific first."""
        tables = tuple(
            (("client", network, find_client(peer) if table.each_address else None), table)
            for network, table in self._client_tables
            if _is_in(peer, (network,))
        )
        return Client(
            peer=peer,
            tables=tables,
            limits=self.make_limits(tables),
            is_allowed=self.rules.open_relay or _is_in(peer, self._networks),
        )


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
