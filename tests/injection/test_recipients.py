"""Recipients as they come: each RCPT has the upstream's own answer, and is asked about once."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import pytest
from tests.captured_logs import capture_logs
from tests.injection.conftest import ACCEPTED, MESSAGE, TRACKING, Harness, Start
from tests.smtp_client import Client
from tests.upstreams import EXTENSIONS, ScriptedUpstream, say
from tests.waiting import until

from msys_track.relay.settings import UpstreamSettings
from msys_track.relay.upstream import Upstream
from msys_track.smtp.path import Recipient
from msys_track.smtp.reply import Reply

pytestmark = pytest.mark.anyio

Ask: TypeAlias = Callable[..., Awaitable[tuple[Harness, Client]]]
MAIL = "MAIL FROM:<from@example.com>"
NOBODY = "550 5.1.1 No such user"


@pytest.fixture
def ask(start: Start) -> Ask:
    """Start a proxy that asks at each RCPT, and greet it."""

    async def start_and_greet(*upstream: Any, **settings: Any) -> tuple[Harness, Client]:
        harness = await start(*upstream, recipients="as_they_come", **settings)
        client = await harness.client()
        await client.say("EHLO client.test")
        return harness, client

    return start_and_greet


def rcpt(name: str) -> str:
    return f"RCPT TO:<{name}@example.com>"


async def test_the_upstream_is_asked_about_a_recipient_once(ask: Ask) -> None:
    harness, client = await ask()
    for command in (MAIL, rcpt("a"), rcpt("b")):
        assert (await client.say(command)).startswith("250 ")
    assert (await client.say("DATA")).startswith("354 ")
    assert await client.data(MESSAGE) == ACCEPTED
    commands = [each.split(" ")[0] for each in harness.upstream.commands]
    assert commands == ["EHLO", "MAIL", "RCPT", "RCPT", "DATA"]
    (taken,) = harness.upstream.taken
    assert taken.recipients == ("a@example.com", "b@example.com")


@pytest.mark.parametrize("options", [None, TRACKING])
async def test_only_the_refused_recipient_is_refused(ask: Ask, options: Any) -> None:
    refusing = {"RCPT TO:<b@example.com>": NOBODY}
    harness, client = await ask(refusing, options=options)
    await client.say(MAIL)
    assert (await client.say(rcpt("a"))).startswith("250 ")
    assert await client.say(rcpt("b")) == NOBODY
    assert (await client.say(rcpt("c"))).startswith("250 ")
    await client.say("DATA")
    assert (await client.data(MESSAGE)).startswith("250 ")
    served = [to for taken in harness.upstream.taken for to in taken.recipients]
    assert served == ["a@example.com", "c@example.com"]
    assert harness.counts["recipients.refused"] == 1


async def test_pipelined_recipients_are_answered_in_order(ask: Ask) -> None:
    harness, client = await ask({"RCPT TO:<b@example.com>": NOBODY}, max_recipients=3)
    asked = [rcpt("a"), rcpt("b"), "RCPT TO:<>", rcpt("c"), rcpt("A").replace("com", "COM")]
    asked += [rcpt("d"), rcpt("e")]
    client.send("".join(f"{each}\r\n" for each in [MAIL, *asked, "DATA"]).encode())
    answers = [each[:3] for each in await client.replies(9)]
    assert answers == ["250", "250", "550", "553", "250", "250", "452", "452", "354"]
    assert await client.data(MESSAGE) == ACCEPTED
    (taken,) = harness.upstream.taken
    assert taken.recipients == ("a@example.com", "c@example.com", "A@example.COM")


async def test_a_mailbox_is_one_reader_however_its_domain_is_written(ask: Ask) -> None:
    harness, client = await ask(options=TRACKING)
    commands = [MAIL, "RCPT TO:<D@E.F>", "RCPT TO:<D@e.f>", "RCPT TO:<d@e.f>", "DATA"]
    answers = [await client.say(each) for each in commands]
    assert [each[:3] for each in answers] == ["250"] * 4 + ["354"]
    assert (await client.data(MESSAGE)).startswith("250 ")
    assert sorted(each.recipients for each in harness.upstream.taken) == [("D@E.F",), ("d@e.f",)]


async def test_a_refused_sender_is_what_each_recipient_is_told(ask: Ask) -> None:
    _, client = await ask({"MAIL": ["550 5.7.1 Not you", "250 2.1.0 Ok"]})
    await client.say(MAIL)
    assert await client.say(rcpt("a")) == "550 5.7.1 Not you"
    assert (await client.say("DATA")).startswith("503 ")
    assert (await client.say("RSET")).startswith("250 ")
    assert await client.deliver(MESSAGE) == ACCEPTED


async def test_a_transaction_without_a_message_is_ended_at_the_upstream(ask: Ask) -> None:
    harness, client = await ask()
    for end in (b"RSET", b"EHLO again.test"):
        await client.say(MAIL)
        await client.say(rcpt("a"))
        await client.say(end)
        assert await client.deliver(MESSAGE) == ACCEPTED
        assert harness.upstream.taken.pop().recipients == ("to@example.com",)
    await client.say(MAIL)
    await client.say(rcpt("a"))
    client.reset()
    await until(lambda: harness.upstream.commands[-1] == "RSET")
    assert harness.counts["connections.dropped"] == 1


async def test_an_upstream_that_is_down_is_a_451_to_each_recipient(ask: Ask) -> None:
    upstream = ScriptedUpstream()
    _, client = await ask(upstream)
    await upstream.close()
    await client.say(MAIL)
    assert (await client.say(rcpt("a"))).startswith("451 4.4.1 The upstream can't be used")
    assert (await client.say("DATA")).startswith("503 ")


async def test_a_client_that_waits_for_the_upstream_s_answer_is_not_idle(ask: Ask) -> None:
    gate = asyncio.Event()
    _, client = await ask({"RCPT": say("250 2.1.5 Ok", when=gate)}, idle_timeout_seconds=0.5)
    await client.say(MAIL)
    client.send(rcpt("a").encode() + b"\r\n")
    await asyncio.sleep(1.0)
    gate.set()
    assert (await client.reply()).startswith("250 ")


async def test_what_was_accepted_is_sent_by_another_connection_if_that_one_ends(
    ask: Ask,
) -> None:
    harness, client = await ask()
    await client.say(MAIL)
    await client.say(rcpt("a"))
    await harness.upstream.hang_up()
    await client.say("DATA")
    assert await client.data(MESSAGE) == ACCEPTED
    assert [each.recipients for each in harness.upstream.taken] == [("a@example.com",)]


async def test_a_client_that_leaves_before_the_answer_leaves_nothing_behind(ask: Ask) -> None:
    gate = asyncio.Event()
    harness, client = await ask({"RCPT": say("250 2.1.5 Ok", when=gate)})
    client.send(f"{MAIL}\r\n{rcpt('a')}\r\n{rcpt('b')}\r\n".encode())
    await until(lambda: any("RCPT" in each for each in harness.upstream.commands))
    client.reset()
    await until(lambda: harness.counts.get("connections.dropped"))
    gate.set()
    await until(lambda: harness.upstream.commands[-1] == "RSET")
    other = await harness.client()
    assert await other.deliver(MESSAGE) == ACCEPTED
    assert harness.counts.get("sessions.failed", 0) == 0


async def test_parameters_of_dsn_reach_the_upstream_as_given(ask: Ask) -> None:
    harness, client = await ask(ScriptedUpstream(extensions=[*EXTENSIONS, "DSN"]))
    assert "250-DSN" in await client.say("EHLO client.test")
    await client.say("MAIL FROM:<from@example.com> RET=HDRS ENVID=Ab+2B1")
    line = "RCPT TO:<a@example.com> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;A@example.com"
    assert (await client.say(line)).startswith("250 ")
    await client.say("DATA")
    assert await client.data(MESSAGE) == ACCEPTED
    assert line in harness.upstream.commands
    assert {"RET=HDRS", "ENVID=Ab+2B1"} <= set(harness.upstream.taken[0].parameters)


async def test_a_refusal_can_be_traced(ask: Ask) -> None:
    _, client = await ask({"RCPT": NOBODY})
    with capture_logs() as logs:
        await client.say(MAIL)
        await client.say(rcpt("a"))
    (refused,) = [each for each in logs if each["event"] == "recipient.refused"]
    assert (refused["code"], refused["text"]) == (550, "5.1.1 No such user")
    assert (refused["sender"], refused["recipient"]) == ("f…@example.com", "a…@example.com")
    assert refused["peer"].startswith("127.0.0.1:")


class BrokenUpstream(Upstream):
    """One whose answer about a recipient never is one, by a defect of ours."""

    def __init__(self, settings: UpstreamSettings, defect: BaseException) -> None:
        super().__init__(settings)
        self._defect = defect

    def begin(self, *_: Any) -> Any:
        return self

    def add_recipient(self, _: Recipient) -> asyncio.Future[Reply]:
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        if isinstance(self._defect, asyncio.CancelledError):
            answer.cancel()
        else:
            answer.set_exception(self._defect)
        return answer

    def drop(self) -> None:
        return


@pytest.mark.parametrize("defect", [RuntimeError("a defect"), asyncio.CancelledError()])
async def test_a_defect_of_ours_at_a_recipient_ends_the_session_and_no_other(
    ask: Ask, start: Start, defect: BaseException
) -> None:
    upstream = ScriptedUpstream()
    broken = BrokenUpstream(UpstreamSettings(port=upstream.port), defect)
    _, client = await ask(upstream, next_hop=broken)
    await client.say(MAIL)
    assert await client.say(rcpt("a")) == "421 4.3.0 Internal error of the tracking proxy"
    assert await (await (await start()).client()).deliver(MESSAGE) == ACCEPTED
