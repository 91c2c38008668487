"""Several upstreams: which one takes a mail, and what becomes of mail when one of them fails."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.captured_logs import capture_logs
from tests.relay.conftest import refusal_of, to, transaction
from tests.upstreams import EXTENSIONS, HANG_UP, SILENCE, Script, ScriptedUpstream, say
from tests.waiting import until

from msys_track.errors import UpstreamError
from msys_track.metrics import Counters
from msys_track.relay.routes import Routes
from msys_track.relay.settings import UpstreamSettings

pytestmark = pytest.mark.anyio

NONE_USABLE = "451 4.4.1 No upstream can be used at the moment"


class Farm:
    """Scripted servers by name, and the routes to them."""

    def __init__(self) -> None:
        self.servers: dict[str, ScriptedUpstream] = {}
        self.settings: dict[str, UpstreamSettings] = {}
        self.counters = Counters()
        self._ends = contextlib.AsyncExitStack()

    async def add(self, name: str, script: Script | None = None, **settings: Any) -> None:
        extensions = settings.pop("extensions", EXTENSIONS)
        server = await self._ends.enter_async_context(ScriptedUpstream(script, extensions))
        self.servers[name] = server
        self.settings[name] = UpstreamSettings(**{"port": server.port, **settings})

    def routes(self) -> Routes:
        routes = Routes(self.settings, self.counters)
        self._ends.push_async_callback(routes.close)
        return routes

    def taken(self) -> dict[str, int]:
        return {name: len(server.taken) for name, server in self.servers.items() if server.taken}

    async def close(self) -> None:
        await self._ends.aclose()


@pytest.fixture
async def farm() -> AsyncIterator[Farm]:
    farm = Farm()
    yield farm
    await farm.close()


async def test_mail_goes_to_the_lowest_priority_alone(farm: Farm) -> None:
    for name, priority in (("spare", 20), ("main", 10)):
        await farm.add(name, priority=priority)
    routes = farm.routes()
    for _ in range(5):
        assert (await routes.deliver(transaction())).upstream == "main"
    assert farm.taken() == {"main": 5}


async def test_among_equals_each_gets_its_share_by_weight(farm: Farm) -> None:
    for name, weight in (("a", 5), ("b", 3), ("c", 2)):
        await farm.add(name, weight=weight)
    routes = farm.routes()
    for _ in range(20):
        await routes.deliver(transaction())
    assert farm.taken() == {"a": 10, "b": 6, "c": 4}


@pytest.mark.parametrize(
    "script",
    [
        {"GREETING": "554 5.3.2 No service"},
        {"GREETING": HANG_UP},
        {"EHLO": "421 4.3.2 Busy"},
        {"MAIL": HANG_UP},
        {"RCPT": say("421 4.3.2 Bye", then="close")},
        {"DATA": HANG_UP},
        {"EHLO": SILENCE},
    ],
    ids=["554", "closes", "421 to EHLO", "at MAIL", "421 to RCPT", "at DATA", "silent"],
)
async def test_a_mail_that_one_can_not_have_goes_to_the_next(farm: Farm, script: Script) -> None:
    await farm.add("ill", script, reply_timeout_seconds=0.5)
    await farm.add("well", priority=20)
    routes = farm.routes()
    with capture_logs() as logs:
        for _ in range(3):
            assert (await routes.deliver(transaction())).code == 250
    assert farm.taken() == {"well": 3}
    # It is left alone once it has failed: the others did not wait for it.
    assert len(farm.servers["ill"].dialogues) == 1
    (down,) = [each for each in logs if each["event"] == "upstream.down"]
    assert (down["name"], down["retry_seconds"]) == ("ill", pytest.approx(0.9, abs=0.1))
    counted = farm.counters.snapshot()
    assert (counted["upstreams.went_down"], counted["upstreams.failed_over"]) == (1, 1)


async def test_a_lost_answer_is_never_followed_by_a_second_mail(farm: Farm) -> None:
    await farm.add("first", {"DOT": HANG_UP})
    await farm.add("second", priority=20)
    routes = farm.routes()
    refusal = await refusal_of(routes.deliver(transaction()))
    assert refusal.startswith("451 4.4.2 The upstream's answer to the message was lost")
    assert farm.taken() == {}
    assert len(farm.servers["first"].arrived) == 1
    await routes.deliver(transaction())
    assert farm.taken() == {"second": 1}


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA", "DOT"])
@pytest.mark.parametrize("answer", ["450 4.7.1 Later", "550 5.7.1 Never"])
async def test_a_refusal_is_the_answer(farm: Farm, command: str, answer: str) -> None:
    await farm.add("first", {command: answer})
    await farm.add("second", priority=20)
    assert await refusal_of(farm.routes().deliver(transaction())) == answer
    assert farm.taken() == {}
    assert "upstreams.went_down" not in farm.counters.snapshot()


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA", "DOT"])
async def test_a_setting_lets_the_next_one_be_asked_after_4xx(farm: Farm, command: str) -> None:
    await farm.add("first", {command: ["450 4.7.1 Later", "550 5.7.1 Never"]}, next_on_4xx=True)
    await farm.add("second", priority=20)
    routes = farm.routes()
    assert (await routes.deliver(transaction())).code == 250
    assert await refusal_of(routes.deliver(transaction())) == "550 5.7.1 Never"
    assert farm.taken() == {"second": 1}


async def test_a_refusal_of_one_is_told_rather_than_that_the_others_are_down(farm: Farm) -> None:
    await farm.add("dead", {"GREETING": "554 No"})
    await farm.add("busy", {"RCPT": "450 4.2.0 Greylisted"}, priority=20, next_on_4xx=True)
    assert await refusal_of(farm.routes().deliver(transaction())) == "450 4.2.0 Greylisted"


async def test_all_down_is_a_451_for_each_mail_and_one_at_a_time_finds_out(farm: Farm) -> None:
    gate = asyncio.Event()
    await farm.add("a", {"GREETING": ["554 No", say("554 No", when=gate)]})
    await farm.add("b", {"GREETING": ["554 No", say("554 No", when=gate)]})
    routes = farm.routes()
    with pytest.raises(UpstreamError, match=r"451 4\.4\.1 .*554 No") as refused:
        await routes.deliver(transaction())
    assert refused.value.outcome == "not_sent"
    finding = [asyncio.create_task(routes.deliver(transaction())) for _ in range(5)]
    await until(lambda: sum(each.done() for each in finding) == 3)
    answers = [str(each.exception()) for each in finding if each.done()]
    assert answers == [NONE_USABLE] * 3
    gate.set()
    await asyncio.gather(*finding, return_exceptions=True)
    assert [len(server.dialogues) for server in farm.servers.values()] == [2, 2]


async def test_one_that_is_up_again_gets_its_mail_again(farm: Farm) -> None:
    await farm.add("main", {"GREETING": ["554 No", "220 hello"]}, back_off_seconds=0.1)
    await farm.add("spare", priority=20)
    routes = farm.routes()
    await routes.deliver(transaction())
    await asyncio.sleep(0.15)
    with capture_logs() as logs:
        for _ in range(3):
            await routes.deliver(transaction())
    assert farm.taken() == {"spare": 1, "main": 3}
    (up,) = [each for each in logs if each["event"] == "upstream.up"]
    assert up["name"] == "main"
    assert farm.counters["upstreams.came_up"] == 1


async def test_one_that_flaps_costs_no_mail_and_makes_none_twice(farm: Farm) -> None:
    await farm.add("flaps", {"MAIL": [HANG_UP, "250 Ok"] * 20}, back_off_seconds=0.02)
    await farm.add("steady", priority=20)
    routes = farm.routes()
    for number in range(40):
        await routes.deliver(transaction(f"to{number}@example.com"))
        await asyncio.sleep(0.01)
    got = Counter(each.recipients[0] for server in farm.servers.values() for each in server.taken)
    assert len(got) == 40
    assert set(got.values()) == {1}
    assert set(farm.taken()) == {"flaps", "steady"}


async def test_what_is_offered_is_what_all_of_the_best_ones_offer(farm: Farm) -> None:
    await farm.add("a", extensions=["SIZE 5000", "8BITMIME", "SMTPUTF8"])
    await farm.add("b", extensions=["SIZE 7000", "8BITMIME", "PIPELINING"])
    await farm.add("spare", extensions=["SIZE 1"], priority=20)
    routes = farm.routes()
    assert routes.offered is None
    offered = await routes.capabilities()
    assert (offered.size, offered.eight_bit_mime) == (5000, True)
    assert (offered.smtp_utf8, offered.pipelining) == (False, False)
    assert routes.offered == offered


async def test_who_is_down_has_no_say_in_what_is_offered(farm: Farm) -> None:
    await farm.add("a", {"GREETING": "554 No"}, extensions=[])
    await farm.add("b", extensions=["8BITMIME"])
    assert (await farm.routes().capabilities()).eight_bit_mime


async def test_with_none_up_the_next_priority_is_what_is_offered(farm: Farm) -> None:
    await farm.add("a", {"GREETING": "554 No"})
    await farm.add("spare", extensions=["8BITMIME"], priority=20)
    assert (await farm.routes().capabilities()).eight_bit_mime


async def test_nothing_can_be_offered_with_all_of_them_down(farm: Farm) -> None:
    await farm.add("a", {"GREETING": "554 No"})
    assert await refusal_of(farm.routes().capabilities()) == NONE_USABLE


async def test_a_message_that_one_can_not_carry_goes_to_one_that_can(farm: Farm) -> None:
    umlaut = "Subject: x\r\n\r\nGr\u00fc\u00dfe\r\n".encode()
    await farm.add("old", extensions=["PIPELINING"])
    await farm.add("new", priority=20)
    routes = farm.routes()
    await routes.deliver(transaction(message=umlaut))
    await routes.deliver(transaction())
    assert farm.taken() == {"new": 1, "old": 1}
    assert "upstreams.went_down" not in farm.counters.snapshot()


async def test_recipients_are_verified_where_the_mail_would_go(farm: Farm) -> None:
    await farm.add("dead", {"GREETING": "554 No"})
    await farm.add("well", {"RCPT TO:<no@example.com>": "550 5.1.1 No"}, priority=20)
    routes = farm.routes()
    await routes.verify("from@example.com", (), to("a@example.com", "b@example.com"))
    refusal = await refusal_of(routes.verify("from@example.com", (), to("no@example.com")))
    assert refusal == "550 5.1.1 No"


# A transaction that is held open


async def test_a_held_transaction_stays_where_it_began(farm: Farm) -> None:
    await farm.add("a")
    await farm.add("b")
    exchange = farm.routes().begin("from@example.com", ())
    names = [f"to{number}@example.com" for number in range(3)]
    replies = await asyncio.gather(*(exchange.add_recipient(each) for each in to(*names)))
    assert [each.code for each in replies] == [250] * 3
    assert (await exchange.deliver(transaction(*names))).upstream in {"a", "b"}
    exchange.drop()
    (server,) = [each for each in farm.servers.values() if each.dialogues]
    assert [each.recipients for each in server.taken] == [tuple(names)]
    assert sum(each.startswith("RCPT") for each in server.commands) == 3


@pytest.mark.parametrize("command", ["GREETING", "MAIL", "RCPT"])
async def test_its_recipients_are_asked_at_the_next_one(farm: Farm, command: str) -> None:
    await farm.add("ill", {command: HANG_UP})
    await farm.add("well", {"RCPT TO:<no@example.com>": "550 5.1.1 No"}, priority=20)
    exchange = farm.routes().begin("from@example.com", ())
    names = ["a@example.com", "no@example.com", "b@example.com"]
    replies = await asyncio.gather(*(exchange.add_recipient(each) for each in to(*names)))
    assert [each.code for each in replies] == [250, 550, 250]
    await exchange.deliver(transaction(names[0], names[2]))
    exchange.drop()
    assert farm.taken() == {"well": 1}
    assert sum(each.startswith("RCPT") for each in farm.servers["well"].commands) == 3
    assert farm.counters["upstreams.failed_over"] == 1


async def test_those_who_were_taken_before_are_asked_again_there(farm: Farm) -> None:
    await farm.add("ill", {"RCPT TO:<b@example.com>": HANG_UP})
    await farm.add("well", priority=20)
    exchange = farm.routes().begin("from@example.com", ())
    first, second = to("a@example.com", "b@example.com")
    assert (await exchange.add_recipient(first)).code == 250
    assert (await exchange.add_recipient(second)).code == 250
    await exchange.deliver(transaction(first.path, second.path))
    exchange.drop()
    assert [each.recipients for each in farm.servers["well"].taken] == [
        ("a@example.com", "b@example.com")
    ]


async def test_its_message_goes_to_the_next_one_if_it_can_not_have_been_sent(farm: Farm) -> None:
    await farm.add("ill", {"DATA": "250 Ok"})
    await farm.add("well", priority=20)
    exchange = farm.routes().begin("from@example.com", ())
    assert (await exchange.add_recipient(*to("a@example.com"))).code == 250
    farm.servers["ill"].set_answer("GREETING", "554 No")
    await farm.servers["ill"].hang_up()
    assert (await exchange.deliver(transaction("a@example.com"))).code == 250
    exchange.drop()
    assert farm.taken() == {"well": 1}


async def test_without_any_upstream_each_recipient_is_told_so(farm: Farm) -> None:
    await farm.add("a", {"GREETING": "554 No"})
    await farm.add("b", {"GREETING": "554 No"}, priority=20)
    exchange = farm.routes().begin("from@example.com", ())
    for recipient in to("a@example.com", "b@example.com"):
        with pytest.raises(UpstreamError, match="451 4") as refused:
            await exchange.add_recipient(recipient)
        assert refused.value.outcome == "not_sent"
    exchange.drop()


@pytest.mark.parametrize("moves", [True, False])
async def test_a_recipient_who_is_put_off_is_asked_at_the_next_one_if_so_set(
    farm: Farm, *, moves: bool
) -> None:
    await farm.add("first", {"RCPT": "450 4.2.0 Greylisted"}, next_on_4xx=moves)
    await farm.add("second", priority=20)
    exchange = farm.routes().begin("from@example.com", ())
    assert (await exchange.add_recipient(*to("a@example.com"))).code == (250 if moves else 450)
    exchange.drop()


async def test_a_dropped_transaction_lets_the_next_mail_find_out(farm: Farm) -> None:
    gate = asyncio.Event()
    await farm.add("only", {"GREETING": ["554 No", say("220 hello", when=gate), "220 hello"]})
    routes = farm.routes()
    await refusal_of(routes.deliver(transaction()))
    exchange = routes.begin("from@example.com", ())
    asked = exchange.add_recipient(*to("a@example.com"))
    await until(lambda: len(farm.servers["only"].dialogues) == 2)
    assert await refusal_of(routes.deliver(transaction())) == NONE_USABLE
    exchange.drop()
    assert (await routes.deliver(transaction())).code == 250
    gate.set()
    assert (await asked).code == 250


async def test_who_leaves_while_it_finds_out_lets_the_next_mail_find_out(farm: Farm) -> None:
    await farm.add("only", {"GREETING": [HANG_UP, SILENCE, "220 ready"]})
    routes = farm.routes()
    await refusal_of(routes.deliver(transaction()))
    probe = asyncio.create_task(routes.deliver(transaction()))
    await until(lambda: len(farm.servers["only"].dialogues) == 2)
    probe.cancel()
    with pytest.raises(asyncio.CancelledError):
        await probe
    assert (await routes.deliver(transaction())).code == 250


async def test_who_leaves_is_no_reason_to_take_an_upstream_for_down(farm: Farm) -> None:
    await farm.add("only", {"DOT": [SILENCE, "250 2.0.0 Ok"]})
    routes = farm.routes()
    leaving = asyncio.create_task(routes.deliver(transaction()))
    await until(lambda: farm.servers["only"].arrived)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert (await routes.deliver(transaction())).code == 250
    assert not farm.counters["upstreams.went_down"]


async def test_what_is_known_of_all_is_not_asked_for(farm: Farm) -> None:
    await farm.add("a", extensions=("8BITMIME", "DSN"))
    await farm.add("b", extensions=("8BITMIME",))
    routes = farm.routes()
    asked = await routes.capabilities()
    connections = [len(each.dialogues) for each in farm.servers.values()]
    assert await routes.capabilities() == asked
    assert connections == [len(each.dialogues) for each in farm.servers.values()] == [1, 1]
    assert asked.eight_bit_mime


async def test_the_answer_of_one_that_puts_off_is_told_rather_than_that_the_next_is_down(
    farm: Farm,
) -> None:
    await farm.add("first", {"RCPT": "450 4.2.0 later"}, next_on_4xx=True)
    await farm.add("second", {"GREETING": HANG_UP}, priority=20)
    await farm.add("third", {"RCPT": "451 4.3.0 later too"}, priority=30, next_on_4xx=True)
    assert await refusal_of(farm.routes().deliver(transaction())) == "450 4.2.0 later"


async def test_a_transaction_that_asked_about_nobody_is_sent_as_any(farm: Farm) -> None:
    await farm.add("only")
    exchange = farm.routes().begin("from@example.com", ())
    assert (await exchange.deliver(transaction())).code == 250
    exchange.drop()


async def test_the_answer_for_a_client_that_is_gone_is_left(farm: Farm) -> None:
    await farm.add("only", {"RCPT": ["250 2.1.5 Ok", "250 2.1.5 Ok"]})
    exchange = farm.routes().begin("from@example.com", ())
    gone, other = map(exchange.add_recipient, to("a@example.com", "b@example.com"))
    gone.cancel()
    assert (await other).code == 250
    assert gone.cancelled()
    exchange.drop()
