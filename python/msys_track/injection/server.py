"""The listener: takes connections, keeps their number in bounds, and ends without losing mail."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any, cast

import structlog

from msys_track.injection.acceptance import Acceptance, Rewriter
from msys_track.injection.counters import Counters
from msys_track.injection.limits import Budget
from msys_track.injection.protocol import Session, Shared
from msys_track.injection.settings import ProxySettings
from msys_track.relay.upstream import Upstream

log = structlog.get_logger(__name__)

_BACKLOG = 1024


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Proxy:
    """A listener that runs; `close` it before the upstream."""

    def __init__(self, shared: Shared, server: asyncio.Server, bound: socket.socket) -> None:
        self._shared = shared
        self._server = server
        self.sockname: tuple[str, int] = bound.getsockname()[:2]

    @property
    def port(self) -> int:
        """The port it listens on, also where 0 was asked for."""
        return self.sockname[1]

    @property
    def counters(self) -> Counters:
        """What happened so far."""
        return self._shared.counters

    @property
    def in_flight_bytes(self) -> int:
        """How much mail is in memory now, as the budget counts it."""
        return self._shared.budget.in_flight_bytes

    async def close(self) -> None:
        """Take no more clients, let messages under way finish, then end every session.

        What is not finished after `drain_seconds` is cut off; its clients have no answer and
        will send it again.
        """
        self._server.close()
        shared = self._shared
        shared.closing.set()
        for session in tuple(shared.sessions):
            session.drain()
        async with _at_most(shared.settings.drain_seconds):
            while under_way := self._under_way():
                await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                await asyncio.sleep(0)  # what ended leaves the sets in its callbacks
        for session in tuple(shared.sessions):
            session.abort()
        for answer in tuple(shared.answers):
            answer.cancel()
        await asyncio.gather(*shared.answers, return_exceptions=True)

    def _under_way(self) -> set[asyncio.Task[Any]]:
        # A session can be over and still be there: its client does not read the last reply.
        tasks = [each.task for each in self._shared.sessions]
        return {*self._shared.answers, *(task for task in tasks if not task.done())}


async def serve(
    settings: ProxySettings,
    rewriter: Rewriter,
    upstream: Upstream,
    *,
    listener: socket.socket | None = None,
    clock: Callable[[], datetime] = _utc_now,
) -> Proxy:
    """Listen on the address of the settings, or on `listener`, a bound socket.

    A name is looked up as IPv4; an IPv6 address is taken as it is.

    Raises:
        OSError: the address can't be bound.
    """
    bound = listener or _bind(settings.listen_host, settings.listen_port)
    loop = asyncio.get_running_loop()
    counters = Counters()
    shared = Shared(
        settings=settings,
        upstream=upstream,
        acceptance=Acceptance(rewriter, upstream, counters),
        budget=Budget(settings.max_bytes_in_flight),
        counters=counters,
        clock=clock,
    )

    server = await loop.create_server(lambda: _Door(shared), sock=bound, backlog=_BACKLOG)
    proxy = Proxy(shared, server, bound)
    log.info("proxy.listening", host=proxy.sockname[0], port=proxy.port)
    return proxy


class _Door(asyncio.Protocol):
    """Lets a client in, or tells it why not.

    Decided when the connection stands: a loop makes the protocols of all that wait at once, when
    none of them is counted yet.
    """

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        stream = cast("asyncio.Transport", transport)
        refusal = self._refusal()
        if refusal is not None:
            self._shared.counters.add("connections.refused")
            stream.write(refusal)
            stream.close()
            return
        session = Session(self._shared, asyncio.get_running_loop())
        stream.set_protocol(session)
        session.connection_made(stream)

    def _refusal(self) -> bytes | None:
        if self._shared.closing.is_set():  # taken in the moment the listener closed
            return b"421 4.3.2 Shutting down\r\n"
        if len(self._shared.sessions) >= self._shared.settings.max_connections:
            return b"421 4.3.2 Too many connections\r\n"
        return None


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=_BACKLOG)


@contextlib.asynccontextmanager
async def _at_most(seconds: float) -> AsyncIterator[None]:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            yield
