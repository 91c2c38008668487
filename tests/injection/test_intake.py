"""DATA: what the upstream gets is what the client sent, however it was cut on the way."""

import asyncio

import pytest
from tests.captured_logs import capture_logs
from tests.injection.conftest import ACCEPTED, Connect, Harness, Start
from tests.smtp_client import Client
from tests.upstreams import ScriptedUpstream, stock_aiosmtpd
from tests.waiting import until

from msys_track.testing.fidelity import split_received
from msys_track.testing.sink import Arrival, MailSink

pytestmark = pytest.mark.anyio

HEAD = b"Subject: x\r\n\r\n"
MEGABYTE = 1024 * 1024
CHUNK_BYTES = 100_000
MESSAGES = {
    "plain": HEAD + b"body\r\n",
    "empty": b"",
    "one empty line": b"\r\n",
    "headers only": b"Subject: x\r\n",
    "no headers": b"\r\nbody\r\n",
    "a first line that is no header": b"body\r\nmore\r\n",
    "a line of 5 kB": HEAD + b"x" * 5_000 + b"\r\n",
    "a line of 300 kB": HEAD + b"y" * 300_000 + b"\r\n",
    "dots at line starts": HEAD + b".\r\n..\r\n...\r\n.a\r\n. \r\na.\r\n..\r\n",
    "a dot as the first byte": b".a\r\n",
    "nothing but dots": b".\r\n" * 50,
    "a dot after each line break": HEAD + b"\r\n.\r\n" * 1_000,
    "8-bit": HEAD + bytes(range(128, 256)) * 3 + b"\r\n",
    "NUL and controls": HEAD + bytes(each for each in range(32) if each not in b"\r\n") + b"\r\n",
    "two empty lines at the end": HEAD + b"body\r\n\r\n\r\n",
    "white space at line ends": HEAD + b"a \r\nb\t\r\n \r\n",
    "an X-header like ours": b"X-MSYS-APIS: {\r\n" + HEAD,
}


def stuff_dots(message: bytes) -> bytes:
    """Dot-stuffing, line by line (RFC 5321 section 4.5.2)."""
    lines = message.split(b"\r\n")
    return b"\r\n".join(b"." + line if line.startswith(b".") else line for line in lines)


async def test_messages_arrive_byte_for_byte_on_one_session(
    harness: Harness, client: Client
) -> None:
    for name, message in MESSAGES.items():
        assert await client.deliver(stuff_dots(message)) == ACCEPTED, name
        assert harness.upstream.taken[-1].wire == stuff_dots(message), name
        assert (await client.say("NOOP")).startswith("250 ")
    assert len(harness.upstream.taken) == len(MESSAGES)
    assert len(harness.upstream.dialogues) == 1


async def test_stock_aiosmtpd_gets_the_message_byte_for_byte(start: Start) -> None:
    arrivals: list[Arrival] = []
    short = {name: each for name, each in MESSAGES.items() if len(each) < 1_000 or "dot" in name}
    async with stock_aiosmtpd(MailSink(arrivals.append), enable_SMTPUTF8=True) as port:
        harness = await start(hop={"port": port})
        client = await harness.client()
        for message in short.values():
            assert (await client.deliver(stuff_dots(message))).startswith("250 ")
        arrived = [split_received(each.message) for each in arrivals]
        assert [message for _, message in arrived] == list(short.values())
        assert all(received for received, _ in arrived)


async def test_thirty_megabytes_arrive_and_nobody_else_waits(start: Start) -> None:
    harness = await start(max_commands_without_mail=1_000_000)
    line = bytes(range(36)).hex().encode() + b"\r\n"
    message = HEAD + line * (30 * MEGABYTE // len(line))
    large, small = await harness.client(), await harness.client()
    await large.envelope()
    delivery = asyncio.create_task(large.data(message))
    answered = 0
    while not delivery.done():
        await small.say("NOOP")
        answered += 1
    assert (await delivery).startswith("250 ")
    (taken,) = harness.upstream.taken
    assert taken.wire == message
    assert answered > 100  # one, if it waited for the other's mail


async def test_data_may_be_cut_anywhere_around_its_end(harness: Harness, client: Client) -> None:
    message = HEAD + b"body\r\n..\r\n"
    sent = message + b".\r\nNOOP\r\nVRFY x\r\n"
    for cut in range(len(message) - 5, len(sent)):
        await client.envelope()
        client.send(sent[:cut])
        await asyncio.sleep(0.004)
        client.send(sent[cut:])
        answers = await client.replies(3)
        assert [answer[:3] for answer in answers] == ["250", "250", "252"]
        assert harness.upstream.taken.pop().wire == message


async def test_a_whole_pipelined_session_is_answered_in_order(
    harness: Harness, client: Client
) -> None:
    mail = (
        b"MAIL FROM:<a@example.com>\r\nRCPT TO:<%b@example.com>\r\nDATA\r\n"
        b"Subject: %b\r\n\r\nbody\r\n.\r\n"
    )
    both = [mail % (each, each) for each in (b"first", b"second")]
    client.send(b"EHLO client.test\r\n" + b"".join(both) + b"NOOP\r\nQUIT\r\n")
    codes = [reply[:3] for reply in await client.replies(11)]
    assert codes == ["250", *["250", "250", "354", "250"] * 2, "250", "221"]
    assert await client.rest() == ""
    recipients = [each.recipients for each in harness.upstream.taken]
    assert recipients == [("first@example.com",), ("second@example.com",)]


SMUGGLED = {
    "LF . LF": HEAD + b"a\n.\nMAIL FROM:<evil@example.com>\r\n",
    "LF . CRLF": HEAD + b"a\n.\r\nMAIL FROM:<evil@example.com>\r\n",
    "CR . CR": HEAD + b"a\r.\rMAIL FROM:<evil@example.com>\r\n",
    "CR . CRLF": HEAD + b"a\r.\r\nb\r\n",
    "CRLF . LF": HEAD + b"a\r\n.\nb\r\n",
    "CRLF . CR": HEAD + b"a\r\n.\rb\r\n",
    "CR CRLF": HEAD + b"a\r\r\n",
    "CRLF LF": HEAD + b"a\r\n\n",
    "a bare LF": HEAD + b"a\nb\r\n",
    "a bare CR": HEAD + b"a\rb\r\n",
    "a bare LF first": b"\n" + HEAD,
    "a bare CR at the very end": HEAD + b"a\r",
    "a bare LF in a header": b"Subject: x\nBcc: y\r\n\r\nbody\r\n",
    "a bare LF after 300 kB": HEAD + b"x" * 300_000 + b"\nb\r\n",
}


@pytest.mark.parametrize("name", SMUGGLED)
async def test_a_bare_line_break_ends_no_data_and_refuses_the_message(
    harness: Harness, client: Client, name: str
) -> None:
    wire = SMUGGLED[name]
    await client.envelope()
    without_pairs = wire.replace(b"\r\n", b"__")
    at = min(place for each in b"\r\n" if (place := without_pairs.find(each)) >= 0)
    client.send(wire + (b".\r\n" if wire.endswith(b"\r\n") else b"\r\n.\r\n"))
    text = f"550 5.6.11 Bare CR or LF at byte {at} of the data; lines must end in CRLF"
    assert await client.reply() == text
    assert harness.upstream.dialogues[-1].commands[1:] == []
    assert harness.upstream.arrived == []
    assert harness.counts["messages.refused.bare_newline"] == 1
    assert (await client.deliver(HEAD)).startswith("250 ")


def list_endings() -> list[bytes]:
    """All that has been published as an end of data to some server, and its neighbours."""
    ends = [
        b"\r\n",
        b"\n",
        b"\r",
        b"\r\r\n",
        b"\n\r",
        b"\0\r\n",
        b"\r\0\n",
        b"\x85",
        b"\x0b",
        b"\x0c",
    ]
    dots = [b".", b"\0.", b".\0", b"..", b" .", b". "]
    endings = [before + dot + after for before in ends for dot in dots for after in ends]
    return [each for each in endings if END_OF_DATA not in each]


END_OF_DATA = b"\r\n.\r\n"
EVIL = b"MAIL FROM:<evil@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\nevil\r\n"


@pytest.mark.parametrize("bare_newline", ["refuse", "normalize"])
@pytest.mark.parametrize("way", ["DATA", "BDAT"])
async def test_nothing_smuggles_a_second_mail(
    connect: Connect, way: str, bare_newline: str
) -> None:
    """Whatever stands in for CRLF.CRLF, at most one mail goes on, and no server could see two."""
    harness, client = await connect(bare_newline=bare_newline)
    await client.say("EHLO client.test")
    for ending in list_endings():
        wire = HEAD + b"a" + ending + EVIL
        for command in (b"MAIL FROM:<a@example.com>", b"RCPT TO:<b@example.com>"):
            assert (await client.say(command)).startswith("250 ")
        if way == "DATA":
            await client.say("DATA")
            client.send(wire + b".\r\n")
        else:
            client.send(b"BDAT %d LAST\r\n%b" % (len(wire), wire))
        code = (await client.reply())[:3]
        has_bare = any(each in wire.replace(b"\r\n", b"") for each in b"\r\n")
        assert code == ("550" if has_bare and bare_newline == "refuse" else "250"), ending
        assert (await client.say("NOOP")).startswith("250 "), ending
        senders = {each for each in harness.upstream.commands if each.startswith("MAIL")}
        assert not any("evil" in each for each in senders), ending
        for arrived in harness.upstream.arrived:
            assert b"\n" not in arrived.replace(b"\r\n", b"")
            assert b"\r" not in arrived.replace(b"\r\n", b"")
            assert END_OF_DATA not in arrived
        harness.upstream.arrived.clear()


@pytest.mark.parametrize("bare_newline", ["refuse", "normalize"])
@pytest.mark.parametrize("way", ["DATA", "BDAT"])
async def test_nothing_smuggles_at_any_edge_of_reads(
    connect: Connect, way: str, bare_newline: str
) -> None:
    harness, client = await connect(bare_newline=bare_newline)
    await client.say("EHLO client.test")
    for ending in (b"\n.\n", b"\r\n.\n", b"\n.\r\n", b"\r.\r", b"\r\n.\r\r\n"):
        wire = HEAD + b"a" + ending + EVIL
        sent = b"DATA\r\n" + wire + b".\r\n"
        if way == "BDAT":
            sent = b"BDAT %d LAST\r\n%b" % (len(wire), wire)
        begun = len(sent) - len(EVIL) - len(ending) - 4
        for cut in range(begun, begun + len(ending) + 5):
            await client.say("MAIL FROM:<a@example.com>")
            await client.say("RCPT TO:<b@example.com>")
            client.send(sent[:cut])
            await asyncio.sleep(0.001)
            client.send(sent[cut:])
            replies = await client.replies(2 if way == "DATA" else 1)
            assert replies[-1][:3] == ("550" if bare_newline == "refuse" else "250")
            assert (await client.say("NOOP")).startswith("250 ")
    assert not any("evil" in each for each in harness.upstream.commands)
    assert bool(harness.upstream.arrived) is (bare_newline == "normalize")


async def test_bare_newlines_are_mended_where_the_settings_say_so(connect: Connect) -> None:
    """As senders in PHP write them; Postfix takes them too."""
    harness, client = await connect(bare_newline="normalize")
    assert await client.deliver(b"Subject: x\n\nab\rc\n..d\r\r\n.\n.\r\r\ne\r\n") == ACCEPTED
    assert harness.upstream.taken[0].wire == b"Subject: x\r\n\r\nab c\r\n..d\r\n\r\n\r\ne\r\n"


async def test_a_nul_is_refused_where_the_settings_say_so(connect: Connect) -> None:
    harness, client = await connect(refuse_nul=True)
    assert await client.deliver(HEAD + b"a\0b\r\n") == "550 5.6.0 The message has a NUL"
    assert await client.deliver(HEAD + b"ab\r\n") == ACCEPTED
    assert harness.counts["messages.refused.nul"] == 1


async def test_a_header_section_over_the_limit_is_refused(connect: Connect) -> None:
    harness, client = await connect(max_header_bytes=1_000)
    body = b"x" * 2_000 + b"\r\n"
    answer = await client.deliver(b"A: " + body + b"\r\n" + body)
    assert answer == "552 5.3.4 The header is too big, the limit is 1000 bytes"
    assert await client.deliver(HEAD + body) == ACCEPTED
    assert harness.counts["messages.refused.over_header"] == 1


async def test_a_message_in_chunks_arrives_as_any_other(harness: Harness, client: Client) -> None:
    message = HEAD + b".a\r\n.\r\n..\r\n" + b"x" * 100_000 + b"\r\n"
    await client.say("EHLO client.test")
    for start in (b"MAIL FROM:<a@example.com>", b"RCPT TO:<b@example.com>"):
        await client.say(start)
    for at in range(0, len(message), 30_000):
        chunk = message[at : at + 30_000]
        client.send(b"BDAT %d\r\n%b" % (len(chunk), chunk))
        assert await client.reply() == f"250 2.0.0 {len(chunk)} octets received"
    client.send(b"BDAT 0 LAST\r\n")
    assert await client.reply() == ACCEPTED
    assert harness.upstream.taken[0].message == message


async def begin_message(client: Client, way: str) -> None:
    """Begin a message: by DATA, or by the command of a chunk of CHUNK_BYTES."""
    await client.say("EHLO client.test")
    await client.say("MAIL FROM:<a@example.com>")
    await client.say("RCPT TO:<b@example.com>")
    if way == "DATA":
        assert (await client.say("DATA")).startswith("354 ")
    else:
        client.send(b"BDAT %d\r\n" % CHUNK_BYTES)


@pytest.mark.parametrize("way", ["DATA", "BDAT"])
async def test_a_message_that_takes_too_long_ends_its_session(connect: Connect, way: str) -> None:
    harness, client = await connect(message_timeout_seconds=0.4)
    await begin_message(client, way)
    async with asyncio.timeout(30):
        while not harness.counts.get("sessions.ended.slow_message"):
            client.send(b"line\r\n")
            await asyncio.sleep(0.02)
    assert await client.rest() == "421 4.4.2 The message took too long\r\n"
    assert harness.upstream.arrived == []


@pytest.mark.parametrize("way", ["DATA", "BDAT"])
async def test_the_time_of_a_message_is_counted_from_its_own_beginning(
    connect: Connect, way: str
) -> None:
    """Not from the machine's start, nor from a message before."""
    harness, client = await connect(message_timeout_seconds=2)
    await begin_message(client, way)
    await asyncio.sleep(1)  # the sweeper looks twice
    message = HEAD + b"x" * (CHUNK_BYTES - len(HEAD) - 2) + b"\r\n"
    client.send(message + (b".\r\n" if way == "DATA" else b"BDAT 0 LAST\r\n"))
    if way == "BDAT":
        assert await client.reply() == f"250 2.0.0 {CHUNK_BYTES} octets received"
    with capture_logs() as lines:
        assert await client.reply() == ACCEPTED
    assert harness.upstream.taken[0].message == message
    (relayed,) = [each for each in lines if each["event"] == "message.relayed"]
    assert 900 < relayed["ms"]["receive"] < 60_000


@pytest.mark.parametrize("leave", ["close", "reset", "say no more"])
async def test_a_client_that_leaves_in_its_data_has_sent_nothing(
    harness: Harness, client: Client, leave: str
) -> None:
    await client.envelope()
    client.send(HEAD + b"half a mes")
    await until(lambda: harness.proxy.in_flight_bytes)
    if leave == "close":
        client.writer.close()
    elif leave == "reset":
        client.reset()
    else:
        client.writer.write_eof()
        assert await client.rest() == ""
    await until(lambda: not harness.proxy.in_flight_bytes)
    await until(lambda: harness.counts.get("connections.dropped") == 1)
    assert harness.upstream.arrived == []
    assert all("MAIL" not in each for each in harness.upstream.commands)


async def test_a_client_that_leaves_is_logged_with_what_it_had_said(
    harness: Harness, client: Client
) -> None:
    with capture_logs() as logs:
        await client.envelope()
        client.send(HEAD)
        await until(lambda: harness.proxy.in_flight_bytes)
        client.reset()
        await until(lambda: harness.counts.get("connections.dropped") == 1)
    (dropped,) = [each for each in logs if each["event"] == "client.dropped"]
    assert (dropped["at"], dropped["log_level"]) == ("message", "info")
    assert dropped["peer"].startswith("127.0.0.1:")
    assert dropped["received_bytes"] == len(HEAD)


async def test_a_message_over_the_limit_is_read_to_its_end_and_refused(connect: Connect) -> None:
    harness, client = await connect(max_message_bytes=10_000)
    for excess in (1, 100_000):
        await client.envelope()
        answer = await client.data(b"x" * (10_000 - 2 + excess) + b"\r\n")
        assert answer == "552 5.3.4 Message too big, the limit is 10000 bytes"
    assert harness.upstream.arrived == []
    assert harness.counts["messages.refused.over_size"] == 2
    await client.envelope()
    assert (await client.data(b"x" * (10_000 - 2) + b"\r\n")).startswith("250 ")


async def test_what_is_over_the_limit_holds_no_memory(connect: Connect) -> None:
    harness, client = await connect(max_message_bytes=10_000)
    await client.envelope()
    client.send(b"x" * 8_000)
    await until(lambda: harness.proxy.in_flight_bytes == 2 * 8_000)
    client.send(b"x" * 8_000)
    await until(lambda: harness.proxy.in_flight_bytes == 0)
    assert (await client.data(b"\r\n")).startswith("552 ")


@pytest.mark.parametrize(
    ("size", "ours", "announced"),
    [
        ("SIZE 20000000", 33_554_432, 20_000_000 - 65_536),
        ("SIZE 100000", 33_554_432, 50_000),
        ("SIZE 100000", 10_000, 10_000),
        ("SIZE 0", 33_554_432, 33_554_432),
        ("SIZE", 33_554_432, 33_554_432),
        ("HELP", 33_554_432, 33_554_432),
        ("SIZE 99999999999", 33_554_432, 33_554_432),
    ],
)
async def test_size_leaves_room_for_what_tracking_adds_and_is_kept_at_mail(
    connect: Connect, size: str, ours: int, announced: int
) -> None:
    _, client = await connect(ScriptedUpstream(extensions=[size]), max_message_bytes=ours)
    assert f"250-SIZE {announced}" in (await client.say("EHLO client.test")).split("\r\n")
    refusal = f"552 5.3.4 Message too big, the limit is {announced} bytes"
    assert await client.say(f"MAIL FROM:<a@example.com> SIZE={announced + 1}") == refusal
    assert (await client.say(f"MAIL FROM:<a@example.com> SIZE={announced}")).startswith("250 ")


async def test_mail_over_the_budget_may_come_again_when_there_is_room(start: Start) -> None:
    harness = await start(max_bytes_in_flight=30_000)
    first, second = await harness.client(), await harness.client()
    message = b"x" * 8_000 + b"\r\n"
    await first.envelope()
    first.send(message)
    await until(lambda: harness.proxy.in_flight_bytes == 2 * len(message))
    await second.envelope()
    # Its own bytes fit, but not its copy as well.
    assert await second.data(message) == "452 4.3.1 Too much mail in flight"
    await second.envelope()
    # What could never fit is no matter of time.
    answer = await second.data(message * 4)
    assert answer == "552 5.3.4 Message too big, the limit is 15000 bytes"
    assert harness.proxy.in_flight_bytes == 2 * len(message)
    assert (await first.data(b"")).startswith("250 ")
    assert harness.proxy.in_flight_bytes == 0
    assert (await second.deliver(message)).startswith("250 ")
    assert harness.counts["messages.refused.over_budget"] == 1
