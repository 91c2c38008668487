"""When a second try is honest, and when it would be a second mail."""

import asyncio
import re

import pytest
from tests.captured_logs import capture_logs
from tests.relay.conftest import MESSAGE, Relay, refusal_of, transaction
from tests.upstreams import HANG_UP, SILENCE, Answer, say
from tests.waiting import until

pytestmark = pytest.mark.anyio

GONE = [HANG_UP, Answer(then="reset"), say("421 4.3.2 Bye", then="close")]


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize("answer", GONE, ids=["close", "reset", "421"])
@pytest.mark.parametrize("extensions", [["PIPELINING"], []], ids=["pipelining", "one by one"])
async def test_before_the_message_a_kept_connection_is_replaced(
    relay: Relay, command: str, answer: Answer, extensions: list[str]
) -> None:
    server, upstream = await relay(extensions=extensions)
    await upstream.deliver(transaction())
    usual = "354 Go on" if command == "DATA" else "250 Ok"
    server.set_answer(command, [answer, usual])
    assert (await upstream.deliver(transaction("b@example.com"))).code == 250
    assert len(server.dialogues) == 2
    assert [each.recipients[0] for each in server.taken] == ["to@example.com", "b@example.com"]


@pytest.mark.parametrize("answer", GONE, ids=["close", "reset", "421"])
@pytest.mark.parametrize("was_kept", [True, False])
async def test_a_fresh_connection_is_not_replaced(
    relay: Relay, answer: Answer, *, was_kept: bool
) -> None:
    server, upstream = await relay()
    if was_kept:
        await upstream.deliver(transaction())
    server.set_answer("MAIL", answer)
    assert (await refusal_of(upstream.deliver(transaction()))).startswith("451 4.4.1 ")
    assert len(server.dialogues) == 1 + was_kept


@pytest.mark.parametrize("answer", [*GONE, SILENCE, say("nonsense")])
@pytest.mark.parametrize("is_kept", [True, False])
async def test_after_the_message_there_is_no_second_try(
    relay: Relay, answer: Answer, *, is_kept: bool
) -> None:
    server, upstream = await relay(data_timeout_seconds=1)
    if is_kept:
        await upstream.deliver(transaction())
    server.set_answer("DOT", answer)
    with capture_logs() as logs:
        refusal = await refusal_of(upstream.deliver(transaction("a@example.com", "b@example.com")))
    assert server.arrived == [MESSAGE] * (1 + is_kept)
    lost = [each["recipients"] for each in logs if each["event"] == "upstream.answer_lost"]
    if answer.wire.startswith(b"421"):  # it was not taken
        text = "451 4.4.2 The upstream refused the message: it replied: 421 4.3.2 Bye"
        assert (refusal, logs) == (text, [])
    else:
        lost_answer = r"The upstream's answer to the message was lost: .+"
        assert re.fullmatch(rf"451 4\.4\.2 {lost_answer}; it may have been accepted", refusal)
        assert lost == [("a@example.com", "b@example.com")]


async def test_silence_is_no_reason_for_a_second_try(relay: Relay) -> None:
    server, upstream = await relay(reply_timeout_seconds=1)
    await upstream.deliver(transaction())
    server.set_answer("MAIL", SILENCE)
    refusal = await refusal_of(upstream.deliver(transaction()))
    assert refusal == "451 4.4.1 The upstream can't be used: no answer within 1 s"
    assert len(server.dialogues) == 1


async def test_a_replacement_that_can_not_be_had_is_a_451(relay: Relay) -> None:
    server, upstream = await relay(max_connections=1)
    await upstream.deliver(transaction())
    server.set_answer("MAIL", HANG_UP)
    server.set_answer("GREETING", "554 No")
    refusal = await refusal_of(upstream.deliver(transaction()))
    assert refusal == "451 4.4.1 The upstream can't be used: it greeted with: 554 No"
    for command in ("MAIL", "GREETING"):
        server.set_answer(command, [])
    assert (await upstream.deliver(transaction())).code == 250


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


async def test_a_failure_is_logged_with_the_address_of_the_upstream(relay: Relay) -> None:
    server, upstream = await relay({"GREETING": "554 No"})
    with capture_logs() as logs:
        await refusal_of(upstream.deliver(transaction()))
    (failed,) = logs
    assert failed["event"] == "upstream.failed"
    assert failed["upstream"] == f"127.0.0.1:{server.port}"


async def test_a_slow_upstream_may_take_its_time_for_the_message(relay: Relay) -> None:
    gate = asyncio.Event()
    script = {"DOT": say("250 Ok", when=gate)}
    _, upstream = await relay(script, reply_timeout_seconds=1, data_timeout_seconds=30)
    delivery = asyncio.create_task(upstream.deliver(transaction()))
    await asyncio.sleep(1.5)
    gate.set()
    assert (await delivery).code == 250
