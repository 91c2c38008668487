"""An upstream whose answers a test dictates, and the face that deliveries go through."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, TypeAlias

import pytest
from tests.upstreams import EXTENSIONS, Script, ScriptedUpstream

from msys_track.errors import UpstreamError
from msys_track.relay.settings import UpstreamSettings
from msys_track.relay.upstream import Delivery, Upstream
from msys_track.smtp.data import stuff
from msys_track.smtp.path import Recipient

Relay: TypeAlias = Callable[..., Awaitable[tuple[ScriptedUpstream, Upstream]]]

MESSAGE = b"Subject: x\r\n\r\nbody\r\n"


def transaction(*recipients: str, message: bytes = MESSAGE, **fields: Any) -> Delivery:
    """One mail, by default to one recipient."""
    return Delivery(
        **{
            "sender": "from@example.com",
            "recipients": to(*(recipients or ("to@example.com",))),
            "wire": stuff(message),
            "size": len(message),
            "is_seven_bit": message.isascii(),
            **fields,
        }
    )


def to(*paths: str) -> tuple[Recipient, ...]:
    """Recipients without parameters."""
    return tuple(Recipient(path=path) for path in paths)


async def refusal_of(delivery: Awaitable[object]) -> str:
    """Code and text with which a delivery is refused."""
    with pytest.raises(UpstreamError) as refused:
        await delivery
    assert str(refused.value) == f"{refused.value.code} {refused.value.text}"
    return str(refused.value)


@pytest.fixture(params=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": request.param == "uvloop"}


@pytest.fixture
async def relay() -> AsyncIterator[Relay]:
    """Start a server with this script and make the relay to it; both end with the test."""
    async with contextlib.AsyncExitStack() as ends:

        async def start(
            script: Script | None = None,
            extensions: Sequence[str] = EXTENSIONS,
            **settings: Any,
        ) -> tuple[ScriptedUpstream, Upstream]:
            server = ScriptedUpstream(script, extensions)
            await server.start()
            ends.push_async_callback(server.close)
            upstream = Upstream(UpstreamSettings(**{"port": server.port, **settings}))
            ends.push_async_callback(upstream.close)
            return server, upstream

        yield start
