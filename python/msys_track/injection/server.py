"""The listener: takes connections, limits their number, and ends without losing mail."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Final

from msys_track.dispatch.dispatcher import Dispatcher
from msys_track.injection.acceptance import Acceptance, Keeper
from msys_track.injection.access import Access
from msys_track.injection.budget import Budget
from msys_track.injection.session import Session, Shared
from msys_track.injection.settings import ProxySettings
from msys_track.logs import event_logger
from msys_track.metrics import Counters
from msys_track.relay.upstream import NextHop
from msys_track.smtp.address import Address

log = event_logger(__name__)

_BACKLOG = 1024
_LONGEST_SWEEP_SECONDS: Final = 1.0


class Proxy:
    """A running listener; `close` it before the upstream.

    Attributes:
        socknames: The addresses that it listens on, in the order of the settings.
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

    def use(self, rewriter: Dispatcher) -> None:
        """Copy messages with another rewriter from now on; sessions keep their variables."""
        self._shared.acceptance.rewriter = rewriter

    @property
    def in_flight_bytes(self) -> int:
        """The bytes of mail in memory now, as the budget counts them."""
        return self._shared.budget.in_flight_bytes

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
        for server in self._servers:
            server.close()
        shared = self._shared
        shared.closing.set()
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
    listener: socket.socket | None = None,
    counters: Counters | None = None,
    spool: Keeper | None = None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Proxy:
    """Listen on the addresses of the settings; on `listener`, a bound socket, for the first.

    What the upstream takes in part goes to `spool`, if there is one.

    A name is looked up as IPv4; an IPv6 address is taken as it is.

    Raises:
        OSError: an address can't be bound; then none is.
        SettingsError: a certificate can't be used, or anybody could send.
        UsersError: the file of users can't be used.
    """
    counters = counters or Counters()
    access = Access(settings, counters)
    bound = _bind_addresses(settings.listens, listener)
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
        ),
        budget=Budget(settings.max_bytes_in_flight),
        counters=counters,
        clock=clock,
        keeps_always=spool is not None and spool.keeps_always,
    )

    servers = []
    for bind_host, each in bound.items():
        session = partial(Session, shared, loop, listen=str(bind_host))
        servers.append(await loop.create_server(session, sock=each, backlog=_BACKLOG))
    proxy = Proxy(shared, servers, list(bound.values()))
    for sockname in proxy.socknames:
        log.info("proxy.listening", host=sockname.host, port=sockname.port)
    return proxy


def _bind_addresses(
    addresses: Sequence[Address], first: socket.socket | None
) -> dict[Address, socket.socket]:
    """Bind every address or none."""
    bound: dict[Address, socket.socket] = {}
    try:
        for address in addresses:
            if first is not None and not bound:
                bound[address] = first
            else:
                family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
                bound[address] = socket.create_server(address, family=family, backlog=_BACKLOG)
    except OSError:
        for each in bound.values():
            each.close()
        raise
    return bound
