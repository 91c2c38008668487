"""What stands between a new connection and its session: a PROXY header, a TLS handshake."""

import asyncio
from dataclasses import replace
from typing import Any, Final, cast

from msys_track.injection.access.handshake import start_tls
from msys_track.injection.access.origin import Origin
from msys_track.injection.session import Session
from msys_track.injection.shared import Shared
from msys_track.logs import event_logger
from msys_track.smtp.proxy_protocol import ProxyHeaderError, read_proxy_header

log = event_logger(__name__)

# A load balancer sends its header with the connection; section 2 of the standard asks for 3 s.
_HEADER_SECONDS: Final = 5
_MAX_SHOWN: Final = 200


class Arrival(asyncio.Protocol):
    """Reads a PROXY header where one must come, then shakes hands where TLS begins at once."""

    def __init__(self, shared: Shared, *, listen: str, is_tls: bool) -> None:
        self._shared = shared
        self._listen = listen
        self._is_tls = is_tls
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._origin: Origin
        self._received = b""
        self._reads_header = False
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for a header, or go on without."""
        shared = self._shared
        self._transport = cast("asyncio.Transport", transport)
        self._origin = Origin.of(transport)
        # A crowd that never finishes its handshakes must not be one without end.
        if shared.is_full:
            shared.counters.add("connections.refused")
            self._transport.abort()
            return
        shared.arrivals.add(self)
        self._reads_header = shared.access.must_send_proxy_header(self._origin.neighbour)
        if self._reads_header:
            why = "no header came in time"
            self._timer = self._loop.call_later(_HEADER_SECONDS, self._refuse, why)
        elif self._is_tls:
            # Later, because uvloop begins to read after this, and can't be stopped before.
            self._loop.call_soon(self._begin_tls, self._origin)
        else:
            self._hand_over(self._transport, self._origin)

    def data_received(self, data: bytes) -> None:
        """Read on, until the header is whole."""
        self._received += data
        if not self._reads_header:
            return
        try:
            header = read_proxy_header(self._received)
        except ProxyHeaderError as error:
            self._refuse(str(error))
            return
        if header is None:
            return
        self._reads_header = False
        self._received = self._received[header.length :]
        origin = replace(
            self._origin,
            client=header.source or self._origin.client,
            is_encrypted=header.is_encrypted,
        )
        if self._is_tls:
            self._begin_tls(origin)
        else:
            self._hand_over(self._transport, origin, self._received)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        """Forget the connection."""
        self._leave()

    def abort(self) -> None:
        """Cut the connection."""
        self._transport.abort()
        self._leave()

    def _begin_tls(self, origin: Origin) -> None:
        if self._transport.is_closing():
            return
        self._transport.pause_reading()
        self._task = self._loop.create_task(self._shake_hands(origin))
        # The first step of the task, which stands in the queue, puts the handshake's protocol on
        # the transport and two calls of its own into the queue. Ours comes behind them.
        if self._received:
            self._loop.call_soon(self._loop.call_soon, self._feed)

    def _feed(self) -> None:
        """Give the handshake what was read before it began."""
        handshake: Any = self._transport.get_protocol()
        rest = self._received
        while rest and not self._transport.is_closing():
            room = handshake.get_buffer(len(rest))
            count = min(len(room), len(rest))
            room[:count] = rest[:count]
            handshake.buffer_updated(count)
            rest = rest[count:]

    async def _shake_hands(self, origin: Origin) -> None:
        started = await start_tls(self._transport, self._shared.access, origin)
        if started is None:
            self._leave()
            return
        inside, early = started
        self._hand_over(inside, replace(origin, is_encrypted=True), early)

    def _hand_over(self, transport: asyncio.Transport, origin: Origin, early: bytes = b"") -> None:
        self._leave()
        session = Session(self._shared, self._loop, listen=self._listen)
        transport.set_protocol(session)
        session.begin(transport, origin)
        if early:
            session.data_received(early)

    def _refuse(self, why: str) -> None:
        self._shared.counters.add("connections.refused")
        log.warning("proxy_header.refused", peer=str(self._origin), why=why[:_MAX_SHOWN])
        self.abort()

    def _leave(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._shared.arrivals.discard(self)
