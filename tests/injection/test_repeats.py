"""A client that loses patience makes no second mail; one that means two mails sends two."""

import asyncio
from dataclasses import replace

import pytest
from tests.injection.conftest import TRACKING, Connect, Harness
from tests.smtp_client import Client
from tests.upstreams import ScriptedUpstream, say
from tests.waiting import until

from msys_track.injection.envelope import Envelope
from msys_track.injection.repeats import Repeats
from msys_track.policy.context import Context, Contexts
from msys_track.smtp.path import Recipient
from msys_track.smtp.reply import Reply

pytestmark = pytest.mark.anyio

MESSAGE = (
    b"Message-ID: <1@x.test>\r\nSubject: x\r\nContent-Type: text/html\r\n\r\n"
    b"<a href='http://e.com/'>x</a>\r\n"
)
THREE = ("a@example.com", "b@example.com", "c@example.com")
ANSWER = "250 2.0.0 Ok: 3 copies relayed: 4711"
ENVELOPE = Envelope(
    peer="192.0.2.1:1234",
    listen="",
    contexts=Contexts(connection=Context(), message=Context()),
    sender="from@example.com",
    recipients=tuple(Recipient(path=to) for to in THREE),
    message=MESSAGE,
    received_at=0.0,
)


async def lose_patience(harness: Harness, client: Client) -> None:
    """Leave when a copy has arrived, before the answer."""
    await client.envelope(*THREE)
    client.send(MESSAGE + b".\r\n")
    await until(lambda: harness.upstream.arrived)
    client.reset()
    await asyncio.sleep(0.02)


async def repeat(harness: Harness) -> Client:
    """Send the same again, over a connection that has no answer yet."""
    client = await harness.client()
    await client.envelope(*THREE)
    client.send(MESSAGE + b".\r\n")
    await asyncio.sleep(0.02)
    return client


@pytest.mark.parametrize("is_over", [False, True], ids=["under way", "over"])
async def test_a_client_that_repeats_what_it_did_not_wait_for_gets_the_first_answer(
    connect: Connect, *, is_over: bool
) -> None:
    gate = asyncio.Event()
    upstream = ScriptedUpstream({"DOT": say("250 2.0.0 Ok: queued as 4711", when=gate)})
    harness, client = await connect(upstream, options=TRACKING)
    await lose_patience(harness, client)
    if is_over:
        gate.set()
        await until(lambda: harness.counts.get("messages.accepted"))
    again = await repeat(harness)
    gate.set()
    assert await again.reply() == ANSWER
    assert sorted(each.recipients for each in upstream.taken) == [(to,) for to in THREE]
    assert harness.counts["messages.repeated"] == 1
    assert await again.deliver(MESSAGE, *THREE) == ANSWER  # which was answered: it is meant
    assert len(upstream.taken) == 6


async def test_a_mail_that_was_answered_may_be_sent_again(connect: Connect) -> None:
    harness, client = await connect(options=TRACKING)
    for count in (3, 6):
        assert await client.deliver(MESSAGE, *THREE) == ANSWER
        assert len(harness.upstream.taken) == count


async def test_what_was_refused_is_tried_again(connect: Connect) -> None:
    gate = asyncio.Event()
    verdicts = [say("452 4.3.1 Disk full", when=gate), say("250 2.0.0 Ok: queued as 4711")]
    harness, client = await connect(ScriptedUpstream({"DOT": verdicts}), options=TRACKING)
    await lose_patience(harness, client)
    again = await repeat(harness)
    gate.set()
    assert await again.reply() == ANSWER
    assert len(harness.upstream.taken) == 3


@pytest.mark.parametrize(
    "other",
    [
        replace(ENVELOPE, peer="192.0.2.2:1234"),
        replace(ENVELOPE, user="jo"),
        replace(ENVELOPE, sender="other@example.com"),
        replace(ENVELOPE, recipients=ENVELOPE.recipients[:2]),
        replace(ENVELOPE, message=MESSAGE + b"x\r\n"),
    ],
    ids=["client", "user", "sender", "recipients", "message"],
)
async def test_only_the_same_mail_of_the_same_client_is_a_repetition(other: Envelope) -> None:
    repeats = Repeats(lambda: 0.0)
    repeats.end(repeats.begin(ENVELOPE, lambda: True), Reply(250, "Ok"))
    assert await repeats.find_answer(other, lambda: False) is None
    same = replace(ENVELOPE, peer="192.0.2.1:4321")
    assert await repeats.find_answer(same, lambda: False) == Reply(250, "Ok")


async def test_a_message_without_a_message_id_is_never_a_repetition() -> None:
    repeats = Repeats(lambda: 0.0)
    alarm = replace(ENVELOPE, message=MESSAGE.partition(b"\r\n")[2])
    repeats.end(repeats.begin(alarm, lambda: True), Reply(250, "Ok"))
    assert not repeats
    assert await repeats.find_answer(alarm, lambda: False) is None


async def test_a_second_client_with_the_same_mail_does_not_wait_for_the_first() -> None:
    repeats = Repeats(lambda: 0.0)
    key = repeats.begin(ENVELOPE, lambda: False)
    assert await repeats.find_answer(ENVELOPE, lambda: False) is None
    assert repeats.begin(ENVELOPE, lambda: True) is None
    repeats.end(None, Reply(250, "the second"))
    repeats.end(key, Reply(250, "the first"))
    assert not repeats


@pytest.mark.parametrize(("seconds", "is_known"), [(3599.0, True), (3601.0, False)])
async def test_a_repetition_is_known_for_an_hour(seconds: float, *, is_known: bool) -> None:
    now = [0.0]
    repeats = Repeats(lambda: now[0])
    repeats.end(repeats.begin(ENVELOPE, lambda: True), Reply(250, "Ok"))
    now[0] = seconds
    assert (await repeats.find_answer(ENVELOPE, lambda: False) is not None) == is_known


async def test_no_more_than_a_thousand_are_known() -> None:
    repeats = Repeats(lambda: 0.0)
    mails = [replace(ENVELOPE, sender=f"{number}@x.test") for number in range(1_001)]
    for mail in mails:
        repeats.end(repeats.begin(mail, lambda: True), Reply(250, "Ok"))
    known = [await repeats.find_answer(mail, lambda: True) is not None for mail in mails]
    assert known == [False, *[True] * 1_000]
