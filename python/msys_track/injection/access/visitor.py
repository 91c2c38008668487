"""One client of the proxy, and what it may do: asked by its session at each step."""

import asyncio
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from msys_track.accounts.limits import Gauge, TokenBucket
from msys_track.accounts.users import Login, UsersBusyError, read_login
from msys_track.errors import UpstreamError
from msys_track.injection.access.settings import LimitSettings
from msys_track.logs import event_logger
from msys_track.relay.upstream import NextHop
from msys_track.smtp.address import IpAddress
from msys_track.smtp.reply import Reply

if TYPE_CHECKING:
    from msys_track.injection.access.access import Access
    from msys_track.relay.passthrough import Login as UpstreamLogin

log = event_logger(__name__)

Tables: TypeAlias = tuple[tuple[Hashable, LimitSettings], ...]
"""What is said of one client, the most specific first; the key is what its numbers count for."""

# A provider gives each customer a /64 at least (RFC 6177), all of whose addresses are one client.
_CLIENT_PREFIX_IPV6: Final = 64
_LONGEST_DELAY_SECONDS: Final = 16
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


class Client(NamedTuple):
    """What the rules say of one address."""

    peer: IpAddress | None
    tables: Tables
    limits: Limits
    is_allowed: bool
    """Whether it may send without AUTH."""


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

    def __init__(self, access: "Access", client: Client, listen: str) -> None:
        self.peer = client.peer
        self.limits = client.limits
        self._is_allowed = client.is_allowed
        self._listen = listen
        self.login: Login | None = None
        self.is_encrypted = False
        self._access = access
        self._tables = client.tables
        self._failures = 0
        self._messages = 0
        self._relayed: UpstreamLogin | None = None
        self._gauges: list[Gauge] = []
        self._message_rates: list[TokenBucket] = []
        self._recipient_rates: list[TokenBucket] = []

    def enter(self) -> Reply | None:
        """Count the connection; a reply if the client has too many."""
        if not self._tables:
            return None
        why = self._find_excess(self._tables)
        if why is not None:
            return self._refuse(421, f"4.7.0 {_TOO_MANY[why]}", why)
        self._join(self._tables)
        return None

    @property
    def can_relay(self) -> bool:
        """Whether the client may send to any recipient: by its network, or since it logged in."""
        return self._is_allowed or self.login is not None

    @property
    def may_authenticate(self) -> bool:
        """Whether AUTH is offered now: there are users, and TLS protects the password."""
        return self.is_encrypted and self._access.rules.offers_auth and self.login is None

    async def check_password(self, user: str, password: str) -> Login | Reply:
        """Return who logs in, or a reply that comes late, to slow guessing.

        A subaccount may stand behind the name, see `Users.check`. `log_in` lets the user in.
        """
        access, client = self._access, find_client(self.peer)
        # One at a time from one address: no guess runs ahead of the count of those before it.
        async with access.gates.setdefault(client, asyncio.Lock()):
            answer = await self._check_counted(client, user, password)
        if isinstance(answer, Login) or answer.code < _PERMANENT:
            return answer
        self._failures += 1
        log.warning("auth.failed", client=str(self.peer), user=access.show_user(user))
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
            user=self._access.show_user(login.user),
            subaccount_id=login.subaccount_id,
            workspace_id=login.workspace_id,
        )
        return None

    def check_sender(self) -> Reply | None:
        """Answer MAIL: None if this client may send a message now."""
        rules, most = self._access.rules, self.limits.max_messages
        is_known = self.can_relay
        if not self.is_encrypted and (rules.tls_required or (not is_known and rules.offers_auth)):
            text = "5.7.0 Must issue a STARTTLS command first"
            return self._refuse(530, text, "tls_required")
        if not is_known and rules.offers_auth:
            return self._refuse(530, "5.7.0 Authentication required", "auth_required")
        if not is_known:
            text = "5.7.1 Relaying denied: this client may not send mail here"
            return self._refuse(550, text, "relay")
        if most is not None and self._messages >= most:
            text = f"4.7.0 {most} messages on one connection are enough; please connect again"
            return self._refuse(421, text, "messages")
        if self._message_rates and not self._take(self._message_rates):
            text = "4.7.1 Too many messages in a minute; try again later"
            return self._refuse(451, text, "message_rate")
        self._messages += 1
        return None

    def count_recipient(self) -> Reply | None:
        """Answer RCPT: None if this client may name a recipient now."""
        if not self._recipient_rates or self._take(self._recipient_rates):
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
        connections = find_limit(tables, "max_connections")
        if connections is not None and counted.find_gauge(*connections).is_full:
            return "connections"
        rate = find_limit(tables, "connections_per_minute")
        if rate is not None and not counted.find_bucket(*rate, now).has_token(now):
            return "connection_rate"
        return None

    def _join(self, tables: Tables) -> None:
        """Count the connection by some tables, and note their rates."""
        counted, now = self._access.counted, self._access.clock()
        if connections := find_limit(tables, "max_connections"):
            gauge = counted.find_gauge(*connections)
            gauge.take()
            self._gauges.append(gauge)
        if rate := find_limit(tables, "connections_per_minute"):
            counted.find_bucket(*rate, now).take(now)
        if rate := find_limit(tables, "messages_per_minute"):
            self._message_rates.append(counted.find_bucket(*rate, now))
        if rate := find_limit(tables, "recipients_per_minute"):
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
            user=self._access.show_user(self.login.user) if self.login else None,
            why=why,
            code=code,
            text=text,
        )
        return Reply(code, text)


def find_client(peer: IpAddress | None) -> Hashable:
    """Return what is one client: an address of IPv4, a /64 of IPv6."""
    if isinstance(peer, IPv6Address):
        return int(peer) >> (128 - _CLIENT_PREFIX_IPV6), 6
    return peer


def find_limit(tables: Tables, name: str) -> tuple[Hashable, int] | None:
    """Find the first table that sets a limit: what it counts for, and the limit."""
    for key, table in tables:
        limit: int | None = getattr(table, name)
        if limit is not None:
            return (name, key), limit
    return None
