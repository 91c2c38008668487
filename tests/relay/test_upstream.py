"""What the upstream offers: asked once, and noticed when it changes."""

import asyncio

import pytest
from tests.relay.conftest import Relay, refusal_of, transaction
from tests.upstreams import say
from tests.waiting import until

pytestmark = pytest.mark.anyio


async def test_what_is_offered_is_asked_once(relay: Relay) -> None:
    server, upstream = await relay()
    offers = [await upstream.capabilities() for _ in range(5)]
    assert {each.size for each in offers} == {1_000_000_000}
    assert len(server.dialogues) == 1


async def test_what_is_offered_is_known_while_every_connection_is_busy(relay: Relay) -> None:
    gate = asyncio.Event()
    server, upstream = await relay({"DOT": say("250 Ok", when=gate)}, max_connections=1)
    delivery = asyncio.create_task(upstream.deliver(transaction()))
    await until(lambda: server.arrived)
    async with asyncio.timeout(30):
        assert (await upstream.capabilities()).pipelining
    gate.set()
    await delivery


async def test_a_new_offer_is_noticed_with_the_next_connection(relay: Relay) -> None:
    server, upstream = await relay()
    assert (await upstream.capabilities()).size == 1_000_000_000
    server.extensions = ["SIZE 5000"]
    await server.hang_up()
    await upstream.deliver(transaction())
    assert (await upstream.capabilities()).size == 5_000


async def test_an_upstream_that_is_down_is_not_asked_by_everybody(relay: Relay) -> None:
    server, upstream = await relay({"GREETING": "554 No"})
    for _ in range(5):
        await refusal_of(upstream.capabilities())
    assert len(server.dialogues) == 1


async def test_a_kept_connection_does_not_hide_a_newer_offer(relay: Relay) -> None:
    """The next client hears what the connection that was opened last offers."""
    gate = asyncio.Event()
    server, upstream = await relay({"DOT": [say("250 Ok", when=gate), "250 Ok"]})
    slow = asyncio.create_task(upstream.deliver(transaction()))
    await until(lambda: server.arrived)
    server.extensions = ["SIZE 5000"]
    await upstream.deliver(transaction())
    assert upstream.offered is not None
    assert upstream.offered.size == 5_000
    gate.set()
    await slow
    await upstream.deliver(transaction())  # on the old one, which was used last
    assert len(server.dialogues) == 2
    assert (await upstream.capabilities()).size == 5_000
