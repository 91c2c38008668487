"""Hostile and broken clients: each costs its own session, and the next one is served."""

import asyncio
import contextlib
import logging
import random
import socket
import tracemalloc
from typing import NoReturn

import pytest
from tests.injection.conftest import ACCEPTED, MESSAGE, Connect, Harness, Start
from tests.smtp_client import Client
from tests.upstreams import say
from tests.waiting import until

from msys_track.smtp.address import Address

pytestmark = pytest.mark.anyio

# Not a secret: the same noise in each run.
NOISE = random.Random(1)  # noqa: S311
CLIENT_HELLO = bytes.fromhex("1603010200010001fc0303") + NOISE.randbytes(506)
MAIL = b"MAIL FROM:<evil@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\nx\r\n.\r\n"
GARBAGE = {
    "TLS": CLIENT_HELLO,
    "TLS with line breaks": CLIENT_HELLO + b"\n" + CLIENT_HELLO,
    "HTTP": b"GET / HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\nA: b\r\nC: d\r\nE: f\r\n\r\n",
    "SSH": b"SSH-2.0-OpenSSH_9.6\r\n",
    "zeros": b"\x00" * 200_000,
    "empty lines": b"\r\n" * 20_000,
    "bare LF": b"\n" * 20_000,
    "8-bit commands": b"\xff\n" * 5_000,
    "one endless word": b"A" * 3_000_000,
    "one endless argument": b"EHLO " + b"A" * 3_000_000 + b"\r\n",
    "noise": NOISE.randbytes(300_000),
    "noise in lines": NOISE.randbytes(50_000).replace(b" ", b"\r\n"),
}


async def assert_serves(harness: Harness) -> None:
    client = await harness.client()
    assert await client.deliver(MESSAGE) == ACCEPTED
    assert harness.upstream.taken.pop().wire == MESSAGE
    assert harness.upstream.taken == []
    assert harness.counts.get("sessions.failed", 0) == 0


@pytest.mark.parametrize("name", GARBAGE)
async def test_garbage_costs_its_own_session_only(
    harness: Harness, client: Client, name: str
) -> None:
    drain = asyncio.create_task(client.reader.read(2**30))
    client.send(GARBAGE[name])
    await assert_serves(harness)
    client.writer.close()
    with contextlib.suppress(ConnectionError):
        await drain


async def test_random_bytes_at_any_point_of_a_session_leave_the_others_alone(
    harness: Harness,
) -> None:
    steps = [b"EHLO x\r\n", b"MAIL FROM:<a@b.test>\r\n", b"RCPT TO:<c@d.test>\r\n", b"DATA\r\n"]
    for known in range(len(steps) + 1):
        for _ in range(5):
            client = await harness.client()
            client.send(b"".join(steps[:known]) + NOISE.randbytes(2_000) + b"\r\n.\r\nQUIT\r\n")
            await asyncio.sleep(0.002)
            client.reset()
    await assert_serves(harness)
    await until(lambda: not harness.proxy.in_flight_bytes)


async def test_too_many_unknown_commands_end_the_session_and_nothing_after_them_counts(
    harness: Harness, client: Client
) -> None:
    """What a browser can be made to post (cross-protocol scripting) must not become mail."""
    client.send(b"Accept: */*\r\n" * 6 + b"EHLO evil.test\r\n" + MAIL * 3)
    answers = (await client.rest()).split("\r\n")
    assert answers[-2:] == ["421 4.7.0 Too many unknown commands; goodbye", ""]
    assert harness.counts["sessions.ended.unknown_commands"] == 1
    await assert_serves(harness)


@pytest.mark.parametrize(
    "command", [b"NOOP\r\n", b"VRFY x\r\n", b"MAIL FROM:<a@b.test>\r\nRSET\r\n"]
)
async def test_a_flood_of_commands_does_not_make_others_wait(
    connect: Connect, command: bytes
) -> None:
    harness, flooding = await connect(max_commands_without_mail=10_000_000)
    other = await harness.client()
    await flooding.say("EHLO client.test")
    replies = 100_000
    flooding.send(command * (replies // command.count(b"\n")))
    read = 0

    async def read_replies() -> None:
        nonlocal read
        while read < replies:
            read += (await flooding.reader.read(2**16)).count(b"\r\n")

    reading = asyncio.create_task(read_replies())
    for _ in range(20):
        assert (await other.say("NOOP")).startswith("250 ")
    assert read < replies  # otherwise the flood went first
    await reading


async def test_what_is_sent_ahead_of_an_answer_takes_no_memory(connect: Connect) -> None:
    gate = asyncio.Event()
    harness, client = await connect(
        {"DOT": say(ACCEPTED, when=gate)}, max_commands_without_mail=10_000_000
    )
    await client.envelope()
    client.send(MESSAGE + b".\r\n")
    await until(lambda: harness.upstream.arrived)
    tracemalloc.start()
    ahead = b"NOOP\r\n" * 10_000
    client.writer.transport.set_write_buffer_limits(0)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(1):
            while True:  # until the kernel takes no more
                client.send(ahead)
                await client.writer.drain()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3_000_000
    gate.set()
    assert await client.reply() == ACCEPTED
    assert (await client.reply()).startswith("250 ")


async def test_nothing_is_answered_after_quit(harness: Harness, client: Client) -> None:
    client.send(b"EHLO client.test\r\nQUIT\r\nNOOP\r\n" + MAIL)
    assert (await client.rest()).endswith("250 HELP\r\n221 2.0.0 Bye\r\n")
    await assert_serves(harness)


async def test_nothing_is_answered_after_quit_to_a_client_that_reads_late(start: Start) -> None:
    """Its connection closes only when it has read: time enough for what came after QUIT."""
    bound = socket.create_server(("127.0.0.1", 0))
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
    harness = await start(serve_with={"listeners": {Address("127.0.0.1", 0): [bound]}})
    with socket.socket() as late:
        late.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        late.connect(("127.0.0.1", harness.proxy.port))
        helps = 500  # about 40 kB of answers: more than the kernel takes, less than stops us
        late.sendall(b"HELP\r\n" * helps + b"QUIT\r\nNOOP\r\n" + b"EHLO evil.test\r\n" + MAIL)
        await asyncio.sleep(0.1)
        late.settimeout(30)
        answers = b""
        while chunk := await asyncio.to_thread(late.recv, 65_536):
            answers += chunk
    assert answers.count(b"\r\n") == 1 + helps + 1
    assert answers.endswith(b"\r\n221 2.0.0 Bye\r\n")


async def test_a_defect_of_ours_ends_the_session_and_nothing_after_it_counts(
    connect: Connect,
) -> None:
    """What follows may be the rest of a message."""

    def broken() -> NoReturn:
        raise RuntimeError("the clock is broken")

    harness, client = await connect(serve_with={"clock": broken})
    await client.envelope()
    client.send(MESSAGE + b".\r\nNOOP\r\nHELP\r\n" + MAIL)
    assert await client.rest() == "421 4.3.0 Internal error of the tracking proxy\r\n"
    assert harness.counts["sessions.failed"] == 1
    assert harness.upstream.arrived == []
    assert harness.proxy.in_flight_bytes == 0


@pytest.mark.parametrize(
    "address",
    [
        b"<a@example.com\r>",
        b"<a@example.com>\rRCPT TO:<b@example.com>",
        b'<"a\rRCPT TO:<b@example.com>"@example.com>',
        b'<"a\x00b"@example.com>',
        b"<a@example.com\x0b>",
        b'<"a>\\ b"@example.com>',
        b"<a@[1.2.3.4> RCPT TO:<b]>",
        b"<=?utf-8?q?a=40evil.test=3e=0d=0aRCPT_TO:=3cb?=@example.com>",
        b"<=?utf-8?q?x?=..@example.com>",
        "<a@example.com\u2028RCPT TO:<b@example.com>>".encode(),
        "<a@example.com\u0085>".encode(),
    ],
)
async def test_no_address_becomes_a_second_command(
    harness: Harness, client: Client, address: bytes
) -> None:
    await client.say("EHLO client.test")
    for command in (b"MAIL FROM:", b"RCPT TO:"):
        await client.say(b"RSET")
        await client.say("MAIL FROM:<a@example.com> SMTPUTF8")
        if command == b"MAIL FROM:":
            await client.say(b"RSET")
        await client.say(command + address)
        await client.say(b"RCPT TO:<last@example.com>")
        if (await client.say("DATA")).startswith("354"):
            await client.data(MESSAGE)
    verbs = [each.split(" ")[0].split(":")[0] for each in harness.upstream.commands]
    assert set(verbs) <= {"EHLO", "MAIL", "RCPT", "DATA", "RSET"}
    for said in harness.upstream.commands:
        assert said.count("RCPT TO") + said.count("MAIL FROM") <= 1 or '"' in said
        assert said.isprintable() or "\u2028" in said or "\u0085" in said
        assert "evil.test>" not in said
    assert harness.upstream.commands.count("RCPT TO:<b@example.com>") == 0


async def test_commands_too_long_take_no_memory(connect: Connect) -> None:
    _, client = await connect(max_errors=1_000)
    await client.say("EHLO client.test")
    tracemalloc.start()
    for number in range(200):
        command = b"%06d" % number * 10_000
        assert await client.say(command) == "500 5.5.2 Command line too long"
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 2_000_000


async def test_what_a_client_says_is_not_printed_by_pythons_last_resort(
    harness: Harness, capsys: pytest.CaptureFixture[str]
) -> None:
    """Terminals obey it, and a log of JSON lines has no place for it."""
    root = logging.getLogger()
    handlers, root.handlers = root.handlers, []
    try:
        client = await harness.client()
        await client.say(b"X\x1b[2J\rFAKE log line")
    finally:
        root.handlers = handlers
    assert "FAKE" not in capsys.readouterr().err


async def test_an_endless_line_takes_no_memory(connect: Connect) -> None:
    _, client = await connect(idle_timeout_seconds=1)
    tracemalloc.start()
    for _ in range(300):
        client.send(b"x" * 65_536)
        await client.writer.drain()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000
    client.send(b"\r\n")
    assert await client.reply() == "500 5.5.2 Command line too long"
    assert await client.say("NOOP") == "250 2.0.0 Ok"


async def test_a_session_that_says_nothing_good_ends_with_its_time(connect: Connect) -> None:
    _, client = await connect(idle_timeout_seconds=0.2, max_errors=100_000)
    begun = asyncio.get_running_loop().time()
    replies = []
    # RuntimeError is uvloop's word for a closed transport.
    with contextlib.suppress(ConnectionError, RuntimeError):
        while reply := await client.say(b" "):
            replies.append(reply)
            await asyncio.sleep(0.02)
    assert set(replies) <= {"500 5.5.2 Empty command", "421 4.4.2 Idle for too long"}
    assert 0.15 < asyncio.get_running_loop().time() - begun < 30
