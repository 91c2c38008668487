"""The answer to DATA is the upstream's, and what it promises is so."""

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import pytest
from tests.captured_logs import capture_logs
from tests.injection.conftest import ACCEPTED, MESSAGE, TRACKING, Connect, Harness, Run
from tests.injection.copies import (
    FOR_GOOD,
    HTML,
    HTML_WIRE,
    IMPATIENT,
    LARGE,
    PASSING,
    THREE,
    HalfTakingUpstream,
    RecordingSpool,
    say_to,
)
from tests.smtp_client import Client
from tests.upstreams import EXTENSIONS, HANG_UP, SILENCE, Answer, ScriptedUpstream, say
from tests.waiting import until

from msys_track.dispatch.dispatcher import Dispatcher
from msys_track.injection.acceptance import Acceptance
from msys_track.injection.budget import Budget
from msys_track.injection.envelope import Envelope
from msys_track.keys.ring import KeyRing
from msys_track.metrics import Counters
from msys_track.policy.context import Context, Contexts
from msys_track.smtp.path import Recipient

pytestmark = pytest.mark.anyio


OFFERS = {"pipelining": EXTENSIONS, "no pipelining": EXTENSIONS[1:], "nothing": ()}


@pytest.fixture(params=OFFERS)
def extensions(request: pytest.FixtureRequest) -> Sequence[str]:
    """What the upstream offers: each has its own way through the dialogue."""
    return OFFERS[request.param]


async def assert_goes_on(harness: Harness, client: Client) -> None:
    """The same session delivers its next mail."""
    before = len(harness.upstream.taken)
    assert await client.deliver(b"Subject: next\r\n", "next@example.com") == ACCEPTED
    (taken,) = harness.upstream.taken[before:]
    assert (taken.recipients, taken.wire) == (("next@example.com",), b"Subject: next\r\n")


@pytest.mark.parametrize(
    "lines",
    [
        ("250 2.0.0 Ok: queued as ABC",),
        ("250 OK",),
        ("250 ",),
        ("250-2.0.0 first", "250-second", "250 third"),
        ("251 2.1.5 will forward",),
    ],
)
async def test_an_acceptance_passes_as_it_is(connect: Connect, lines: tuple[str, ...]) -> None:
    harness, client = await connect({"DOT": say(*lines)})
    assert await client.deliver(MESSAGE) == "\r\n".join(lines)
    assert len(harness.upstream.taken) == 1
    assert harness.counts["messages.accepted"] == 1


REFUSALS = [
    ("MAIL", "550 5.7.1 Sender rejected"),
    ("MAIL", "452 4.3.1 Insufficient storage"),
    ("RCPT", "550 5.1.1 No such user"),
    ("RCPT", "450 4.2.0 Greylisted, see https://example.com/?a=1&b=2"),
    ("RCPT", "550-5.7.1 First\r\n550-\r\n550 5.7.1 last"),
    ("DATA", "554 5.5.1 No valid recipients"),
    ("DATA", "451 4.3.0 Later"),
    ("DOT", "550 5.7.1 Spam"),
    ("DOT", "451 4.7.1 Later"),
    ("DOT", "599 what is this"),
]


@pytest.mark.parametrize(("command", "text"), REFUSALS)
async def test_a_refusal_passes_with_code_and_text(
    connect: Connect, extensions: Sequence[str], command: str, text: str
) -> None:
    good = {"DATA": "354 Go on", "DOT": ACCEPTED}.get(command, "250 2.0.0 Ok")
    harness, client = await connect(ScriptedUpstream({command: [text, good]}, extensions))
    assert await client.deliver(MESSAGE) == text
    assert harness.upstream.taken == []
    assert harness.counts["messages.refused.upstream"] == 1
    await assert_goes_on(harness, client)
    assert len(harness.upstream.dialogues) == 1


async def test_an_upstream_that_forgets_its_refusal_gets_no_empty_message(
    connect: Connect,
) -> None:
    """It refused the sender, yet takes recipient and DATA: a dot would be mail without a
    sender."""
    script = {"MAIL": "550 5.7.1 Sender rejected", "RCPT": "250 2.1.5 Ok", "DATA": "354 Go on"}
    harness, client = await connect(script)
    assert await client.deliver(MESSAGE) == "550 5.7.1 Sender rejected"
    assert harness.upstream.arrived == []


@pytest.mark.parametrize("verdict", [say("554 5.5.1 No valid recipients"), HANG_UP, SILENCE])
async def test_a_refused_recipient_stands_though_the_upstream_waits_for_data(
    connect: Connect, verdict: Answer
) -> None:
    """After 354 to the pipelined DATA, we owe a dot (RFC 2920 section 3.1)."""
    script = {"RCPT": "550 5.1.1 No such user", "DATA": "354 Go on", "DOT": verdict}
    harness, client = await connect(script, hop=IMPATIENT)
    assert await client.deliver(MESSAGE) == "550 5.1.1 No such user"
    assert harness.upstream.arrived == [b""]


@pytest.mark.parametrize("answer", ["250 2.0.0 Ok", "354 Go on", "220 hello", "334 what"])
@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA", "DOT"])
async def test_what_is_no_answer_to_the_command_is_a_451(
    connect: Connect, command: str, answer: str
) -> None:
    is_good = answer.startswith("354" if command == "DATA" else "2")
    harness, client = await connect({command: answer})
    code = (await client.deliver(MESSAGE))[:3]
    assert code == (answer[:3] if is_good and command == "DOT" else "250" if is_good else "451")
    assert len(harness.upstream.taken) == is_good


STEPS = ("GREETING", "EHLO", "MAIL", "RCPT", "DATA", "DOT")


@pytest.mark.parametrize("command", STEPS)
async def test_421_is_a_451_and_the_next_mail_finds_a_fresh_connection(
    connect: Connect, extensions: Sequence[str], command: str
) -> None:
    upstream = ScriptedUpstream({}, extensions)
    harness, client = await connect(upstream)
    await client.envelope()
    await harness.upstream.hang_up()
    await until(lambda: not harness.upstream.open_connections)
    upstream.set_answer(command, say("421 4.3.2 Going down", then="close"))
    answer = await client.data(MESSAGE)
    assert answer.startswith("451 4.4.")
    assert "421 4.3.2 Going down" in answer
    assert upstream.taken == []
    upstream.set_answer(command, [])
    await assert_goes_on(harness, client)


@pytest.mark.parametrize("command", STEPS)
@pytest.mark.parametrize(
    "answer",
    [
        HANG_UP,
        Answer(then="reset"),
        SILENCE,
        say("what do you mean?"),
        Answer(wire=b"\x16\x03\x01\x00\x02\n"),
        Answer(wire=b"250-never\r\n250-" + b"x" * 5_000),
        Answer(wire=b"250-never ending\r\n" * 5_000),
        say("250-one", "251 two"),
        say("999 no such code"),
    ],
    ids=["close", "reset", "silence", "words", "TLS", "a line", "lines", "codes", "999"],
)
async def test_a_broken_upstream_is_a_451_in_time(
    connect: Connect, command: str, answer: Answer
) -> None:
    harness, client = await connect({command: answer}, hop=IMPATIENT)
    begun = asyncio.get_running_loop().time()
    reply = await client.deliver(MESSAGE)
    assert re.fullmatch(r"451 4\.4\.[12] [\x20-\x7e]+", reply)
    assert asyncio.get_running_loop().time() - begun < 3
    assert len(harness.upstream.arrived) == (command == "DOT")
    harness.upstream.set_answer(command, [])
    await assert_goes_on(harness, client)


async def test_an_upstream_that_is_down_costs_a_451_and_no_mail(connect: Connect) -> None:
    upstream = ScriptedUpstream()
    _, client = await connect(upstream)
    await upstream.close()
    with capture_logs() as logs:
        answer = await client.deliver(MESSAGE)
    # Where it is, only the log says.
    assert answer == "451 4.4.1 The upstream can't be used: no connection: Connection refused"
    assert any(each.get("upstream") == f"127.0.0.1:{upstream.port}" for each in logs)
    again = ScriptedUpstream(port=upstream.port)
    await again.start()
    try:
        assert await client.deliver(MESSAGE) == ACCEPTED
        assert [each.wire for each in again.taken] == [MESSAGE]
    finally:
        await again.close()


async def test_ehlo_offers_only_what_is_ours_while_the_upstream_is_down(connect: Connect) -> None:
    upstream = ScriptedUpstream()
    _, client = await connect(upstream)
    await upstream.close()
    offer = ["localhost", "SIZE 33554432", "PIPELINING", "CHUNKING", "HELP"]
    said = (await client.say("EHLO client.test")).split("\r\n")
    assert [line[4:] for line in said] == offer
    refusal = await client.say("MAIL FROM:<a@example.com> SMTPUTF8")
    assert refusal == "455 4.3.2 The upstream can't be asked now whether it supports SMTPUTF8"


async def test_ehlo_does_not_wait_for_a_silent_upstream_as_long_as_a_mail_does(
    connect: Connect,
) -> None:
    hop = {"connect_timeout_seconds": 0.2, "reply_timeout_seconds": 120}
    _, client = await connect({"GREETING": SILENCE}, hop=hop)
    # The client waits half a minute for a reply.
    assert (await client.say("EHLO client.test")).startswith("250-localhost")


@pytest.mark.parametrize("options", [None, TRACKING], ids=["tracking off", "tracking on"])
@pytest.mark.parametrize("refused", THREE[1:])
async def test_no_recipient_is_told_250_and_dropped(
    connect: Connect, extensions: Sequence[str], options: Any, refused: str
) -> None:
    refusal = f"550 5.1.1 {refused} is unknown here"
    upstream = ScriptedUpstream({f"RCPT TO:<{refused}>": refusal}, extensions)
    harness, client = await connect(upstream, options=options)
    assert await client.deliver(HTML_WIRE, *THREE) == refusal
    assert upstream.arrived == []
    assert "DATA" not in upstream.commands
    await assert_goes_on(harness, client)


async def test_the_first_of_several_refusals_names_the_address_that_it_is_about(
    connect: Connect,
) -> None:
    texts = ("450 4.2.1 b is full", "550 5.1.1 c is unknown")
    script = {f"RCPT TO:<{to}>": text for to, text in zip(THREE[1:], texts, strict=True)}
    _, client = await connect(script)
    assert await client.deliver(MESSAGE, *THREE) == f"450 4.2.1 <{THREE[1]}>: b is full"


async def test_with_tracking_off_one_copy_serves_all(harness: Harness, client: Client) -> None:
    assert await client.deliver(HTML_WIRE, *THREE, THREE[0]) == ACCEPTED
    (taken,) = harness.upstream.taken
    assert (taken.recipients, taken.wire) == (THREE, HTML_WIRE)


@pytest.mark.parametrize("verdict", [PASSING, FOR_GOOD])
async def test_once_a_copy_is_out_the_client_is_never_asked_to_repeat_it(
    connect: Connect, verdict: str
) -> None:
    harness, client = await connect(say_to(b=verdict), options=TRACKING)
    with capture_logs() as logs:
        answer = await client.deliver(HTML_WIRE, *THREE)
    assert answer.split("\r\n") == [
        "554-5.3.0 2 of 3 copies relayed; do not send it to all again",
        f"554-5.3.0 not sent to b@example.com: {verdict}",
        "554 5.3.0 sent to a@example.com, c@example.com",
    ]
    assert [each.recipients for each in harness.upstream.taken] == [(THREE[0],), (THREE[2],)]
    (partly,) = [each for each in logs if each["event"] == "message.partly_relayed"]
    assert partly["unserved_recipients"] == ["b…@example.com"]
    assert harness.counts["messages.partly_relayed"] == 1
    assert harness.counts["copies.relayed"] == 2


async def test_a_final_answer_names_a_score_of_those_whom_it_is_about(connect: Connect) -> None:
    many = [f"to{number}@example.com" for number in range(60)]
    harness, client = await connect({"DOT": [ACCEPTED, *[FOR_GOOD] * 59]}, options=TRACKING)
    answer = (await client.deliver(HTML_WIRE, *many)).split("\r\n")
    assert answer[0] == "554-5.3.0 1 of 60 copies relayed; do not send it to all again"
    assert len(answer) == 23
    assert answer[-2:] == ["554-5.3.0 and 39 more", "554 5.3.0 sent to to0@example.com"]
    assert len(harness.upstream.arrived) == 60


@pytest.mark.parametrize("with_spool", [False, True])
async def test_those_whom_a_copy_did_not_reach_are_named_or_reported(
    keys: KeyRing, *, with_spool: bool
) -> None:
    spool = RecordingSpool() if with_spool else None
    upstream, counters = HalfTakingUpstream(), Counters()
    acceptance = Acceptance(Dispatcher(keys=keys), upstream, counters, spool=spool)
    envelope = Envelope(
        peer="127.0.0.1:1",
        listen="",
        contexts=Contexts(connection=Context(), message=Context()),
        sender="from@example.com",
        recipients=tuple(Recipient(path=to) for to in THREE[:2]),
        message=HTML,
        received_at=0.0,
    )
    reply = await acceptance.answer(envelope, Budget(10_000).hold(), lambda: False)
    if spool is None:
        assert (reply.code, reply.text.split("\n")) == (
            554,
            [
                "5.3.0 1 of 2 copies relayed; do not send it to all again",
                "5.3.0 not sent to b@example.com: 550 5.2.2 Mailbox full",
                "5.3.0 sent to a@example.com",
            ],
        )
    else:
        assert reply.text == "2.0.0 Ok: 1 copy relayed, 1 reported: Q1"
        ((done, _, delivery),) = spool.kept
        assert (done, [each.path for each in delivery.recipients]) == ("report", [THREE[1]])


async def test_whom_a_stop_leaves_unserved_is_told_in_the_log(connect: Connect) -> None:
    script = {"DOT": [ACCEPTED, SILENCE]}
    harness, client = await connect(script, options=TRACKING, drain_seconds=0.1)
    await client.envelope(*THREE)
    client.send(HTML_WIRE + b".\r\n")
    await until(lambda: len(harness.upstream.arrived) > 1)
    with capture_logs() as logs:
        await harness.proxy.close()
    (entry,) = [each for each in logs if each["event"] == "message.partly_relayed"]
    assert entry["why"] == "shut down before all copies were sent"
    assert harness.counts["messages.partly_relayed"] == 1


SLOW_POLICY = """
import time
from pathlib import Path

def validate_data_spool(transaction):
    Path({folder!r}, "begun").touch()
    while not Path({folder!r}, "may end").exists():
        time.sleep(0.005)
"""


async def test_a_client_that_leaves_while_its_large_mail_is_judged_stops_it(
    run: Run, tmp_path: Path
) -> None:
    harness, client = await run(SLOW_POLICY.format(folder=str(tmp_path)))
    await client.envelope("a@example.com")
    client.send(LARGE + b".\r\n")
    await until((tmp_path / "begun").exists)
    client.reset()
    await until(lambda: harness.counts.get("connections.dropped"))
    (tmp_path / "may end").touch()
    await until(lambda: harness.counts.get("messages.refused.client_gone"))
    assert harness.upstream.arrived == []


BAD_HEADERS = [
    ("{", "JSON parsing error in X-MSYS-API"),
    ("[]", "JSON parsing error in X-MSYS-API"),
    ('{"metadata": 7}', "X-MSYS-API 'metadata' must be of type 'json object'"),
    (json.dumps({"campaign_id": "x" * 65}), "smtpapi_campaign_id context is limited to 64 bytes"),
    ('{"cc": [{"name": "C"}]}', "X-MSYS-API 'cc[0].email' must be of type 'string'"),
]


@pytest.mark.parametrize("options", [None, TRACKING], ids=["tracking off", "tracking on"])
@pytest.mark.parametrize(("header", "text"), BAD_HEADERS)
async def test_a_malformed_header_refuses_the_message_for_everybody(
    connect: Connect, header: str, text: str, options: Any
) -> None:
    harness, client = await connect(options=options)
    wire = b"X-MSYS-API: " + header.encode() + b"\r\n" + HTML_WIRE
    answer = await client.deliver(wire, *THREE)
    assert f"{answer} (".startswith(f"550 5.6.0 {text} (")
    assert harness.upstream.arrived == []
    assert all(not each.startswith(("MAIL", "RCPT", "DATA")) for each in harness.upstream.commands)
    assert harness.counts["messages.refused.header"] == 1
    await client.say("NOOP")
    assert (await client.deliver(HTML_WIRE)).startswith("250 ")


async def test_a_defect_of_ours_is_a_451_and_the_session_goes_on(connect: Connect) -> None:
    class Broken(Dispatcher):
        def decide(self, *_what: object, **_more: object) -> NoReturn:
            raise RuntimeError("a defect")

    harness, client = await connect(rewriter=Broken(keys=KeyRing.temporary()))
    with capture_logs() as logs:
        for message in (MESSAGE, b"x" * 300_000 + b"\r\n"):
            answer = await client.deliver(message)
            assert answer == "451 4.3.0 Internal error of the tracking proxy"
    assert [each["event"] for each in logs] == ["message.failed"] * 2
    assert harness.counts["messages.refused.internal"] == 2
    assert harness.upstream.arrived == []
    assert await client.say("NOOP") == "250 2.0.0 Ok"


async def test_logs_name_nobody_whose_mail_went_well(connect: Connect) -> None:
    upstream = ScriptedUpstream({"RCPT TO:<c@example.com>": "550 5.1.1 No such user"})
    _, client = await connect(upstream, options=TRACKING)
    with capture_logs() as logs:
        await client.deliver(HTML_WIRE, *THREE[:2])
        await client.deliver(HTML_WIRE, *THREE)
        await client.deliver(b"a\nb\r\n")
    assert [each["event"] for each in logs] == ["message.relayed", *["message.refused"] * 2]
    assert not re.search("[a-z]@example.com", repr(logs))
    (relayed, refused, _) = logs
    assert (relayed["recipients"], relayed["links"], relayed["sender"]) == (2, 2, "f…@example.com")
    assert len({each["id"] for each in relayed["copies"]}) == 2
    assert {each["queue_id"] for each in relayed["copies"]} == {"4711"}
    assert refused["text"] == "5.1.1 <c…@example.com>: No such user"


async def test_a_message_whose_html_gmail_would_clip_is_counted_and_logged_once(
    connect: Connect,
) -> None:
    harness, client = await connect(options=TRACKING)
    filler = (b"y" * 70 + b"\r\n") * 1_420
    clipped = HTML_WIRE.replace(b"<a ", filler + b"<a ", 1)
    with capture_logs() as logs:
        await client.deliver(clipped, *THREE)
        await client.deliver(HTML_WIRE, *THREE)
    assert [each["event"] for each in logs] == [
        "message.html_clipped",
        "message.relayed",
        "message.relayed",
    ]
    assert (logs[0]["log_level"], len(logs[0]["message_ids"])) == ("warning", 3)
    assert harness.counts["notices.clipped_html"] == 1


GOOD_HEADERS: Mapping[str, bytes] = {
    "on one line": b'X-MSYS-API: {"options": {"open_tracking": false}}\r\n',
    "folded": b'X-Msys-Api:\r\n {"campaign_id":\r\n\t"spring"}\r\n',
    "twice": b"x-msys-api: {}\r\n" * 2,
}


@pytest.mark.parametrize("options", [None, TRACKING], ids=["tracking off", "tracking on"])
@pytest.mark.parametrize("name", GOOD_HEADERS)
@pytest.mark.parametrize("place", ["first", "last"])
async def test_the_header_is_in_no_copy(
    connect: Connect, name: str, options: Any, place: str
) -> None:
    harness, client = await connect(options=options)
    head, body = HTML_WIRE.split(b"\r\n\r\n", 1)
    header = GOOD_HEADERS[name]
    wire = header + HTML_WIRE if place == "first" else b"%b\r\n%b\r\n%b" % (head, header, body)
    assert (await client.deliver(wire, *THREE[:2])).startswith("250 ")
    for taken in harness.upstream.taken:
        assert taken.message.split(b"\r\n\r\n", 1)[0] == head
    assert {to for each in harness.upstream.taken for to in each.recipients} == set(THREE[:2])


async def test_the_header_alone_switches_tracking_on(harness: Harness, client: Client) -> None:
    header = b'X-MSYS-API: {"options": {"open_tracking": true}}\r\n'
    assert (await client.deliver(header + HTML_WIRE, *THREE)).startswith("250 ")
    assert len(harness.upstream.taken) == 3


async def test_what_is_relayed_has_no_bare_line_break(connect: Connect) -> None:
    harness, client = await connect(options=TRACKING)
    quoted = (
        b"Content-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
        b"<a href=3D'http://e.com/" + b"x" * 40 + b"=\r\n" + b"y" * 60 + b"'>x</a>=\r\n\r\n"
    )
    base64 = (
        b"Content-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        b"PGEgaHJlZj0naHR0\r\ncDovL2UuY29tL3gn\r\nPng8L2E+\r\n"
    )
    for message in (HTML_WIRE, quoted, base64):
        assert (await client.deliver(message)).startswith("250 ")
        wire = harness.upstream.taken[-1].wire
        assert b"click.example.com" in wire or b"base64" in wire
        assert wire != message
        assert not re.search(rb"\r(?!\n)|(?<!\r)\n", wire)


async def test_an_internationalized_address_reaches_the_upstream_as_it_is(
    harness: Harness, client: Client
) -> None:
    await client.envelope("用户@例子.example", sender="<jö@bücher.example> SMTPUTF8")
    assert await client.data(MESSAGE) == ACCEPTED
    (taken,) = harness.upstream.taken
    assert (taken.sender, taken.recipients) == ("jö@bücher.example", ("用户@例子.example",))
    assert "SMTPUTF8" in taken.parameters


@pytest.mark.parametrize("kind", ["cc", "bcc", "archive"])
async def test_a_reader_beyond_ascii_makes_the_mail_an_internationalized_one(
    connect: Connect, kind: str
) -> None:
    harness, client = await connect(options=TRACKING)
    header = "X-MSYS-API: " + json.dumps({kind: ["jö@bücher.example"]}) + "\r\n"
    answer = await client.deliver(header.encode() + HTML_WIRE)
    assert answer.startswith("250 ")
    reached = {to for each in harness.upstream.taken for to in each.recipients}
    assert reached == {"to@example.com", "jö@xn--bcher-kva.example"}
    assert all("SMTPUTF8" in each.parameters for each in harness.upstream.taken)


async def test_a_reader_beyond_ascii_is_refused_where_the_upstream_can_not_take_them(
    connect: Connect,
) -> None:
    upstream = ScriptedUpstream(extensions=("PIPELINING", "8BITMIME"))
    _, client = await connect(upstream, options=TRACKING)
    wire = b'X-MSYS-API: {"cc": ["j\\u00f6@x.test"]}\r\n' + HTML_WIRE
    assert "5.6.7 " in await client.deliver(wire)
    assert upstream.arrived == []


@pytest.mark.parametrize(
    "parameters", ["BODY=8B\u0131TMIME", "\u017fIZE=1", "\u017fMTPUTF8", "SIZE=1\u2003BODY=7BIT"]
)
async def test_parameters_of_mail_are_ascii(client: Client, parameters: str) -> None:
    await client.say("EHLO client.test")
    assert (await client.say(f"MAIL FROM:<a@b.test> {parameters}")).startswith("501 ")
    assert await client.say("MAIL FROM:<a@b.test> size=1 body=8bitmime") == "250 2.1.0 Ok"


async def test_the_null_sender_stays_null(connect: Connect) -> None:
    harness, client = await connect(options=TRACKING)
    await client.envelope(*THREE[:2], sender="<>")
    assert (await client.data(HTML_WIRE)).startswith("250 ")
    assert [each.sender for each in harness.upstream.taken] == ["", ""]


@pytest.mark.parametrize("recipients", [THREE[:1], THREE])
async def test_a_client_that_leaves_after_the_dot_does_not_stop_its_mail(
    connect: Connect, recipients: Sequence[str]
) -> None:
    gate = asyncio.Event()
    upstream = ScriptedUpstream({"DOT": [say(ACCEPTED, when=gate), ACCEPTED]})
    harness, client = await connect(upstream, options=TRACKING)
    await client.envelope(*recipients)
    client.send(HTML_WIRE + b".\r\n")
    await until(lambda: upstream.arrived)
    client.reset()
    await asyncio.sleep(0.02)
    gate.set()
    await until(lambda: harness.counts.get("messages.accepted"))
    assert [each.recipients for each in upstream.taken] == [(to,) for to in recipients]
    assert harness.proxy.in_flight_bytes == 0


@pytest.mark.parametrize("leave", ["reset", "close"])
async def test_a_client_that_leaves_before_anything_is_sent_stops_its_mail(
    connect: Connect, leave: str
) -> None:
    """It got no answer and will try again; to send would be to send twice."""
    gate = asyncio.Event()
    script = {"MAIL": [say("250 Ok", when=gate), "250 Ok"]}
    harness, client = await connect(script, options=TRACKING)
    await client.envelope(*THREE)
    client.send(HTML_WIRE + b".\r\n")
    await until(lambda: any("MAIL" in each for each in harness.upstream.commands))
    if leave == "reset":
        client.reset()
    else:
        client.writer.close()
    await asyncio.sleep(0.02)
    gate.set()
    await until(lambda: harness.counts.get("messages.refused.client_gone"))
    assert harness.upstream.arrived == []
    assert harness.proxy.in_flight_bytes == 0
