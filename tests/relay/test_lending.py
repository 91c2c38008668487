"""When a second try is honest, and when it would be a second mail."""

import asyncio
import re
from typing import Any

import pytest
from tests.captured_logs import capture_logs
from tests.relay.conftest import MESSAGE, Relay, refusal_of, transaction
from tests.upstreams import EXTENSIONS, HANG_UP, SILENCE, Answer, say
from tests.waiting import until

from msys_track.errors import UpstreamError

pytestmark = pytest.mark.anyio

UMLAUT = "Subject: x\r\n\r\nGrüße\r\n".encode()
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


WORN = ["452 4.5.3 Too many messages sent", "450 4.7.1 Error: too much mail from you"]


@pytest.mark.parametrize("answer", WORN)
@pytest.mark.parametrize("extensions", [EXTENSIONS, EXTENSIONS[1:]])
async def test_a_sender_that_is_put_off_on_a_kept_connection_is_tried_on_a_fresh_one(
    relay: Relay, answer: str, extensions: list[str]
) -> None:
    """Stock OpenSMTPD takes 100 mails a connection."""
    server, upstream = await relay(extensions=extensions)
    await upstream.deliver(transaction())
    server.set_answer("MAIL", [answer, "250 Ok"])
    assert (await upstream.deliver(transaction("b@example.com"))).code == 250
    assert [each.recipients[0] for each in server.taken] == ["to@example.com", "b@example.com"]
    first, _ = server.dialogues
    await until(lambda: first.commands[-1] == "QUIT")
    assert "RSET" not in first.commands


@pytest.mark.parametrize("was_kept", [True, False])
@pytest.mark.parametrize(("answer", "tries"), [(WORN[0], 2), ("550 5.7.1 Not you", 1)])
async def test_a_sender_that_is_put_off_there_too_is_answered_so(
    relay: Relay, answer: str, tries: int, *, was_kept: bool
) -> None:
    server, upstream = await relay()
    if was_kept:
        await upstream.deliver(transaction())
    server.set_answer("MAIL", answer)
    with pytest.raises(UpstreamError) as refused:
        await upstream.deliver(transaction())
    assert (str(refused.value), refused.value.outcome) == (answer, "refused")
    asked = [each for each in server.commands if each.startswith("MAIL")]
    assert len(asked) == (was_kept + tries if was_kept else 1)


async def test_a_sender_that_is_put_off_stays_so_if_no_fresh_connection_can_be_had(
    relay: Relay,
) -> None:
    server, upstream = await relay()
    await upstream.deliver(transaction())
    server.set_answer("MAIL", WORN[0])
    server.set_answer("GREETING", "421 4.3.2 Too busy")
    assert await refusal_of(upstream.deliver(transaction())) == WORN[0]
    assert server.arrived == [MESSAGE]


@pytest.mark.parametrize(
    ("lost", "fields", "text"),
    [
        ("8BITMIME", {"message": UMLAUT}, "6.3 The message is 8-bit; the upstream takes only"),
        ("SMTPUTF8", {"sender": "jö@example.com"}, "6.7 The upstream does not take"),
    ],
)
async def test_what_the_upstream_took_before_is_put_off_and_not_refused_for_good(
    relay: Relay, lost: str, fields: dict[str, Any], text: str
) -> None:
    """It was restarted with fewer extensions, or is half up."""
    mail = transaction(mail_parameters=("SMTPUTF8",), **fields)
    server, upstream = await relay(extensions=["8BITMIME", "SMTPUTF8"])
    await upstream.deliver(mail)
    server.extensions = [each for each in server.extensions if each != lost]
    await server.hang_up()
    with pytest.raises(UpstreamError) as refused:
        await upstream.deliver(mail)
    assert str(refused.value).startswith(f"451 4.{text}")
    assert (refused.value.outcome, len(server.arrived)) == ("not_sent", 1)


async def test_a_kept_connection_that_offers_less_than_the_newest_is_not_asked_for_more(
    relay: Relay,
) -> None:
    gate = asyncio.Event()
    server, upstream = await relay({"DOT": [say("250 Ok", when=gate), "250 Ok"]}, extensions=[])
    slow = asyncio.create_task(upstream.deliver(transaction()))
    await until(lambda: server.arrived)
    server.extensions = ["8BITMIME"]
    await upstream.deliver(transaction())
    gate.set()
    await slow
    assert (await upstream.deliver(transaction(message=UMLAUT))).code == 250
    assert server.dialogues[0].commands[-1] == "QUIT"


@pytest.mark.parametrize(
    ("script", "outcome"),
    [
        ({"RCPT": "550 5.1.1 No"}, "refused"),
        ({"DOT": "451 4.3.0 Later"}, "refused"),
        ({"DOT": say("421 4.3.2 Bye")}, "refused"),
        ({"GREETING": "554 No"}, "not_sent"),
        ({"MAIL": HANG_UP}, "not_sent"),
        ({"DATA": say("nonsense")}, "not_sent"),
        ({"DOT": HANG_UP}, "unknown"),
        ({"DOT": say("nonsense")}, "unknown"),
    ],
)
async def test_a_failure_says_whether_the_upstream_may_have_the_mail(
    relay: Relay, script: dict[str, str | Answer], outcome: str
) -> None:
    _, upstream = await relay(script)
    with pytest.raises(UpstreamError) as failed:
        await upstream.deliver(transaction())
    assert failed.value.outcome == outcome
    assert failed.value.recipient == ("to@example.com" if "RCPT" in script else None)


async def test_a_connection_that_breaks_within_the_message_has_not_sent_it(relay: Relay) -> None:
    """The upstream can't have seen the end line, which never left."""
    server, upstream = await relay()
    large = transaction(message=b"x" * 50_000_000 + b"\r\n")
    server.set_answer("DATA", Answer(wire=b"354 Go on\r\n", then="reset"))
    with capture_logs() as logs, pytest.raises(UpstreamError) as failed:
        await upstream.deliver(large)
    assert str(failed.value).startswith("451 4.4.2 The connection broke within the message: ")
    assert failed.value.outcome == "not_sent"
    assert [each["event"] for each in logs] == []
