"""The same dialogue is played to both fronts: aiosmtpd, the reference, and the machine."""

import asyncio
import re
from collections.abc import Sequence
from typing import TypeAlias

import pytest
from aiosmtpd.smtp import SMTP
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.injection.conftest import TRACKING, Start
from tests.smtp_client import Client
from tests.thoroughness import examples
from tests.upstreams import SILENCE, ScriptedUpstream, say
from tests.waiting import until

from msys_track.injection.aiosmtpd_front import ReferenceServer

pytestmark = pytest.mark.anyio

Ports: TypeAlias = tuple[int, int]
"""Of the reference front, and of the machine."""

SIZE = 33_554_432
OPEN = (b"EHLO client.test", b"MAIL FROM:<a@example.com>")
TAKEN = "250 2.0.0 Ok: in the mailbox"
READY = (*OPEN, b"RCPT TO:<b@example.com>")


def mail(*parameters: bytes) -> list[bytes]:
    """MAIL with each of these, one after the other."""
    return [OPEN[1] + b" " + each for each in parameters]


def rcpt(*arguments: bytes) -> list[bytes]:
    """RCPT with each of these, one after the other."""
    return [b"RCPT TO:" + each for each in arguments]


@pytest.fixture(params=["SMTPUTF8", "ASCII"])
async def ports(start: Start, request: pytest.FixtureRequest) -> Ports:
    """Both with the same settings, each with an upstream that offers the same."""
    offered = ["8BITMIME", f"SIZE {SIZE}", *(["SMTPUTF8"] if request.param == "SMTPUTF8" else [])]
    fronts = [
        await start(
            ScriptedUpstream({"DOT": TAKEN}, offered),
            front=front,
            hostname="stock.test",
            size_margin_bytes=0,
        )
        for front in ("aiosmtpd", "machine")
    ]
    reference, machine = [each.proxy.port for each in fronts]
    return reference, machine


async def play_dialogue(port: int, commands: Sequence[bytes]) -> list[str]:
    """Say one after the other, to the end or until the server closes."""
    replies = []
    async with Client(port) as client:
        for command in commands:
            replies.append(await client.say(command))
            if not replies[-1]:
                break
    return replies


async def pipeline_dialogue(port: int, commands: Sequence[bytes]) -> list[str]:
    """Say all in one write."""
    async with Client(port) as client:
        client.send(b"".join(each + b"\r\n" for each in commands))
        return await client.replies(len(commands))


def is_known(command: bytes, stock: str, ours: str) -> bool:
    """Whether the documentation says that the codes differ."""
    return any(
        re.match(pattern, command, re.IGNORECASE) and (stock, ours) == codes
        for pattern, codes, _ in DIFFERENT_CODES
    )


async def assert_same(ports: Ports, commands: Sequence[bytes]) -> None:
    """The codes are SMTP's; the texts are everybody's own (RFC 5321 section 4.2)."""
    stock, ours = [await play_dialogue(port, commands) for port in ports]
    for command, by_aiosmtpd, by_us in zip(commands, stock, ours, strict=False):
        codes = by_aiosmtpd[:3], by_us[:3]
        if codes[0] != codes[1]:
            assert is_known(command, *codes), (command, by_aiosmtpd, by_us)
            if by_aiosmtpd[:1] != by_us[:1]:
                return  # from here on the one is in another state than the other


DIFFERENT_CODES = [
    (rb"MAIL .*> .", ("501", "555"), "RFC 5321 section 4.1.1.11: parameters that are not known"),
    (rb"AUTH", ("503", "502"), "RFC 5321 section 4.2.4: AUTH is not offered"),
    (rb"AUTH", ("538", "502"), "the same"),
    (rb"AUTH", ("500", "502"), "the same"),
    (rb"AUTH", ("501", "502"), "the same"),
    (rb"", ("502", "421"), "RFC 5321 section 4.2.1: the last of too many unknown commands"),
    (rb"", ("500", "421"), "the same"),
    (rb"RCPT|MAIL", ("501", "553"), "RFC 5321 section 4.2.4: an argument that is not a path"),
    (rb"RCPT|MAIL", ("553", "501"), "the same"),
    (rb"MAIL", ("501", "503"), "RFC 5321 section 4.1.4: a fault of order goes first"),
    (rb"MAIL", ("555", "503"), "the same"),
    (rb"MAIL", ("553", "503"), "the same"),
    (rb"MAIL", ("552", "503"), "the same"),
    (rb"STARTTLS", ("454", "502"), "the same: STARTTLS is not offered"),
    (rb"HELP", ("250", "214"), "RFC 5321 section 4.2.3"),
    (rb"HELP .", ("501", "504"), "RFC 5321 section 4.1.1.8: a topic that is not known"),
    (rb"HELP .", ("501", "214"), "one that is"),
    (rb"HELP AUTH", ("250", "504"), "one that is not offered"),
    (rb"(MAIL FROM|RCPT TO):.*\(", ("250", "553"), "RFC 5321 section 4.1.2: no comments"),
    (rb"(MAIL FROM|RCPT TO):.*<[^>]* ", ("250", "553"), "the same: no spaces"),
    (rb"(MAIL FROM|RCPT TO):.*(<[^>]*|[^>])$", ("250", "553"), "the same: a path ends with >"),
    (rb"(EHLO|HELO) .*[\x80-\xff]", ("250", "501"), "RFC 5321 section 4.1.2: a domain is ASCII"),
    (rb"EHLO .*[\x80-\xff]", ("250", "500"), "the same"),
    (rb"NOOP x{500}", ("500", "250"), "docs/smtp.md: a command may have 2,048 bytes"),
    (rb"MAIL FROM:<x{500}", ("500", "250"), "the same"),
]
DIALOGUES = {
    "HELO": [b"HELO client.test", b"NOOP", b"QUIT"],
    "HELO without a name": [b"HELO", b"EHLO", b"EHLO ", b"HELO client.test extra"],
    "a mail by HELO": [
        b"HELO client.test",
        *READY[1:],
        b"DATA",
        b"Subject: x\r\n\r\nbody\r\n.",
        b"QUIT",
    ],
    "HELO has no parameters": [
        b"HELO client.test",
        *mail(b"SIZE=100", b"BODY=8BITMIME"),
        b"RCPT TO:<b@example.com> NOTIFY=NEVER",
    ],
    "two mails": [
        *READY,
        b"DATA",
        b"Subject: x\r\n\r\nbody\r\n.",
        b"RCPT TO:<b@example.com>",
        b"DATA",
        *READY[1:],
        b"DATA",
        b".",
    ],
    "nothing before a greeting": [b"MAIL FROM:<a@b>", b"RCPT TO:<a@b>", b"DATA", b"AUTH PLAIN"],
    "MAIL before RCPT before DATA": [
        *OPEN[:1],
        b"RCPT TO:<a@b>",
        b"DATA",
        *OPEN[1:],
        b"DATA",
        b"MAIL FROM:<again@example.com>",
    ],
    "RSET forgets": [*READY, b"RSET", b"RCPT TO:<b@example.com>", b"DATA", *READY[1:]],
    "EHLO and HELO forget": [*READY, b"HELO again.test", b"RCPT TO:<b@example.com>"],
    "RSET and QUIT take nothing": [b"RSET now", b"QUIT now", b"NOOP whatever", b"DATA", b"QUIT"],
    "DATA takes nothing": [*READY, b"DATA now"],
    "VRFY": [
        *(b"VRFY", b"VRFY a@example.com", b"VRFY <a@example.com>", b"VRFY Jo Doe"),
        *(b"EXPN list", b"EXPN"),
    ],
    "HELP": [
        *(b"HELP", b"HELP MAIL", b"HELP data", b"HELP NONSENSE"),
        *OPEN[:1],
        *(b"HELP", b"HELP MAIL", b"HELP RCPT", b"HELP STARTTLS", b"HELP AUTH", b"HELP EHLO"),
    ],
    "no STARTTLS and no AUTH": [
        *OPEN[:1],
        *(b"STARTTLS", b"AUTH PLAIN AGEAYg==", b"AUTH LOGIN", b"AUTH"),
    ],
    "unknown commands": [b"XCLIENT ADDR=::1", b"LHLO x", b"TURN", b"ETRN x"],
    "commands in any case": [b"ehlo x", b"Mail From:<a@b.test>", b"rCPT tO:<c@d.test>", b"noop"],
    "lines that are no commands": [
        *(b"", b" ", b"\t", b" NOOP", b"NOOP ", b"\xff\xfe", b"\xc3\xbc x"),
    ],
    "MAIL": [
        *OPEN[:1],
        *(b"MAIL", b"MAIL FROM", b"MAIL FROM:", b"MAIL TO:<a@example.com>"),
        b"MAIL FROM:<>",
        b"RSET",
        b"MAIL FROM: <a@example.com>",
        b"RSET",
        b"MAIL FROM:a@example.com",
        b"RSET",
        b"MAIL FROM:<@relay.test,@other.test:a@example.com>",
    ],
    "MAIL SIZE": [
        *OPEN[:1],
        *mail(b"SIZE", b"SIZE=", b"SIZE=x", b"SIZE=-1", b"SIZE=33554433"),
        *mail(b"SIZE=99999999999999999999", b"SIZE=33554432"),
        b"RSET",
        *mail(b"SIZE=0"),
    ],
    "MAIL BODY": [
        *OPEN[:1],
        *mail(b"BODY", b"BODY=9BIT", b"BODY=BINARYMIME", b"BODY=7BIT"),
        b"RSET",
        *mail(b"body=8bitmime size=100"),
    ],
    "MAIL SMTPUTF8": [
        *OPEN[:1],
        *mail(b"SMTPUTF8=1", b"SMTPUTF8"),
        "RCPT TO:<jö@bücher.example>".encode(),
        b"RSET",
        "MAIL FROM:<jö@bücher.example> SMTPUTF8".encode(),
    ],
    "parameters that nobody offered": [
        *OPEN[:1],
        *mail(b"RET=HDRS ENVID=1", b"AUTH=<>", b"=", b"X"),
        *OPEN[1:],
        *rcpt(b"<a@example.com> NOTIFY=NEVER", b"<a@example.com> ORCPT=rfc822;b@example.com"),
    ],
    "RCPT": [
        *OPEN,
        *(b"RCPT", b"RCPT TO", b"RCPT TO:", b"RCPT FROM:<b@example.com>"),
        *rcpt(b" <b@example.com>", b"b@example.com", b"<postmaster>"),
        *rcpt(b"<b@[127.0.0.1]>", b"<b@[IPv6:::1]>"),
        *rcpt(b'<"b c"@example.com>', b'<"b\\"c"@example.com>', b'<"b@c"@example.com>'),
        *rcpt(b"<b@example.com", b"<b c@example.com>", b"<b@example.com> "),
        *rcpt(b"<b@example.com>, <c@example.com>", b"<(comment)b@example.com>"),
        *rcpt(b"<b.@example.com>"),
    ],
    "a command at its limit": [b"HELO x", b"NOOP " + b"x" * 507, b"NOOP " + b"x" * 508],
    "a command far over it": [
        b"EHLO x",
        b"NOOP " + b"x" * 2_000,
        b"NOOP " + b"x" * 200_000,
        b"NOOP",
    ],
    "MAIL at its limit": [*OPEN[:1], b"MAIL FROM:<" + b"x" * 514 + b"@a.test>", b"NOOP"],
}


@pytest.mark.parametrize("name", DIALOGUES)
async def test_a_dialogue_is_answered_alike_by_both_fronts(ports: Ports, name: str) -> None:
    await assert_same(ports, DIALOGUES[name])


@pytest.mark.parametrize("name", ["two mails", "RSET forgets", "MAIL", "RCPT", "unknown commands"])
async def test_a_pipelined_dialogue_is_answered_the_same(ports: Ports, name: str) -> None:
    commands = DIALOGUES[name]
    for port in ports:
        assert await pipeline_dialogue(port, commands) == await play_dialogue(port, commands)


WORDS = st.sampled_from(
    b"EHLO HELO MAIL RCPT RSET NOOP VRFY HELP EXPN AUTH DATA FROM: TO: <a@example.com> a@b.test "
    b"<b@example.com> client SIZE=1 SIZE=x BODY=8BITMIME SMTPUTF8 X=Y \xc3\xbc".split(b" ")
)
SENTENCES = st.lists(WORDS, min_size=1, max_size=4).map(b" ".join)
MEANT = st.sampled_from([*READY, b"MAIL FROM:<> BODY=8BITMIME", b"RSET", b"RCPT TO:<c@b.test>"])


@given(commands=st.lists(MEANT | SENTENCES, max_size=8))
@settings(
    max_examples=examples(60),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
async def test_any_dialogue_is_answered_alike_by_both_fronts(
    ports: Ports, commands: list[bytes]
) -> None:
    said = [b"EHLO client.test"]
    for command in commands:
        said.append(command)
        if command.upper() == b"DATA":
            said.append(b".")  # whether DATA is taken or not, it ends what may have begun
    await assert_same(ports, said)


MALFORMED = "553 5.1.3 Malformed address"
LETTER = b"Subject: x\r\n\r\n"
DIFFERENCES = {
    "an internationalized name before EHLO has offered SMTPUTF8 (RFC 6531 section 3.7.1)": (
        ["EHLO bücher.example".encode()],
        "500",
        "500 5.5.2 Command is not ASCII",
    ),
    "an address that breaks CPython's parser (RFC 5321 section 4.1.2)": (
        [*OPEN[:1], b"MAIL FROM:<"],
        "451",
        "553 5.1.7 Malformed address",
    ),
    "an address that is not UTF-8 (RFC 6531 section 3.3)": (
        [*OPEN, b"RCPT TO:<b\xff@example.com>"],
        "553",
        "500 5.5.2 Command is not UTF-8",
    ),
    "an address that an encoded-word hides (RFC 5321 section 4.1.2)": (
        [*OPEN, b"RCPT TO:<(c)=?utf-8?q?root=40evil.test?=@example.com>"],
        "250",
        MALFORMED,
    ),
    "quotes inside a local part (RFC 5321 section 4.1.2)": (
        [*OPEN, b'RCPT TO:<"a"b@c.d>'],
        "250",
        MALFORMED,
    ),
    "digits of another script (RFC 1870 section 4)": (
        [*OPEN[:1], "MAIL FROM:<a@example.com> SIZE=²".encode()],
        "451",
        "501 5.5.4 A parameter is KEYWORD or KEYWORD=value",
    ),
    "an argument that is not UTF-8 (RFC 5321 section 4.1.1.6)": (
        [*OPEN[:1], b"VRFY (\xff"],
        "451",
        "500 5.5.2 Command is not UTF-8",
    ),
    "MAIL with the length that all extensions may add (RFC 3461 section 4)": (
        [*OPEN[:1], b"MAIL FROM:<" + b"x" * 540 + b"@a.test>"],
        "500",
        "250 2.1.0 Ok",
    ),
    "a line of 5,000 bytes in a message (RFC 5321 section 4.5.3.1.6 is exceeded in the wild)": (
        [*READY, b"DATA", LETTER + b"x" * 5_000 + b"\r\n."],
        "500",
        TAKEN,
    ),
    "a BDAT (RFC 3030 section 2)": (
        [*READY, b"BDAT 16 LAST\r\nSubject: x\r\n\r\n"],
        "500",
        TAKEN,
    ),
}
SAME = {
    "a recipient without an address": ([*OPEN, b"RCPT TO:<>"], "553"),
    "a control character in an address": ([*OPEN, b'RCPT TO:<"b\x07"@example.com>'], "553"),
    "a control character in a sender": ([OPEN[0], b'MAIL FROM:<"b\x07"@example.com>'], "553"),
    "a CR in an address": ([*OPEN, b'RCPT TO:<"b\rc"@example.com>'], "553"),
    "an angle bracket that no path can hold": ([*OPEN, b"RCPT TO:<b@[>]>"], "553"),
    "an echo of control characters": ([b"X\x1b[2JX"], "500"),
    "a bare LF in a message": ([*READY, b"DATA", LETTER + b"a\nb\r\n."], "550"),
}


@pytest.mark.parametrize("ports", ["SMTPUTF8"], indirect=True)
@pytest.mark.parametrize("name", DIFFERENCES)
async def test_answers_differ_where_an_rfc_says_which_is_right(ports: Ports, name: str) -> None:
    commands, by_reference, by_machine = DIFFERENCES[name]
    reference, machine = [await play_dialogue(port, commands) for port in ports]
    at = len(commands) - 1
    assert (reference[at][:3], machine[at]) == (by_reference, by_machine)
    async with Client(ports[1]) as client:
        assert (await client.say("NOOP")).startswith("250 ")


@pytest.mark.parametrize("ports", ["SMTPUTF8"], indirect=True)
@pytest.mark.parametrize("name", SAME)
async def test_both_fronts_refuse_what_could_travel_as_something_else(
    ports: Ports, name: str
) -> None:
    commands, code = SAME[name]
    reference, machine = [await play_dialogue(port, [*commands, b"NOOP"]) for port in ports]
    assert reference[-2][:3] == machine[-2][:3] == code
    assert reference[-1][:3] == machine[-1][:3] == "250"


async def test_the_reference_front_delivers_relays_and_refuses_as_the_other(start: Start) -> None:
    script = {"RCPT TO:<no@example.com>": "550 5.1.1 No such user"}
    for front in ("aiosmtpd", "machine"):
        harness = await start(script, front=front, recipients="as_they_come", options=TRACKING)
        client = await harness.client()
        await client.say("EHLO client.test")
        await client.say("MAIL FROM:<from@example.com>")
        assert (await client.say("RCPT TO:<a@example.com>")).startswith("250 ")
        assert await client.say("RCPT TO:<no@example.com>") == "550 5.1.1 No such user"
        assert (await client.say("RCPT TO:<b@EXAMPLE.com>")).startswith("250 ")
        assert (await client.say("RCPT TO:<b@example.com>")).startswith("250 ")
        await client.say("DATA")
        html = b"Content-Type: text/html\r\n\r\n<a href='http://e.com/'>x</a>\r\n.\r\n"
        assert (await client.data(html + b".")).startswith("250 2.0.0 Ok: 2 copies relayed")
        served = sorted(each.recipients for each in harness.upstream.taken)
        assert served == [("a@example.com",), ("b@EXAMPLE.com",)]
        assert all(b"/f/a/" in each.wire for each in harness.upstream.taken)


async def test_the_reference_front_ends_as_the_other(start: Start) -> None:
    gate = asyncio.Event()
    harness = await start({"DOT": say(TAKEN, when=gate)}, front="aiosmtpd")
    idle, waiting = await harness.client(), await harness.client()
    await waiting.envelope()
    waiting.send(LETTER + b".\r\n")
    await until(lambda: harness.upstream.arrived)
    closing = asyncio.create_task(harness.proxy.close())
    assert await idle.rest() == "421 4.3.2 Shutting down\r\n"
    assert not closing.done()
    gate.set()
    assert (await waiting.reply()) == TAKEN
    await asyncio.wait_for(closing, 30)
    assert len(harness.upstream.taken) == 1


async def test_the_reference_front_holds_no_more_bytes_than_the_other(start: Start) -> None:
    gate = asyncio.Event()
    mail = LETTER + b"x" * 500 + b"\r\n"
    for front in ("aiosmtpd", "machine"):
        harness = await start(
            {"DOT": say(TAKEN, when=gate)}, front=front, max_bytes_in_flight=2_500
        )
        first, second = await harness.client(), await harness.client()
        await first.envelope()
        first.send(mail + b".\r\n")
        await until(lambda: harness.upstream.arrived)  # noqa: B023 - of this turn
        assert (await second.deliver(mail * 2)).startswith("452 4.3.1 ")
        gate.set()
        assert await first.reply() == TAKEN
        gate.clear()


async def test_the_reference_front_is_cut_off_as_the_other(start: Start) -> None:
    for front in ("aiosmtpd", "machine"):
        harness = await start({"DOT": SILENCE}, front=front, drain_seconds=0.1)
        client = await harness.client()
        await client.envelope()
        client.send(LETTER + b".\r\n")
        await until(lambda: harness.upstream.arrived)  # noqa: B023 - of this turn
        await asyncio.wait_for(harness.proxy.close(), 30)
        assert await client.rest() == ""


def test_the_reference_front_overrides_nothing_that_is_private_in_aiosmtpd() -> None:
    own = {name for name in vars(ReferenceServer) if not name.startswith("__")}
    known = {name for each in SMTP.__mro__ for name in vars(each)}
    assert own & known == {"connection_made", "connection_lost"}
    assert "_front" not in known
