"""What stands between a new connection and its first request: a PROXY header, a TLS handshake."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Final

from msys_track.logs import event_logger
from msys_track.metrics import Counters
from msys_track.settings.addresses import Network
from msys_track.smtp.address import parse_ip
from msys_track.smtp.proxy_protocol import (
    MAX_BYTES,
    ProxyHeader,
    ProxyHeaderError,
    read_proxy_header,
)
from msys_track.tracking.crowd import Crowd, Member

log = event_logger(__name__)

# A front sends its header with the connection; section 2 of the standard asks for 3 s.
_HEADER_SECONDS: Final = 5
_HANDSHAKE_SECONDS: Final = 10
_SHUTDOWN_SECONDS: Final = 5
_PAUSE_SECONDS: Final = 0.1
_LOGS_EVERY_SECONDS: Final = 10.0
_MAX_SHOWN: Final = 200


class Door:
    """Accepts the connections of one socket that do not begin with a request.

    Args:
        listener: A listening socket.
        crowd: Limits how many there are, from the first moment on.
        counters: Count `tls_failed` and `proxy_headers_refused`.
        context: For TLS; None: there is none.
        fronts: Networks whose connections must begin with a PROXY header.
        make: Makes the protocol of a connection: of what arrived, and the client's address.
    """

    def __init__(  # noqa: PLR0913 - what a connection may begin with
        self,
        listener: socket.socket,
        crowd: Crowd,
        counters: Counters,
        *,
        context: ssl.SSLContext | None,
        fronts: tuple[Network, ...],
        make: Callable[[Member, str | None], asyncio.Protocol],
    ) -> None:
        self._listener = listener
        self._crowd = crowd
        self._counters = counters
        self._context = context
        self._fronts = fronts
        self._make = make
        self._loop = asyncio.get_running_loop()
        self._logs_at = 0.0
        self._arrivals: set[asyncio.Task[None]] = set()
        listener.setblocking(False)  # noqa: FBT003 - the standard library's
        self._accepting = self._loop.create_task(self._accept(), name="tracker-door")

    def close(self) -> None:
        """Accept no more; what has arrived goes on."""
        self._accepting.cancel()
        self._accepting.add_done_callback(lambda _: self._listener.close())

    async def abort(self) -> None:
        """End those that are still without a request."""
        self.close()
        tasks = [self._accepting, *self._arrivals]
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _accept(self) -> None:
        while True:
            try:
                client, address = await self._loop.sock_accept(self._listener)
            except OSError as error:  # no files are left, or the client has gone
                self._log("tracker.not_accepted", why=str(error))
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            host = address[0] if address else None
            arrival = _Arrival(self._loop.time())
            if not self._crowd.admit(arrival, host if self._reads_no_header(host) else None):
                client.close()
                continue
            task = self._loop.create_task(self._receive(client, host, arrival))
            arrival.task = task
            self._arrivals.add(task)
            task.add_done_callback(self._arrivals.discard)

    def _reads_no_header(self, host: str | None) -> bool:
        ip = None if host is None else parse_ip(host)
        return ip is None or not any(ip in network for network in self._fronts)

    async def _receive(self, client: socket.socket, host: str | None, arrival: "_Arrival") -> None:
        is_handed_over = False
        try:
            if not self._reads_no_header(host):
                source = await self._read_source(client)
                if source is not None:
                    host = source
                    self._crowd.remove(arrival)
                    if not self._crowd.admit(arrival, host):
                        return
            is_handed_over = await self._hand_over(client, host, arrival)
        except ProxyHeaderError as error:
            self._counters.add("proxy_headers_refused")
            self._log("tracker.proxy_header_refused", why=str(error)[:_MAX_SHOWN])
        except OSError:  # the client has gone
            pass
        finally:
            if not is_handed_over:
                client.close()
            self._crowd.remove(arrival)

    async def _read_source(self, client: socket.socket) -> str | None:
        """Return the client of a PROXY header; None where the front itself is the client."""
        try:
            async with asyncio.timeout(_HEADER_SECONDS):
                header = await _read_header(self._loop, client)
        except TimeoutError as error:
            raise ProxyHeaderError("no header came in time") from error
        return None if header.source is None else header.source.host

    async def _hand_over(
        self, client: socket.socket, host: str | None, arrival: "_Arrival"
    ) -> bool:
        """Shake hands if that is wanted, and let requests be read; False if there won't be any."""

        def make() -> asyncio.Protocol:
            return self._make(arrival, host)

        if self._context is None:
            await self._loop.connect_accepted_socket(make, client)
            return True
        try:
            await self._loop.connect_accepted_socket(
                make,
                client,
                ssl=self._context,
                ssl_handshake_timeout=_HANDSHAKE_SECONDS,
                ssl_shutdown_timeout=_SHUTDOWN_SECONDS,
            )
        except OSError:  # most are scanners, or clients that speak HTTP where TLS should begin
            self._counters.add("tls_failed")
            return False
        return True

    def _log(self, event: str, **fields: str) -> None:
        """Log what strangers can cause as often as they like: a line in ten seconds."""
        now = self._loop.time()
        if now >= self._logs_at:
            self._logs_at = now + _LOGS_EVERY_SECONDS
            log.warning(event, **fields)


class _Arrival:
    """A connection that has not begun to send requests; closing it breaks none."""

    task: asyncio.Task[None]
    """What receives it: is there before others can want its place."""

    def __init__(self, since: float) -> None:
        self.quiet_since = since

    def may_give_way(self, now: float) -> bool:  # noqa: ARG002 - the crowd's
        return True

    def give_way(self) -> None:
        self.task.cancel()


async def _read_header(loop: asyncio.AbstractEventLoop, client: socket.socket) -> ProxyHeader:
    """Read a PROXY header and not a byte more: what follows belongs to TLS, or is a request.

    Raises:
        ProxyHeaderError: something else came.
        OSError: the connection broke.
    """
    received = b""
    while True:
        seen = await _peek(loop, client)
        if not seen:
            raise ProxyHeaderError("the connection ended before its header")
        header = read_proxy_header(received + seen)
        length = len(seen) if header is None else header.length - len(received)
        received += client.recv(length)
        if header is not None:
            return header


async def _peek(loop: asyncio.AbstractEventLoop, client: socket.socket) -> bytes:
    """Wait for bytes, and leave them where they are."""
    readable: asyncio.Future[None] = loop.create_future()

    def note() -> None:
        if not readable.done():
            readable.set_result(None)

    loop.add_reader(client, note)
    try:
        await readable
    finally:
        loop.remove_reader(client)
    return client.recv(MAX_BYTES, socket.MSG_PEEK)
