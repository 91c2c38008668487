"""Connections: few, kept, in the order of arrival, and never lost count of."""

import asyncio
import random

import pytest
from tests.relay.conftest import Relay, refusal_of, transaction
from tests.upstreams import HANG_UP, Answer, say
from tests.waiting import until

from msys_track.errors import UpstreamError
from msys_track.relay.identity import Identity
from msys_track.relay.opening import Opener
from msys_track.relay.pool import Pool
from msys_track.relay.settings import UpstreamSettings
from msys_track.smtp.proxies import IDENT

pytestmark = pytest.mark.anyio


async def let_tasks_run() -> None:
    """Long enough for all that needs no clock."""
    await asyncio.sleep(0.02)


async def test_there_are_never_more_connections_than_set(relay: Relay) -> None:
    server, upstream = await relay(max_connections=3)
    await asyncio.gather(*(upstream.deliver(transaction()) for _ in range(40)))
    assert server.most_connections == 3
    assert len(server.taken) == 40


async def test_who_waits_is_served_in_the_order_of_arrival(relay: Relay) -> None:
    gate = asyncio.Event()
    script = {"DOT": [say("250 Ok", when=gate), "250 Ok"]}
    server, upstream = await relay(script, max_connections=1)
    names = [f"to{number}@example.com" for number in range(6)]
    deliveries = []
    for name in names:
        deliveries.append(asyncio.create_task(upstream.deliver(transaction(name))))
        await asyncio.sleep(0.002)
    gate.set()
    await asyncio.gather(*deliveries)
    assert [each.recipients[0] for each in server.taken] == names


async def test_who_waits_too_long_is_told_451_and_the_others_are_served(relay: Relay) -> None:
    gate = asyncio.Event()
    script = {"DOT": [say("250 Ok", when=gate), "250 Ok"]}
    _, upstream = await relay(script, max_connections=1, pool_wait_seconds=0.1)
    first = asyncio.create_task(upstream.deliver(transaction()))
    await let_tasks_run()
    refusal = await refusal_of(upstream.deliver(transaction()))
    assert refusal == "451 4.3.2 All connections to the upstream are busy"
    gate.set()
    assert (await first).code == 250
    assert (await upstream.deliver(transaction())).code == 250


async def test_an_idle_connection_says_quit_in_its_time(relay: Relay) -> None:
    server, upstream = await relay(idle_seconds=0.1, max_connections=3, pool_wait_seconds=30)
    await asyncio.gather(*(upstream.deliver(transaction()) for _ in range(3)))
    assert server.most_connections == 3
    await until(lambda: server.open_connections == 0)
    assert [each.commands[-1] for each in server.dialogues] == ["QUIT"] * 3
    gate = asyncio.Event()
    server.set_answer("DOT", say("250 Ok", when=gate))
    again = [asyncio.create_task(upstream.deliver(transaction())) for _ in range(3)]
    await until(lambda: len(server.arrived) == 6)
    gate.set()
    await asyncio.gather(*again)


async def test_the_connection_used_last_is_used_next(relay: Relay) -> None:
    """So that those no longer needed grow old and go."""
    server, upstream = await relay()
    await asyncio.gather(*(upstream.deliver(transaction()) for _ in range(3)))
    for _ in range(10):
        await upstream.deliver(transaction())
    mails = [
        sum(command.startswith("MAIL") for command in each.commands) for each in server.dialogues
    ]
    assert sorted(mails) == [1, 1, 11]


@pytest.mark.parametrize(
    "last_words", [HANG_UP, say("421 4.4.2 Idle", then="close"), say("nonsense")]
)
async def test_an_idle_connection_that_ends_is_forgotten(relay: Relay, last_words: Answer) -> None:
    server, upstream = await relay(max_connections=1)
    await upstream.deliver(transaction())
    await server.send_unprompted(last_words)
    await let_tasks_run()
    assert (await upstream.deliver(transaction())).code == 250
    assert len(server.dialogues) == 2


async def test_a_connection_ends_after_its_share_of_messages(relay: Relay) -> None:
    server, upstream = await relay(max_messages_per_connection=3)
    for _ in range(7):
        await upstream.deliver(transaction())
    await until(lambda: server.open_connections == 1)
    mails = [sum(each.startswith("MAIL") for each in one.commands) for one in server.dialogues]
    assert mails == [3, 3, 1]
    assert [one.commands[-1] for one in server.dialogues[:2]] == ["QUIT", "QUIT"]


async def test_a_connection_ends_with_its_first_message_beyond_its_age(relay: Relay) -> None:
    server, upstream = await relay(max_age_seconds=0.2)
    await upstream.deliver(transaction())
    await upstream.deliver(transaction())
    await asyncio.sleep(0.25)
    for _ in range(2):
        await upstream.deliver(transaction())
    await until(lambda: server.open_connections == 1)
    assert server.dialogues[0].commands[-1] == "QUIT"
    assert len(server.dialogues) == 2


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA", "DOT"])
async def test_a_connection_ends_after_a_few_refusals(relay: Relay, command: str) -> None:
    """Postfix would slow down for whoever comes next on it."""
    server, upstream = await relay({command: "550 5.7.1 No"})
    for _ in range(12):
        await refusal_of(upstream.deliver(transaction()))
    await until(lambda: server.open_connections <= 1)
    refused = [sum(each.startswith("MAIL") for each in one.commands) for one in server.dialogues]
    assert 2 <= max(refused) <= 5
    assert sum(refused) == 12


async def test_only_the_first_refused_recipient_of_a_connection_has_data_behind_it(
    relay: Relay,
) -> None:
    """It would be an error more, and an error counts against the connection."""
    server, upstream = await relay({"RCPT": "550 5.1.1 No"})
    for _ in range(4):
        await refusal_of(upstream.deliver(transaction()))
    assert len(server.dialogues) == 1
    assert server.commands.count("DATA") == 1


async def test_a_worn_connection_makes_room_for_who_waits(relay: Relay) -> None:
    server, upstream = await relay(max_connections=2, max_messages_per_connection=1)
    await asyncio.gather(*(upstream.deliver(transaction()) for _ in range(20)))
    assert (len(server.taken), len(server.dialogues)) == (20, 20)


async def test_closing_says_quit_on_idle_connections(relay: Relay) -> None:
    server, upstream = await relay()
    await upstream.deliver(transaction())
    await upstream.close()
    await until(lambda: server.open_connections == 0)
    assert server.dialogues[0].commands[-1] == "QUIT"


async def test_closing_lets_the_mail_under_way_finish_and_sends_the_waiting_away(
    relay: Relay,
) -> None:
    gate = asyncio.Event()
    server, upstream = await relay({"DOT": say("250 Ok", when=gate)}, max_connections=1)
    under_way = asyncio.create_task(upstream.deliver(transaction()))
    await let_tasks_run()
    waiting = asyncio.create_task(upstream.deliver(transaction()))
    await let_tasks_run()
    await upstream.close()
    for late in (waiting, upstream.deliver(transaction())):
        with pytest.raises(UpstreamError, match=r"451 4\.3\.2 The proxy is shutting down"):
            await late
    gate.set()
    assert (await under_way).code == 250
    await until(lambda: server.dialogues[0].commands[-1] == "QUIT")
    assert len(server.dialogues) == 1


@pytest.mark.parametrize("gives_up", [True, False])
@pytest.mark.parametrize("breaks", ["never", "in use", "while it is handed on"])
async def test_a_connection_that_is_handed_on_is_usable_or_opened_anew_and_never_lost(
    relay: Relay, breaks: str, *, gives_up: bool
) -> None:
    server, _ = await relay()
    pool = Pool(Opener(UpstreamSettings(port=server.port, max_connections=1)))
    connection, _ = await pool.acquire()
    waiting = asyncio.create_task(pool.acquire())
    await let_tasks_run()
    if breaks == "in use":
        connection.abort()
    pool.release(connection)
    if breaks == "while it is handed on":
        connection.abort()
    if gives_up:
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        waiting = asyncio.create_task(pool.acquire())
    again, is_fresh = await asyncio.wait_for(waiting, 30)
    assert again.is_usable
    assert (again is connection, is_fresh) == (breaks == "never", breaks != "never")
    pool.release(again)
    pool.close()
    await let_tasks_run()


async def test_a_connection_that_cannot_be_opened_costs_no_place(relay: Relay) -> None:
    script = {"GREETING": [*["554 No"] * 5, "220 Hello"]}
    server, upstream = await relay(script, max_connections=2, pool_wait_seconds=30)
    failed = await asyncio.gather(
        *(upstream.deliver(transaction()) for _ in range(5)), return_exceptions=True
    )
    assert [type(each) for each in failed] == [UpstreamError] * 5
    await asyncio.gather(*(upstream.deliver(transaction()) for _ in range(4)))
    assert server.most_connections <= 2


async def test_no_place_is_lost_whatever_happens(relay: Relay) -> None:
    source = random.Random(7)  # noqa: S311 - the same run each time
    impatient = {"reply_timeout_seconds": 0.5, "data_timeout_seconds": 0.5}
    server, upstream = await relay(max_connections=3, pool_wait_seconds=0.05, **impatient)
    faults = [HANG_UP, Answer(then="reset"), say("421 Bye"), say("nonsense"), Answer()]
    usual = dict.fromkeys(["MAIL", "RCPT", "DOT"], "250 Ok")
    usual |= {"GREETING": "220 Hi", "DATA": "354 Go"}
    for command, answer in usual.items():
        mix = [answer] * 20 + faults
        server.set_answer(command, source.sample(mix * 20, len(mix) * 20))
    deliveries = []
    for number in range(150):
        deliveries.append(asyncio.create_task(upstream.deliver(transaction())))
        if number % 7 == 0:
            source.choice(deliveries).cancel()
        await asyncio.sleep(source.choice([0, 0, 0.001, 0.003]))
    outcomes = await asyncio.gather(*deliveries, return_exceptions=True)
    kinds = {type(each).__name__ for each in outcomes}
    assert kinds == {"Reply", "UpstreamError", "CancelledError"}
    for command in usual:
        server.set_answer(command, [])
    gate = asyncio.Event()
    server.set_answer("DOT", say("250 Ok", when=gate))
    last = [asyncio.create_task(upstream.deliver(transaction())) for _ in range(3)]
    before = len(server.arrived)
    await until(lambda: len(server.arrived) == before + 3)
    gate.set()
    await asyncio.gather(*last)
    # Not `most_connections`: the server still counts what was left, until it reads its end.
    await until(lambda: server.open_connections == 3)


async def test_a_connection_that_is_free_goes_past_those_who_have_left(relay: Relay) -> None:
    server, _ = await relay()
    pool = Pool(Opener(UpstreamSettings(port=server.port, max_connections=1)))
    connection, _ = await pool.acquire()
    gone, waiting = (asyncio.create_task(pool.acquire()) for _ in range(2))
    await until(lambda: pool.measure()["upstream.waiting"] == 2)
    gone.cancel()
    pool.release(connection)
    assert await waiting == (connection, False)
    with pytest.raises(asyncio.CancelledError):
        await gone
    pool.release(connection)
    pool.close()
    assert pool.measure()["upstream.connections"] == 0


async def test_a_connection_that_leads_back_by_now_is_not_handed_on(relay: Relay) -> None:
    other = Identity()
    server, _ = await relay({"GREETING": [f"220 other.test {IDENT} {other.mark}", "220 ready"]})
    opener = Opener(UpstreamSettings(port=server.port, max_connections=1))
    pool = Pool(opener)
    connection, _ = await pool.acquire()
    waiting = asyncio.create_task(pool.acquire())
    await until(lambda: pool.measure()["upstream.waiting"] == 1)
    opener.identity.note(other.ids, set())
    pool.release(connection)
    fresh, is_fresh = await waiting
    assert is_fresh
    assert fresh is not connection
    pool.release(fresh)
    pool.close()
