"""What a client waits for is the work, not the network's timers."""

import time

import pytest
from tests.smtp_client import Client
from tests.upstreams import ScriptedUpstream

from msys_track.dispatch.copies import Rewriter
from msys_track.injection.server import serve
from msys_track.injection.settings import ProxySettings
from msys_track.keys.ring import KeyRing
from msys_track.relay.settings import UpstreamSettings
from msys_track.relay.upstream import Upstream

pytestmark = pytest.mark.anyio

GROUP = b"MAIL FROM:<s@s.example>\r\nRCPT TO:<r@r.example>\r\nRSET\r\n"


async def test_replies_to_pipelined_commands_don_t_wait_for_an_acknowledgement() -> None:
    hop = ScriptedUpstream()
    await hop.start()
    upstream = Upstream(UpstreamSettings(port=hop.port))
    settings = ProxySettings(listen_port=0, drain_seconds=1)
    proxy = await serve(settings, Rewriter(keys=KeyRing.temporary()), upstream)
    together, in_turn = [], []
    try:
        async with Client(proxy.port) as client:
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
    finally:
        await proxy.close()
        await upstream.close()
        await hop.close()
    # By Nagle's algorithm the second reply waits for a delayed acknowledgement: 40 ms. One command
    # at a time never does: that is what the same work takes on this machine.
    assert min(together) < 0.03 + 5 * min(in_turn)
