"""The Received field of what is sent, and loops."""

from datetime import UTC, datetime
from typing import Any

import pytest
from tests.injection.conftest import MESSAGE, TRACKING, Connect, Start
from tests.ports import find_free_ports
from tests.upstreams import ScriptedUpstream, Taken
from tests.waiting import until

from msys_track.dispatch.dispatcher import Dispatcher
from msys_track.keys.ring import KeyRing
from msys_track.metrics import Counters
from msys_track.relay.settings import UpstreamSettings
from msys_track.relay.upstream import Upstream
from msys_track.spool.settings import SpoolSettings
from msys_track.spool.spool import Spool
from msys_track.testing.fidelity import split_received

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
HTML = b"Content-Type: text/html\r\n\r\n<a href='http://shop.example/1'>1</a>\r\n"
DATE = b"Sat, 28 Nov 2026 12:00:00 +0000\r\n"


def find_id(taken: Taken) -> int:
    return int(taken.received.partition(b" id ")[2].split()[0].strip(b";"))


async def test_a_mail_gets_one_field_at_its_top(connect: Connect) -> None:
    harness, client = await connect(
        hostname="mx.example.com", serve_with={"clock": NOON.timestamp}
    )
    await client.deliver(MESSAGE, "b@example.com")
    (taken,) = harness.upstream.taken
    assert taken.received == (
        b"Received: from client.test ([127.0.0.1])\r\n"
        b"\tby mx.example.com (msys-track) with ESMTP id %d\r\n"
        b"\tfor <b@example.com>; %b" % (find_id(taken), DATE)
    )
    assert taken.message == MESSAGE


async def test_all_copies_have_the_same_field_which_names_nobody(
    connect: Connect, keys: KeyRing
) -> None:
    harness, client = await connect(options=TRACKING, serve_with={"clock": NOON.timestamp})
    await client.deliver(HTML, "b@example.com", "c@example.com")
    first, second = harness.upstream.taken
    assert first.received == second.received
    assert first.received.endswith(b";\r\n\t" + DATE)
    for taken in (first, second):
        path = taken.message.partition(b"http://click.example.com")[2].partition(b"'")[0]
        assert keys.open(path.decode()).engagement.transmission_id == find_id(taken)


async def test_who_gets_a_blind_copy_is_not_told_to_others(connect: Connect) -> None:
    harness, client = await connect(options=TRACKING)
    header = b'X-MSYS-API: {"archive": [{"email": "archive@example.com"}]}\r\n'
    await client.deliver(header + HTML, "b@example.com")
    assert harness.upstream.taken
    assert all(b"for <" not in taken.received for taken in harness.upstream.taken)


async def test_helo_is_smtp(connect: Connect) -> None:
    harness, client = await connect()
    await client.say("HELO old.test")
    for command in ("MAIL FROM:<a@example.com>", "RCPT TO:<b@example.com>", "DATA"):
        await client.say(command)
    assert (await client.data(MESSAGE)).startswith("250 ")
    assert b"from old.test ([127.0.0.1])" in harness.upstream.taken[0].received
    assert b" with SMTP id " in harness.upstream.taken[0].received


@pytest.mark.parametrize("front", ["machine", "aiosmtpd"])
async def test_both_fronts_add_it(connect: Connect, front: str) -> None:
    harness, client = await connect(front=front)
    await client.deliver(MESSAGE)
    assert b"from client.test ([127.0.0.1])" in harness.upstream.taken[0].received


async def test_it_stands_below_a_line_of_an_mbox_which_servers_know_at_the_top_only(
    connect: Connect,
) -> None:
    harness, client = await connect()
    for line in (b"From jo Sat Nov 28\r\n", b">From jo Sat Nov 28\r\n"):
        await client.deliver(line + MESSAGE)
        first, _, rest = harness.upstream.arrived[-1].partition(b"\n")
        assert first + b"\n" == line
        received, below = split_received(rest)
        assert received
        assert below == MESSAGE


async def test_it_can_be_switched_off(connect: Connect) -> None:
    harness, client = await connect(received_header=False)
    await client.deliver(MESSAGE)
    (taken,) = harness.upstream.taken
    assert (taken.received, taken.message) == (b"", MESSAGE)


async def test_a_signature_stands_above_it_and_does_not_cover_it(
    start: Start, keys: KeyRing
) -> None:
    signed: list[bytes] = []

    def sign(wire: bytes) -> bytes:
        signed.append(wire)
        return b"DKIM-Signature: v=1\r\n"

    harness = await start(rewriter=Dispatcher(keys=keys, sign=sign))
    client = await harness.client()
    await client.deliver(MESSAGE)
    assert signed == [MESSAGE + b".\r\n"]
    (arrived,) = harness.upstream.arrived
    assert arrived.startswith(b"DKIM-Signature: v=1\r\nReceived: from client.test ")
    assert arrived.endswith(b" +0000\r\n" + MESSAGE)


async def test_what_the_spool_sends_later_has_the_same_field(start: Start, tmp_path: Any) -> None:
    """The second copy is put off once; it comes with the bytes that it would have had."""
    upstream = ScriptedUpstream({"DOT TO:<c@example.com>": ["450 4.2.0 later", "250 2.0.0 Ok"]})
    async with ScriptedUpstream() as elsewhere:
        hop = Upstream(UpstreamSettings(port=elsewhere.port))
        settings = SpoolSettings(path=tmp_path / "spool", first_retry_seconds=1)
        spool = Spool(settings, hop, Counters(), hostname="mx.example.com", poll_seconds=0.05)
        await spool.start()
        harness = await start(upstream, options=TRACKING, serve_with={"spool": spool})
        client = await harness.client()
        answer = await client.deliver(HTML, "b@example.com", "c@example.com")
        assert "1 kept" in answer
        await until(lambda: bool(elsewhere.taken))
        await spool.close()
        await hop.close()
        assert elsewhere.taken[0].received == harness.upstream.taken[0].received != b""


# Loops


async def test_a_message_that_has_come_too_far_is_a_loop(connect: Connect) -> None:
    harness, client = await connect()
    field = b"Received: from a by b; Sat, 28 Nov 2026 12:00:00 +0000\r\n"
    assert (await client.deliver(field * 50 + MESSAGE)).startswith("250 ")
    assert await client.deliver(field * 51 + MESSAGE) == "554 5.4.6 Routing loop detected"
    assert len(harness.upstream.taken) == 1
    assert harness.counts["messages.refused.loop"] == 1


async def test_a_proxy_that_is_its_own_upstream_sends_nothing_for_ever(start: Start) -> None:
    (port,) = find_free_ports(1)
    hop = {"port": port, "max_connections": 100, "connect_timeout_seconds": 1}
    harness = await start(hop=hop, listen_port=port, recipients="at_the_end")
    client = await harness.client()
    assert await client.deliver(MESSAGE) == "554 5.4.6 Routing loop detected"
    assert harness.counts["messages.refused.upstream"] == 1
