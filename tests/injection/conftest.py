"""A proxy on a real port, between a client that does what it likes and a scripted upstream."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from tests.smtp_client import Client
from tests.upstreams import Script, ScriptedUpstream

from msys_track.dispatch.dispatcher import Dispatcher
from msys_track.injection.server import Proxy, serve
from msys_track.injection.settings import ProxySettings
from msys_track.keys.ring import KeyRing
from msys_track.metrics import Counters
from msys_track.options.scopes import Scope, Scopes
from msys_track.options.tracking import TrackingOptions
from msys_track.policy.guard import Guard, OnFailure
from msys_track.policy.loading import PolicySettings, load_policy
from msys_track.relay.settings import UpstreamSettings
from msys_track.relay.upstream import NextHop, Upstream

MESSAGE = b"Subject: x\r\n\r\nbody\r\n"
ACCEPTED = "250 2.0.0 Ok: queued as 4711"
# All that the upstream says of a message is the answer to DATA; `test_recipients.py` has the rest.
SETTINGS = {"listen_port": 0, "drain_seconds": 2, "recipients": "at_the_end"}
TRACKING = TrackingOptions(
    open_tracking=True, click_tracking=True, tracking_domain="click.example.com"
)


class Harness:
    """A proxy and its upstream; `client` opens a connection that ends with the test."""

    def __init__(self, proxy: Proxy, upstream: ScriptedUpstream, clients: Any) -> None:
        self.proxy = proxy
        self.upstream = upstream
        self._clients: contextlib.AsyncExitStack = clients

    @property
    def counts(self) -> Mapping[str, int]:
        return self.proxy.counters.snapshot()

    async def client(self) -> Client:
        return await self._clients.enter_async_context(Client(self.proxy.port))


Start: TypeAlias = Callable[..., Awaitable[Harness]]
Connect: TypeAlias = Callable[..., Awaitable[tuple[Harness, Client]]]


@pytest.fixture(params=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": request.param == "uvloop"}


@pytest.fixture(scope="session")
def keys() -> KeyRing:
    return KeyRing.temporary()


@pytest.fixture
async def start(keys: KeyRing) -> AsyncIterator[Start]:
    """Start proxies before a server or a script; when they end, they hold no byte of mail."""
    async with contextlib.AsyncExitStack() as ends:

        async def start_one(  # noqa: PLR0913 - all that a proxy stands on
            upstream: ScriptedUpstream | Script | None = None,
            *,
            options: TrackingOptions | None = None,
            hop: Mapping[str, Any] | None = None,
            rewriter: Any = None,
            serve_with: Mapping[str, Any] | None = None,
            next_hop: NextHop | None = None,
            **settings: Any,
        ) -> Harness:
            if isinstance(upstream, ScriptedUpstream):
                scripted = upstream
            else:
                scripted = ScriptedUpstream(upstream)
            await scripted.start()
            ends.push_async_callback(scripted.close)
            if next_hop is None:
                next_hop = Upstream(UpstreamSettings(**{"port": scripted.port, **(hop or {})}))
            ends.push_async_callback(next_hop.close)
            proxy = await serve(
                ProxySettings(**{**SETTINGS, **settings}),
                rewriter or Dispatcher(keys=keys, options=options),
                next_hop,
                **(serve_with or {}),
            )
            ends.push_async_callback(_close, proxy)
            clients = await ends.enter_async_context(contextlib.AsyncExitStack())
            return Harness(proxy, scripted, clients)

        yield start_one


async def _close(proxy: Proxy) -> None:
    await proxy.close()
    assert proxy.in_flight_bytes == 0


@pytest.fixture
async def harness(start: Start) -> Harness:
    return await start()


@pytest.fixture
async def client(harness: Harness) -> Client:
    """A connection to `harness`."""
    return await harness.client()


@pytest.fixture
def connect(start: Start) -> Connect:
    """Start a proxy as `start` does, and open a connection to it."""

    async def start_and_connect(*upstream: Any, **settings: Any) -> tuple[Harness, Client]:
        harness = await start(*upstream, **settings)
        return harness, await harness.client()

    return start_and_connect


Run: TypeAlias = Callable[..., Awaitable[tuple[Harness, Client]]]


@pytest.fixture
def run(start: Start, keys: KeyRing, tmp_path: Path) -> Run:
    """Start a proxy with policy files in their order, a lone one in Python; connect to it."""

    async def run_files(  # noqa: PLR0913 - all that a proxy with a policy depends on
        files: str | dict[str, str],
        on_failure: OnFailure = "continue",
        *,
        context: dict[str, str] | None = None,
        serve_with: Mapping[str, Any] | None = None,
        upstream: ScriptedUpstream | Script | None = None,
        settings: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> tuple[Harness, Client]:
        texts = {"policy.py": files} if isinstance(files, str) else files
        for name, text in texts.items():
            (tmp_path / name).write_text(text)
        counters = Counters()
        policy = load_policy(PolicySettings(files=tuple(tmp_path / name for name in texts)))
        assert policy is not None
        tracking = TrackingOptions(**{"open_tracking": True, "click_tracking": True, **options})
        scopes = Scopes(listener=Scope(name="listener", options=tracking, context=context or {}))
        guard = Guard(policy, on_failure, counters.add)
        rewriter = Dispatcher(keys=keys, scopes=scopes, policy=guard)
        harness = await start(
            upstream,
            rewriter=rewriter,
            serve_with={"counters": counters, **(serve_with or {})},
            **(settings or {}),
        )
        return harness, await harness.client()

    return run_files
