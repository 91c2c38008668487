"""A receiver of webhooks: a real server of HTTP that answers as a test wants."""

import json
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from aiohttp import web

Reply: TypeAlias = web.StreamResponse | int


@dataclass(frozen=True, slots=True)
class Request:
    """What was posted."""

    headers: Mapping[str, str]
    body: bytes

    @property
    def events(self) -> list[dict[str, Any]]:
        """The fields of each event."""
        batch = json.loads(self.body)
        return [fields for each in batch for fields in each["msys"].values()]

    @property
    def ids(self) -> list[str]:
        return [fields["event_id"] for fields in self.events]

    @property
    def batch_id(self) -> str:
        return self.headers["X-MessageSystems-Batch-ID"]


@dataclass(slots=True)
class Receiver:
    """What came, and how it is answered; `answer` may wait for something too."""

    url: str = ""
    requests: list[Request] = field(default_factory=list)
    answer: Callable[[Request], Any] = lambda _: 200

    @property
    def ids(self) -> list[str]:
        """The ids of all events of all requests."""
        return [each for request in self.requests for each in request.ids]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        came = Request({**request.headers}, await request.read())
        self.requests.append(came)
        reply = self.answer(came)
        if hasattr(reply, "__await__"):
            reply = await reply
        return web.Response(status=reply) if isinstance(reply, int) else reply


@asynccontextmanager
async def receiving(tls: ssl.SSLContext | None = None, port: int = 0) -> AsyncIterator[Receiver]:
    """Run a receiver on a port of loopback."""
    receiver = Receiver()
    app = web.Application(client_max_size=1 << 30)
    app.router.add_post("/{path:.*}", receiver.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls)
    await site.start()
    scheme = "http" if tls is None else "https"
    host, port = runner.addresses[0][:2]
    receiver.url = f"{scheme}://{host}:{port}/events"
    try:
        yield receiver
    finally:
        await runner.cleanup()
