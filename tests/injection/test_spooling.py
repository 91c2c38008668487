"""What the upstream did not take goes to the spool, as far as the spool is for it."""

import re
from collections.abc import Sequence

import pytest
from tests.captured_logs import capture_logs
from tests.injection.conftest import TRACKING, Connect
from tests.injection.copies import (
    FOR_GOOD,
    HTML_WIRE,
    IMPATIENT,
    PASSING,
    THREE,
    RecordingSpool,
    say_to,
)
from tests.upstreams import HANG_UP, SILENCE, Answer, ScriptedUpstream, say

from msys_track.errors import SpoolError, SpoolFullError
from msys_track.keys.ring import KeyRing
from msys_track.smtp.data import unstuff

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(("verdict", "done"), [(PASSING, "keep"), (FOR_GOOD, "report")])
async def test_a_spool_takes_over_what_others_have_got_already(
    connect: Connect, verdict: str, done: str
) -> None:
    spool = RecordingSpool()
    harness, client = await connect(
        say_to(b=verdict), options=TRACKING, serve_with={"spool": spool}
    )
    with capture_logs() as logs:
        answer = await client.deliver(HTML_WIRE, *THREE)
    word = {"keep": "kept", "report": "reported"}[done]
    assert answer == f"250 2.0.0 Ok: 2 copies relayed, 1 {word}: 4711, Q1"
    ((was_done, why, delivery),) = spool.kept
    assert (was_done, why) == (done, verdict)
    assert [each.path for each in delivery.recipients] == [THREE[1]]
    assert unstuff(delivery.wire.removesuffix(b".\r\n")).count(b"click.example.com") == 2
    (relayed,) = [each for each in logs if each["event"] == "message.relayed"]
    (copy,) = [each for each in relayed["copies"] if each["outcome"] == word]
    assert copy["queue_id"] == "Q1"
    assert harness.counts["copies.relayed"] == 2


@pytest.mark.parametrize("answer", [HANG_UP, SILENCE, say("421 Bye", then="close")])
async def test_a_spool_takes_over_what_was_not_sent_or_not_answered(
    connect: Connect, answer: Answer
) -> None:
    spool = RecordingSpool()
    upstream = ScriptedUpstream({"DOT TO:<b@example.com>": answer})
    _, client = await connect(
        upstream, options=TRACKING, hop=IMPATIENT, serve_with={"spool": spool}
    )
    reply = await client.deliver(HTML_WIRE, *THREE)
    assert reply == "250 2.0.0 Ok: 2 copies relayed, 1 kept: 4711, Q1"
    ((done, why, _),) = spool.kept
    assert (done, why[:4]) == ("keep", "451 ")


async def test_a_copy_that_the_spool_sends_later_has_the_id_that_the_log_has(
    connect: Connect, keys: KeyRing
) -> None:
    spool = RecordingSpool()
    _, client = await connect(say_to(b=PASSING), options=TRACKING, serve_with={"spool": spool})
    with capture_logs() as logs:
        await client.deliver(HTML_WIRE, *THREE)
    ((_, _, delivery),) = spool.kept
    (url,) = re.findall(rb"http://click.example.com(/f/[^'\"]+)", delivery.wire)
    copies = next(each["copies"] for each in logs if each["event"] == "message.relayed")
    (kept,) = [each for each in copies if each["outcome"] == "kept"]
    assert keys.open(url.decode()).engagement.message_id == kept["id"]


async def test_a_spool_that_takes_nothing_leaves_a_final_answer(connect: Connect) -> None:
    spool = RecordingSpool(error=SpoolFullError("the disk is full"))
    _, client = await connect(say_to(b=PASSING), options=TRACKING, serve_with={"spool": spool})
    answer = await client.deliver(HTML_WIRE, *THREE)
    assert answer.startswith("554-5.3.0 2 of 3 copies relayed")


@pytest.mark.parametrize("recipients", [THREE[:1], THREE])
async def test_a_spool_for_all_mail_takes_what_can_not_be_sent_at_all(
    connect: Connect, recipients: Sequence[str]
) -> None:
    upstream = ScriptedUpstream()
    spool = RecordingSpool("always")
    harness, client = await connect(upstream, options=TRACKING, serve_with={"spool": spool})
    await upstream.close()
    assert await client.deliver(HTML_WIRE, *recipients) == "250 2.0.0 Ok: kept as Q1"
    assert [each.recipients[0].path for _, _, each in spool.kept] == list(recipients)
    assert harness.counts["messages.accepted"] == 1
    assert harness.counts.get("copies.relayed", 0) == 0


@pytest.mark.parametrize("verdict", [PASSING, FOR_GOOD])
async def test_a_spool_for_all_mail_leaves_the_upstream_its_refusals(
    connect: Connect, verdict: str
) -> None:
    spool = RecordingSpool("always")
    _, client = await connect({"DOT": verdict}, options=TRACKING, serve_with={"spool": spool})
    assert await client.deliver(HTML_WIRE, *THREE) == verdict
    assert spool.kept == []


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (SpoolFullError("no room"), "452 4.3.1 The spool is full"),
        (SpoolError("damaged"), "451 4.4.1 "),
    ],
)
async def test_what_a_spool_for_all_mail_can_not_keep_may_come_again(
    connect: Connect, error: SpoolError, answer: str
) -> None:
    upstream = ScriptedUpstream()
    spool = RecordingSpool("always", error=error)
    _, client = await connect(upstream, options=TRACKING, serve_with={"spool": spool})
    await upstream.close()
    with capture_logs() as logs:
        assert (await client.deliver(HTML_WIRE)).startswith(answer)
    (line,) = [each for each in logs if each["event"] == "message.refused"]
    assert [each["outcome"] for each in line["copies"]] == ["not_sent"]
