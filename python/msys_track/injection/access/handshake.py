"""TLS put on a connection that is already there, without losing what the client sends early.

The loop's `start_tls` gives bytes to the protocol as soon as the handshake is done, which may be
before its caller goes on: a client's EHLO can come in one packet with its last handshake message.
"""

import asyncio
import ssl
from typing import Final

from msys_track.injection.access.access import Access
from msys_track.injection.access.origin import Origin
from msys_track.logs import event_logger

log = event_logger(__name__)

_HANDSHAKE_SECONDS: Final = 30
_SHUTDOWN_SECONDS: Final = 5


async def start_tls(
    transport: asyncio.Transport, access: Access, origin: Origin
) -> tuple[asyncio.Transport, bytes] | None:
    """Shake hands as the server, with reading paused or nothing read since the last command.

    Returns:
        The transport inside TLS, whose protocol the caller sets at once, and what came early; None
        if there is no connection any more, which was counted and logged.
    """
    early = _Early()
    try:
        context = access.tls
        if context is None:
            raise ConnectionAbortedError("there is no certificate")
        inside = await asyncio.get_running_loop().start_tls(
            transport,
            early,
            context,
            server_side=True,
            ssl_handshake_timeout=_HANDSHAKE_SECONDS,
            ssl_shutdown_timeout=_SHUTDOWN_SECONDS,
        )
        if inside is None or early.is_lost:
            raise ConnectionAbortedError("the client closed the connection")
    except OSError as error:
        # Most are scanners, or clients that speak SMTP where TLS should begin.
        why = error.reason if isinstance(error, ssl.SSLError) else str(error)
        access.counters.add("connections.tls_failed")
        log.info("tls.failed", peer=str(origin), why=why or type(error).__name__)
        transport.abort()
        return None
    return inside, bytes(early.received)


class _Early(asyncio.Protocol):
    """Keeps what comes before there is a session to read it."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.is_lost = False

    def data_received(self, data: bytes) -> None:
        self.received += data

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        self.is_lost = True
