"""The report's HTTP: uvicorn on sockets that others have bound, with limits of our own."""

import asyncio
import logging
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import h11
import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

from msys_track.report.settings import ReportSettings
from msys_track.settings.certificate import Certificate

_MAX_HEADER_BYTES: Final = 16_384

# What it would say is said by our own log, or is the fault of a client.
_uvicorn_logger: Final = logging.getLogger("uvicorn")
_uvicorn_logger.addHandler(logging.NullHandler())
_uvicorn_logger.propagate = False


class ReportServer:
    """Answers until it is stopped.

    Args:
        app: What answers.
        settings: Its limits.
        certificate: For TLS; None: plain text.
    """

    def __init__(
        self, app: Starlette, settings: ReportSettings, certificate: Certificate | None = None
    ) -> None:
        self._app = app
        self._server = _Uvicorn(
            uvicorn.Config(
                app,
                http=_limit_connections(
                    settings.request_timeout_seconds, 2 * settings.max_connections
                ),
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                # The application has its own, with the proxies of the settings.
                proxy_headers=False,
                server_header=False,
                limit_concurrency=settings.max_connections,
                timeout_keep_alive=max(1, round(settings.request_timeout_seconds)),
                timeout_graceful_shutdown=max(1, int(settings.close_timeout_seconds)),
                h11_max_incomplete_event_size=_MAX_HEADER_BYTES,
                ssl_context_factory=(lambda *_: certificate.context) if certificate else None,
            )
        )

    async def run(self, sockets: Sequence[socket.socket]) -> None:
        """Answer on these sockets until `stop` is called, and requests under way are answered."""
        await self._server.serve(list(sockets))

    async def wait_until_started(self) -> None:
        """Wait until it answers."""
        while not self._server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)

    def stop(self) -> None:
        """Take no more requests; streams end at once."""
        self._app.state.live.close()
        self._server.should_exit = True


class _Uvicorn(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the process."""
        yield


def _limit_connections(patience_seconds: float, highest: int) -> type[H11Protocol]:
    """Make the protocol of a connection that ends when a request does not arrive in time."""

    class Limited(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if len(self.connections) > highest:
                transport.abort()
                return
            self._last: object = None
            self.loop.call_later(patience_seconds, self._check)

        def _check(self) -> None:
            if self.transport.is_closing():
                return
            # Bytes that trickle are no progress: a whole request is, or a new one.
            now = (id(self.cycle), self.conn.their_state)
            is_due = self.conn.their_state in (h11.IDLE, h11.SEND_BODY)
            if is_due and now == self._last:
                self.transport.abort()
                return
            self._last = now
            self.loop.call_later(patience_seconds, self._check)

    return Limited
