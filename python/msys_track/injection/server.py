"""The listener: takes connections, limits their number, and ends without losing mail."""

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

from msys_track.dispatch.dispatcher import Dispatcher
from msys_track.extras import needed_extra
from msys_track.injection.acceptance import Acceptance
from msys_track.injection.access.access import Access
from msys_track.injection.arrival import Arrival
from msys_track.injection.budget import Budget
from msys_track.injection.keeper import MailKeeper
from msys_track.injection.message_events import MessageEvents
from msys_track.injection.session import Session
from msys_track.injection.settings import ProxySettings
from msys_track.injection.shared import Shared
from msys_track.logs import event_logger
from msys_track.metrics import Counters
from msys_track.relay.passthrough import UserUpstreams
from msys_track.relay.upstream import NextHop
from msys_track.smtp.address import Address
from msys_track.spool.spool import Spool

log = event_logger(__name__)

_BACKLOG = 1024
_LONGEST_SWEEP_SECONDS: Final = 1.0
_SESSIONS_END_SECONDS: Final = 0.1


class Proxy:
    """A running listener; `close` it before the upstream.

    Attributes:
        socknames: The addresses that it listens on, in the order of the settings, `listen_tls`
            last.
        counters: What happened so far.
    """

    def __init__(
        self, shared: Shared, servers: Sequence[asyncio.Server], bound: Sequence[socket.socket]
    ) -> None:
        self.counters = shared.counters
        self._shared = shared
        self._servers = servers
        self.socknames: tuple[Address, ...] = tuple(
            Address(*each.getsockname()[:2]) for each in bound
        )
        self._loop = asyncio.get_running_loop()
        self._sweep()

    @property
    def sockname(self) -> Address:
        """The first address that it listens on."""
        return self.socknames[0]

    @property
    def port(self) -> int:
        """The port it listens on, also if the settings say 0."""
        return self.sockname[1]

    def reload_access(self) -> None:
        """Read certificate and users again; what can't be used is logged and changes nothing."""
        self._shared.access.reload()

    def use(self, rewriter: Dispatcher) -> None:
        """Copy messages with another rewriter from now on; sessions keep their variables."""
        self._shared.acceptance.rewriter = rewriter

    @property
    def in_flight_bytes(self) -> int:
        """The bytes of mail in memory now, as the budget counts them."""
        return self._shared.budget.in_flight_bytes

    @property
    def has_sessions(self) -> bool:
        """Whether there are clients."""
        return bool(self._shared.sessions or self._shared.answers or self.arrivals)

    @property
    def arrivals(self) -> int:
        """How many connections wait for a PROXY header or for the end of their TLS handshake."""
        return len(self._shared.arrivals)

    @property
    def session_count(self) -> int:
        """How many clients there are."""
        return len(self._shared.sessions)

    async def retire(self, patience_seconds: float) -> None:
        """Take no more clients; let those that are there go on until they leave."""
        self._stop_listening()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_seconds):
                # A client that was just taken has a session in the loop's next turns only.
                await asyncio.sleep(_SESSIONS_END_SECONDS)
                while self.has_sessions:  # noqa: ASYNC110 - it is no event for anybody else
                    await asyncio.sleep(_SESSIONS_END_SECONDS)

    def _stop_listening(self) -> None:
        for server in self._servers:
            server.close()

    def _sweep(self) -> None:
        """Look for silent clients: one timer for all sessions."""
        now, settings = self._loop.time(), self._shared.settings
        for session in tuple(self._shared.sessions):
            session.check_time(now)
        shortest = min(settings.idle_timeout_seconds, settings.message_timeout_seconds)
        pause = min(shortest / 4, _LONGEST_SWEEP_SECONDS)
        self._sweeper = self._loop.call_later(pause, self._sweep)

    async def close(self) -> None:
        """Take no more clients, let messages under way finish, then end every session.

        It cuts off what is not finished after `drain_seconds`; those clients will send again.
        """
        self._stop_listening()
        shared = self._shared
        shared.closing.set()
        for arrival in tuple(shared.arrivals):
            arrival.abort()
        for session in tuple(shared.sessions):
            session.drain()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(shared.settings.drain_seconds):
                await asyncio.gather(*(each.wait_for_message() for each in shared.sessions))
                while shared.answers:
                    await asyncio.wait(shared.answers)
                    await asyncio.sleep(0)  # what ended leaves the set in its callback
        self._sweeper.cancel()
        for session in tuple(shared.sessions):
            session.abort()
        for answer in tuple(shared.answers):
            answer.cancel()
        await asyncio.gather(*shared.answers, return_exceptions=True)
        shared.access.close()
        log.info("proxy.closed", **shared.counters.snapshot())


async def serve(  # noqa: PLR0913 - the parts of one server
    settings: ProxySettings,
    rewriter: Dispatcher,
    upstream: NextHop,
    *,
    listeners: Mapping[Address, Sequence[socket.socket]] | None = None,
    counters: Counters | None = None,
    spool: Spool | None = None,
    passthrough: UserUpstreams | None = None,
    events: MessageEvents | None = None,
    keeper: MailKeeper | None = None,
    clock: Callable[[], float] = time.time,
) -> Proxy:
    """Listen on the addresses of the settings; where `listeners` has sockets for one, on these.

    What the upstream takes in part goes to `spool`, if there is one. `passthrough` logs users in
    where the settings say that the upstream checks them. `events` writes those of the
    mail itself, `keeper` keeps mail for click maps.

    A name is looked up as IPv4; an IPv6 address is taken as it is.

    Raises:
        OSError: an address can't be bound; then none is.
        SettingsError: a certificate can't be used, or anybody could send.
        UsersError: the file of users can't be used.
    """
    counters = counters or Counters()
    access = Access(settings, counters, passthrough=passthrough)
    bound = _bind_addresses(settings.all_listens, listeners or {})
    loop = asyncio.get_running_loop()
    shared = Shared(
        settings=settings,
        access=access,
        upstream=upstream,
        acceptance=Acceptance(
            rewriter,
            upstream,
            counters,
            spool=spool,
            copies_at_once=settings.copies_at_once,
            shows_addresses=settings.log_addresses,
            received_by=settings.hostname if settings.received_header else None,
            events=events,
            keeper=keeper,
        ),
        budget=Budget(settings.max_bytes_in_flight),
        counters=counters,
        clock=clock,
        keeps_always=spool is not None and spool.keeps_always,
    )

    front = _find_front(settings)
    servers = []
    for number, (address, sockets) in enumerate(bound):
        listen, is_tls = str(address), number >= len(settings.listens)
        door: Callable[[], asyncio.BaseProtocol] = partial(front, shared, loop, listen=listen)
        if is_tls or settings.access.proxy_protocol_from:
            door = partial(Arrival, shared, listen=listen, is_tls=is_tls)
        for each in sockets:
            servers.append(await loop.create_server(door, sock=each, backlog=_BACKLOG))  # noqa: PERF401 - one after the other
    proxy = Proxy(shared, servers, [sockets[0] for _, sockets in bound])
    for sockname in proxy.socknames:
        log.info("proxy.listening", host=sockname.host, port=sockname.port)
    return proxy


def _find_front(settings: ProxySettings) -> Callable[..., asyncio.BaseProtocol]:
    if settings.front != "aiosmtpd":
        return Session
    with needed_extra("proxy", 'front = "aiosmtpd"'):
        from msys_track.injection.aiosmtpd_front import ReferenceDoor  # noqa: PLC0415
    return ReferenceDoor


def _bind_addresses(
    addresses: Sequence[Address], given: Mapping[Address, Sequence[socket.socket]]
) -> list[tuple[Address, Sequence[socket.socket]]]:
    """Bind every address that has no socket yet, or none."""
    bound: list[tuple[Address, Sequence[socket.socket]]] = []
    made: list[socket.socket] = []
    try:
        for address in addresses:
            if address in given:
                bound.append((address, given[address]))
                continue
            family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
            made.append(socket.create_server(address, family=family, backlog=_BACKLOG))
            bound.append((address, made[-1:]))
    except OSError:
        for each in made:
            each.close()
        raise
    return bound
