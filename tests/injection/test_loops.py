"""Proxies that send mail to each other: found before there is a message."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.captured_logs import capture_logs
from tests.injection.conftest import ACCEPTED, MESSAGE, Harness, Start
from tests.ports import find_free_ports
from tests.smtp_client import Client
from tests.upstreams import ScriptedUpstream
from tests.waiting import until

from msys_track.errors import UpstreamError
from msys_track.metrics import Counters
from msys_track.relay.identity import Identity
from msys_track.relay.passthrough import UserUpstreams
from msys_track.relay.routes import make_next_hop
from msys_track.relay.settings import UpstreamSettings
from msys_track.relay.upstream import Upstream
from msys_track.smtp.proxies import make_mark, read_ids, write_ids
from msys_track.spool.settings import SpoolSettings
from msys_track.spool.spool import Spool

pytestmark = pytest.mark.anyio

LOOP = "554 5.4.6 Routing loop detected"
MODES = ["as_they_come", "at_the_end"]
FRONTS = ["machine", "aiosmtpd"]


async def start_ring(start: Start, count: int, **settings: Any) -> Sequence[Harness]:
    """Start proxies each of which has the next one as its upstream, and the last one the first."""
    ports = find_free_ports(count)
    return [
        await start(hop={"port": ports[(place + 1) % count]}, listen_port=port, **settings)
        for place, port in enumerate(ports)
    ]


async def refuse_mail(client: Client) -> str:
    """Send a mail as far as it is taken; return the refusal."""
    await client.say("EHLO client.test")
    for command in ("MAIL FROM:<a@e.com>", "RCPT TO:<b@e.com>", "DATA"):
        answer = await client.say(command)
        if answer[0] in "45":
            return answer
    return await client.data(MESSAGE)


def count_connections(proxies: Sequence[Harness]) -> int:
    return sum(each.counts.get("connections.accepted", 0) for each in proxies)


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize("recipients", MODES)
@pytest.mark.parametrize("count", [1, 2, 3, 5])
async def test_a_ring_of_proxies_is_cut_at_once(
    start: Start, count: int, recipients: str, front: str
) -> None:
    proxies = await start_ring(start, count, recipients=recipients, front=front)
    async with asyncio.timeout(2):
        assert await refuse_mail(await proxies[0].client()) == LOOP
    assert count_connections(proxies) < 20


@pytest.mark.parametrize("recipients", MODES)
async def test_many_clients_at_all_places_of_a_ring_are_refused(
    start: Start, recipients: str
) -> None:
    proxies = await start_ring(start, 3, recipients=recipients)
    clients = [await each.client() for each in proxies for _ in range(5)]
    async with asyncio.timeout(5):
        for _ in range(3):
            answers = await asyncio.gather(*(refuse_mail(each) for each in clients))
            assert set(answers) == {LOOP}
            for each in clients:
                await each.say("RSET")
    assert count_connections(proxies) < 200


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize("recipients", MODES)
async def test_a_chain_of_proxies_takes_mail(start: Start, recipients: str, front: str) -> None:
    last = await start(recipients=recipients, front=front)
    middle = await start(hop={"port": last.proxy.port}, recipients=recipients, front=front)
    first = await start(hop={"port": middle.proxy.port}, recipients=recipients, front=front)
    for each in (first, middle, last, first):
        assert await (await each.client()).deliver(MESSAGE) == ACCEPTED
    assert len(last.upstream.taken) == 4


async def test_a_server_that_is_no_proxy_of_ours_is_told_nothing(start: Start) -> None:
    harness = await start()
    assert await (await harness.client()).deliver(MESSAGE) == ACCEPTED
    assert not [each for each in harness.upstream.commands if each.startswith("NOOP")]


async def test_a_connection_that_was_kept_is_not_used_once_it_is_part_of_a_ring(
    start: Start,
) -> None:
    """It was opened before the upstream began to send mail back."""
    identity = Identity()
    async with ScriptedUpstream() as sink:
        last = await start(next_hop=Upstream(UpstreamSettings(port=sink.port), identity=identity))
        first = await start(hop={"port": last.proxy.port})
        client = await first.client()
        assert await client.deliver(MESSAGE) == ACCEPTED
        teller = await first.client()
        for command in write_ids(identity.ids):
            await teller.say(command.decode().strip())
        assert await refuse_mail(client) == LOOP
        await teller.say("QUIT")
        await client.say("RSET")
        await until(lambda: first.proxy.session_count == 1)
        assert await client.deliver(MESSAGE) == ACCEPTED


async def test_who_reads_a_greeting_can_not_make_a_proxy_refuse_its_upstream(
    start: Start,
) -> None:
    last = await start()
    first = await start(hop={"port": last.proxy.port})
    mark = (await last.client()).greeting.rpartition(" ")[2]
    stranger = await first.client()
    assert (await stranger.say(f"NOOP msys-track {mark}")).startswith("250 ")
    assert await (await first.client()).deliver(MESSAGE) == ACCEPTED


@pytest.mark.parametrize("front", FRONTS)
async def test_what_a_session_told_is_bounded_and_forgotten_with_it(
    start: Start, front: str
) -> None:
    identity = Identity()
    hop = Upstream(UpstreamSettings(), identity=identity)
    harness = await start(next_hop=hop, front=front)
    client = await harness.client()
    for _ in range(2):
        for command in write_ids([f"{number:032x}" for number in range(500)]):
            assert (await client.say(command.decode().strip())).startswith("250 ")
    assert len(identity.ids) == 257
    await client.say("QUIT")
    await until(lambda: len(identity.ids) == 1)


@pytest.mark.parametrize("recipients", MODES)
async def test_one_of_several_upstreams_that_leads_back_is_passed_over(
    start: Start, recipients: str
) -> None:
    """It is no reason to refuse for good: the others may only be down."""
    (port,) = find_free_ports(1)
    counters = Counters()
    async with ScriptedUpstream() as sink:
        hops = {
            "itself": UpstreamSettings(port=port, priority=1),
            "sink": UpstreamSettings(port=sink.port, priority=2),
        }
        hop = make_next_hop(hops, counters)
        harness = await start(next_hop=hop, listen_port=port, recipients=recipients)
        client = await harness.client()
        assert await client.deliver(MESSAGE) == ACCEPTED
        await sink.close()
        assert (await refuse_mail(client)).startswith("451 4.4.")
    assert counters.snapshot()["upstreams.loops"] >= 1


async def test_a_mail_in_the_spool_that_meets_a_loop_is_refused_for_good(
    start: Start, tmp_path: Path
) -> None:
    """It was kept while the upstream was down, which is a proxy that sends it back."""
    (port,) = find_free_ports(1)
    counters = Counters()
    hop = Upstream(UpstreamSettings(port=port), identity=Identity(counters))
    spool = Spool(
        SpoolSettings(path=tmp_path / "spool", mode="always", first_retry_seconds=1),
        hop,
        counters,
        hostname="mx.example.com",
        poll_seconds=0.05,
    )
    await spool.start()
    keeping = await start(next_hop=hop, serve_with={"spool": spool, "counters": counters})
    assert "kept" in await (await keeping.client()).deliver(MESSAGE)
    second = await start(hop={"port": keeping.proxy.port}, listen_port=port)
    await until(lambda: counters.snapshot().get("spool.failed", 0) > 0)
    assert count_connections([keeping, second]) < 20
    await spool.close()


async def test_a_user_who_logs_in_at_a_loop_is_refused() -> None:
    counters = Counters()
    identity = Identity(counters)
    greeting = f"220 mx.test ESMTP msys-track {identity.mark}"
    async with ScriptedUpstream({"GREETING": greeting}) as upstream:
        users = UserUpstreams({"": UpstreamSettings(port=upstream.port)}, counters, identity)
        with pytest.raises(UpstreamError, match=f"^{LOOP}$"):
            await users.log_in("jo", "secret")
        await users.close()
    assert counters.snapshot() == {"upstreams.loops": 1}


async def test_a_loop_is_logged_once(start: Start) -> None:
    (port,) = find_free_ports(1)
    harness = await start(hop={"port": port}, listen_port=port)
    client = await harness.client()
    with capture_logs() as logs:
        for _ in range(3):
            assert await refuse_mail(client) == LOOP
            await client.say("RSET")
    assert [each["is_itself"] for each in logs if each["event"] == "upstream.loop"] == [True]


def test_ids_are_told_in_lines_that_every_server_takes() -> None:
    ids = [f"{number:032x}" for number in range(40)]
    lines = list(write_ids(ids))
    assert max(map(len, lines)) <= 512
    told = [read_ids(line.decode().removeprefix("NOOP ").strip()) for line in lines]
    assert [each for line in told for each in line] == ids


@pytest.mark.parametrize(
    "argument", ["", "x", "msys-track", "msys-track x", "msys-track  " + "0" * 32]
)
def test_another_noop_tells_no_ids(argument: str) -> None:
    assert read_ids(argument) == ()


def test_a_mark_does_not_show_the_id() -> None:
    (own,) = Identity().ids
    assert make_mark(own) != own
