"""LMTP: one answer for each recipient, so that some may have the mail and others not."""

import pytest
from tests.captured_logs import capture_logs
from tests.relay.conftest import Relay, refusal_of, transaction
from tests.upstreams import Answer, say

from msys_track.errors import PartlyTakenError, UpstreamError

pytestmark = pytest.mark.anyio

A, B, C = "a@example.com", "b@example.com", "c@example.com"


async def test_it_is_greeted_with_lhlo_and_with_nothing_else(relay: Relay) -> None:
    server, upstream = await relay({"LHLO": "500 5.5.1 What?"}, protocol="lmtp")
    refusal = await refusal_of(upstream.deliver(transaction()))
    assert refusal.endswith("it answered LHLO with: 500 5.5.1 What?")
    assert {each.split()[0] for each in server.commands} <= {"LHLO", "QUIT"}


async def test_one_recipient_has_one_answer(relay: Relay) -> None:
    _, upstream = await relay({"DOT": "250 2.0.0 Saved"}, protocol="lmtp")
    assert (await upstream.deliver(transaction(A))).text == "2.0.0 Saved"


async def test_a_mail_that_all_have_gets_the_first_answer_and_the_next_one_its_own(
    relay: Relay,
) -> None:
    server, upstream = await relay(
        {"DOT": [say("250 a", "250 b", "250 c"), say("250 d", "250 e")]}, protocol="lmtp"
    )
    assert (await upstream.deliver(transaction(A, B, C))).text == "a"
    assert (await upstream.deliver(transaction(A, B))).text == "d"
    assert len(server.dialogues) == 1


@pytest.mark.parametrize("lines", [("452 4.2.2 Full", "452 4.2.2 Full"), ("550 No", "550 No")])
async def test_a_mail_that_nobody_has_gets_the_first_refusal(
    relay: Relay, lines: tuple[str, str]
) -> None:
    _, upstream = await relay({"DOT": say(*lines)}, protocol="lmtp")
    with pytest.raises(UpstreamError) as refused:
        await upstream.deliver(transaction(A, B))
    assert not isinstance(refused.value, PartlyTakenError)
    assert (str(refused.value), refused.value.recipient) == (lines[0], A)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (say("550 5.1.1 No", "452 4.2.2 Full"), "452 4.2.2 Full"),
        (say("550 5.1.1 No", "552 5.2.2 Full"), "550 5.1.1 No"),
        (
            say("452 4.2.2 Full", then="close"),
            "451 4.4.2 The upstream's answer to the message was",
        ),
    ],
)
async def test_a_mail_that_nobody_has_may_be_sent_again_while_there_is_hope(
    relay: Relay, answer: Answer, told: str
) -> None:
    _, upstream = await relay({"DOT": answer}, protocol="lmtp")
    with pytest.raises(UpstreamError) as refused:
        await upstream.deliver(transaction(A, B))
    assert not isinstance(refused.value, PartlyTakenError)
    assert str(refused.value).startswith(told)


async def test_who_has_it_and_who_does_not_is_told_apart(relay: Relay) -> None:
    """The client must not send it again: some would have it twice."""
    lines = ("250 2.0.0 Saved", "452 4.2.2 Full", "550 5.1.1 No such user")
    _, upstream = await relay({"DOT": say(*lines)}, protocol="lmtp")
    with pytest.raises(PartlyTakenError) as refused:
        await upstream.deliver(transaction(A, B, C))
    assert refused.value.taken == (A,)
    assert {to: str(error) for to, error in refused.value.refused.items()} == {
        B: lines[1],
        C: lines[2],
    }
    assert str(refused.value) == (
        "554 5.3.0 1 of 3 recipients have the mail; "
        f"<{B}>: 452 4.2.2 Full; <{C}>: 550 5.1.1 No such user"
    )


@pytest.mark.parametrize("then", ["close", "reset"])
async def test_answers_that_came_before_the_end_count(relay: Relay, then: str) -> None:
    script = {"DOT": say("250 Saved", "550 5.1.1 No", then=then)}  # type: ignore[arg-type]
    _, upstream = await relay(script, protocol="lmtp")
    with capture_logs() as logs, pytest.raises(PartlyTakenError) as refused:
        await upstream.deliver(transaction(A, B, C))
    assert refused.value.taken == (A,)
    outcomes = {to: error.outcome for to, error in refused.value.refused.items()}
    assert outcomes == {B: "refused", C: "unknown"}
    assert [each["recipients"] for each in logs] == [(C,)]


async def test_a_refused_recipient_is_refused_before_the_message_is_sent(relay: Relay) -> None:
    server, upstream = await relay({f"RCPT TO:<{B}>": "550 5.1.1 No"}, protocol="lmtp")
    assert await refusal_of(upstream.deliver(transaction(A, B))) == "550 5.1.1 No"
    assert server.arrived == []
