"""What a client waits for is the work, not the network's timers."""

import time

import pytest
from tests.proxied import run_proxy
from tests.smtp_client import Client

from msys_track.dispatch.rewriter import Rewriter
from msys_track.keys.ring import KeyRing

pytestmark = pytest.mark.anyio

GROUP = b"MAIL FROM:<s@s.example>\r\nRCPT TO:<r@r.example>\r\nRSET\r\n"


async def test_replies_to_pipelined_commands_don_t_wait_for_an_acknowledgement() -> None:
    together, in_turn = [], []
    rewriter = Rewriter(keys=KeyRing.temporary())
    async with run_proxy(rewriter) as (proxy, _), Client(proxy.port) as client:
        await client.say("EHLO client.test")
        for _ in range(5):
            started = time.perf_counter()
            client.send(GROUP)
            assert [reply[:3] for reply in await client.replies(3)] == ["250"] * 3
            together.append(time.perf_counter() - started)
            started = time.perf_counter()
            for command in GROUP.splitlines():
                assert (await client.say(command)).startswith("250")
            in_turn.append(time.perf_counter() - started)
    # By Nagle's algorithm the second reply waits for a delayed acknowledgement: 40 ms. One command
    # at a time never does: that is what the same work takes on this machine.
    assert min(together) < 0.03 + 5 * min(in_turn)
