"""An upstream whose answers a test dictates, and the face that deliveries go through."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeAlias

import pytest
from tests.upstreams import ScriptedUpstream

from msys_track.relay.settings import UpstreamSettings
from msys_track.relay.upstream import Delivery, Upstream

Relay: TypeAlias = Callable[..., Awaitable[Upstream]]

MESSAGE = b"Subject: x\r\n\r\nbody\r\n"


def transaction(*recipients: str, **fields: Any) -> Delivery:
    """One mail, by default to one recipient."""
    return Delivery(
        **{
            "sender": "from@example.com",
            "recipients": recipients or ("to@example.com",),
            "message": MESSAGE,
            **fields,
        }
    )


@pytest.fixture(params=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": request.param == "uvloop"}


@pytest.fixture
async def relay() -> AsyncIterator[Relay]:
    """Start the server and make the relay to it; both end with the test."""
    async with contextlib.AsyncExitStack() as ends:

        async def start(server: ScriptedUpstream, **settings: Any) -> Upstream:
            await server.start()
            ends.push_async_callback(server.close)
            upstream = Upstream(UpstreamSettings(**{"port": server.port, **settings}))
            ends.push_async_callback(upstream.close)
            return upstream

        yield start
