"""Of a message for several readers everybody gets a copy, or nobody does, or who does is named."""

import asyncio
from typing import Any

import pytest
from tests import oracle
from tests.captured_logs import capture_logs
from tests.injection.conftest import ACCEPTED, TRACKING, Connect, Run
from tests.injection.copies import (
    ALL_THREE,
    FOR_GOOD,
    HTML,
    HTML_WIRE,
    IMPATIENT,
    LARGE,
    PASSING,
    THREE,
    HalfTakingUpstream,
    say_to,
)
from tests.upstreams import HANG_UP, SILENCE, Answer, ScriptedUpstream, say
from tests.waiting import until

from msys_track.dispatch.decide import CopyDecision, Decision
from msys_track.dispatch.outgoing import OutgoingCopy, make_outgoing
from msys_track.keys.ring import KeyRing

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "RSET"])
@pytest.mark.parametrize(
    ("answer", "is_tried_again"),
    [(HANG_UP, True), (say("421 Bye"), True), (SILENCE, False), (say("nonsense"), False)],
)
async def test_an_upstream_that_breaks_while_it_is_asked_first_gets_no_copy_or_all(
    connect: Connect, command: str, answer: Answer, *, is_tried_again: bool
) -> None:
    upstream = ScriptedUpstream({command: [answer, "250 2.0.0 Ok"]})
    _, client = await connect(upstream, options=TRACKING, hop=IMPATIENT)
    reply = await client.deliver(HTML_WIRE, *THREE)
    if is_tried_again or command == "RSET":  # to which all had been accepted
        assert reply == ALL_THREE
        assert sorted(each.recipients for each in upstream.taken) == [(to,) for to in THREE]
    else:
        assert reply.startswith("451 4.4.1 ")
        assert upstream.arrived == []


async def test_with_tracking_on_each_recipient_has_links_of_its_own(
    connect: Connect, keys: KeyRing
) -> None:
    harness, client = await connect(options=TRACKING)
    answer = await client.deliver(HTML_WIRE, *THREE, THREE[1])
    assert answer == ALL_THREE
    assert sorted(each.recipients for each in harness.upstream.taken) == [(to,) for to in THREE]
    for taken in harness.upstream.taken:
        found = oracle.difference(HTML, taken.message)
        [(_, link)], [pixel] = found.links, found.pixels
        for url in (link, pixel):
            claims = keys.open(url.removeprefix("http://click.example.com"))
            assert claims.engagement.recipient == taken.recipients[0]


async def test_the_size_told_upstream_is_that_of_the_copy(connect: Connect) -> None:
    harness, client = await connect(options=TRACKING)
    await client.envelope(*THREE[:2], sender="<a@example.com> SIZE=12 BODY=8BITMIME")
    assert (await client.data(HTML_WIRE)).startswith("250 ")
    for taken in harness.upstream.taken:
        size = len(taken.received + taken.message)
        assert taken.parameters == ("BODY=8BITMIME", f"SIZE={size}")
    largest = max(len(each.received + each.message) for each in harness.upstream.taken)
    asked = next(each for each in harness.upstream.commands if each.startswith("MAIL"))
    assert asked == f"MAIL FROM:<a@example.com> BODY=8BITMIME SIZE={largest}"


@pytest.mark.parametrize("verdict", [PASSING, FOR_GOOD])
async def test_what_all_refuse_is_refused_before_anybody_has_it(
    connect: Connect, verdict: str
) -> None:
    harness, client = await connect({"DOT": verdict}, options=TRACKING)
    assert await client.deliver(HTML_WIRE, *THREE) == verdict
    assert len(harness.upstream.arrived) == 1
    assert harness.upstream.taken == []
    assert harness.counts["messages.refused.upstream"] == 1
    await client.say("NOOP")


async def test_copies_are_sent_several_at_a_time(connect: Connect) -> None:
    many = [f"to{number}@example.com" for number in range(40)]
    gate = asyncio.Event()
    upstream = ScriptedUpstream({"DOT": [ACCEPTED, *[say(ACCEPTED, when=gate)] * 39]})
    harness, client = await connect(upstream, options=TRACKING)
    await client.envelope(*many)
    client.send(HTML_WIRE + b".\r\n")
    await until(lambda: len(upstream.arrived) == 11)  # the first alone, then ten
    await asyncio.sleep(0.02)
    assert len(upstream.arrived) == 11
    gate.set()
    await until(lambda: harness.counts.get("messages.accepted"))
    assert sorted(each.recipients for each in upstream.taken) == sorted((to,) for to in many)


async def test_a_large_copy_that_is_refused_is_named_and_the_others_arrive(
    connect: Connect,
) -> None:
    harness, client = await connect(say_to(b=FOR_GOOD), options=TRACKING)
    answer = await client.deliver(LARGE, *THREE)
    assert answer.startswith("554-5.3.0 2 of 3 copies relayed")
    assert f"not sent to {THREE[1]}: {FOR_GOOD}" in answer
    assert harness.counts["copies.relayed"] == 2


@pytest.mark.parametrize("wire", [HTML_WIRE, LARGE], ids=["small", "large"])
async def test_a_defect_of_ours_in_a_later_copy_is_final_and_the_others_arrive(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, wire: bytes
) -> None:
    def make(decision: Decision, copy: CopyDecision, **more: Any) -> OutgoingCopy:
        if copy.readers[0].address == THREE[1]:
            raise RuntimeError("a defect")
        return make_outgoing(decision, copy, **more)

    monkeypatch.setattr("msys_track.injection.making.make_outgoing", make)
    harness, client = await connect(options=TRACKING)
    with capture_logs() as logs:
        answer = await client.deliver(wire, *THREE)
    assert answer.startswith("554-5.3.0 2 of 3 copies relayed")
    assert [each["event"] for each in logs].count("copy.failed") == 1
    assert [to for each in harness.upstream.taken for to in each.recipients] == [
        THREE[0],
        THREE[2],
    ]


FOR_ONE = """
def validate_data_spool_each_rcpt(transaction):
    if transaction.recipient == "c@example.com":
        transaction.set_sender("hers@example.com")
"""


async def test_a_first_copy_that_reaches_some_readers_lets_the_others_follow(run: Run) -> None:
    harness, client = await run(
        FOR_ONE,
        open_tracking=False,
        click_tracking=False,
        settings={"next_hop": HalfTakingUpstream()},
    )
    answer = await client.deliver(HTML_WIRE, *THREE)
    assert answer.replace("\r\n554 ", "\r\n554-").split("\r\n554-") == [
        "554-5.3.0 2 of 3 copies relayed; do not send it to all again",
        "5.3.0 not sent to b@example.com: 550 5.2.2 Mailbox full",
        "5.3.0 sent to a@example.com, c@example.com",
    ]
    assert harness.counts["messages.partly_relayed"] == 1
