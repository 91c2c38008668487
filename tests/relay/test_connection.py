"""One connection: what it says first, and what ends it."""

import asyncio
import contextlib
import socket
import sys

import pytest
from tests.relay.conftest import Relay, refusal_of, transaction
from tests.upstreams import HANG_UP, Answer, say
from tests.waiting import until

from msys_track.errors import UpstreamError
from msys_track.relay.settings import UpstreamSettings
from msys_track.relay.upstream import Upstream

pytestmark = pytest.mark.anyio

UNUSABLE = "451 4.4.1 The upstream can't be used: "
UMLAUT = "Subject: x\r\n\r\nGrüße\r\n".encode()


async def test_ehlo_says_the_address_of_our_end(relay: Relay) -> None:
    server, upstream = await relay()
    await upstream.deliver(transaction())
    assert server.commands[0] == "EHLO [127.0.0.1]"


async def test_an_ipv6_literal_is_marked_as_one() -> None:
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6 here")
    lines: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello\r\n")
        lines.append(await reader.readline())
        writer.close()

    server = await asyncio.start_server(answer, sock=listener)
    upstream = Upstream(UpstreamSettings(host="::1", port=listener.getsockname()[1]))
    with pytest.raises(UpstreamError):
        await upstream.deliver(transaction())
    assert lines == [b"EHLO [IPv6:::1]\r\n"]
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("answer", ["500 5.5.1 What?", "502 Not implemented", "550 No"])
async def test_a_server_that_knows_no_ehlo_hears_helo(relay: Relay, answer: str) -> None:
    server, upstream = await relay({"EHLO": answer}, ehlo_name="track.example.com")
    assert (await upstream.deliver(transaction())).code == 250
    assert server.commands[:2] == ["EHLO track.example.com", "HELO track.example.com"]
    assert server.taken[0].parameters == ()


async def test_a_server_that_puts_ehlo_off_is_not_taken_for_an_old_one(relay: Relay) -> None:
    """Without its extensions 8-bit mail would be refused for good."""
    _, upstream = await relay({"EHLO": "451 4.7.1 Not now"})
    refusal = await refusal_of(upstream.deliver(transaction(message=UMLAUT)))
    assert refusal == f"{UNUSABLE}it answered EHLO with: 451 4.7.1 Not now"


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ({"GREETING": "554 5.3.2 No service"}, "it greeted with: 554 5.3.2 No service"),
        ({"GREETING": "250 hello"}, "it greeted with: 250 hello"),
        ({"EHLO": "500 What?", "HELO": "550 No"}, "it answered HELO with: 550 No"),
        ({"GREETING": "HTTP/1.1 400 Bad Request"}, "it does not speak SMTP: "),
        ({"GREETING": say("220 one", "220 two")}, "it sent an unexpected reply"),
    ],
    ids=["554", "250", "HELO", "HTTP", "two greetings"],
)
async def test_a_server_that_is_none_for_us_is_a_451(
    relay: Relay, script: dict[str, str], why: str
) -> None:
    server, upstream = await relay(script)
    refusal = await refusal_of(upstream.deliver(transaction()))
    assert refusal.startswith(f"{UNUSABLE}{why}")
    assert server.arrived == []


async def test_nobody_there_is_a_451_in_time() -> None:
    """A listener whose queue is full takes no connection, as a host behind a firewall."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for each in fillers:
            each.settimeout(0)
            each.connect_ex(full.getsockname())
        settings = UpstreamSettings(port=full.getsockname()[1], connect_timeout_seconds=0.2)
        refusal = await refusal_of(Upstream(settings).deliver(transaction()))
        for each in fillers:
            each.close()
    assert refusal == f"{UNUSABLE}no connection within 0.2 s"


async def test_a_name_that_does_not_exist_is_a_451() -> None:
    upstream = Upstream(UpstreamSettings(host="nowhere.invalid"))
    refusal = await refusal_of(upstream.deliver(transaction()))
    assert refusal.startswith("451 ")
    assert "no connection: " in refusal
    assert "nowhere" not in refusal


@pytest.mark.parametrize(
    "answer",
    [say("250 Ok", "250 more"), say("250 Ok", "what?"), say("250 Ok", "421 Bye", then="close")],
)
async def test_what_follows_an_acceptance_ends_the_connection_and_spoils_no_answer(
    relay: Relay, answer: Answer
) -> None:
    server, upstream = await relay({"DOT": [answer, "250 Ok"]})
    for _ in range(2):
        assert (await upstream.deliver(transaction())).text == "Ok"
    assert len(server.dialogues) == len(server.taken) == 2


async def test_a_cancelled_delivery_cuts_the_connection_before_the_dot_is_taken(
    relay: Relay,
) -> None:
    server, upstream = await relay()
    slow = asyncio.create_task(upstream.deliver(transaction(message=b"x" * 50_000_000 + b"\r\n")))
    await until(lambda: "DATA" in server.commands)
    slow.cancel()
    with pytest.raises(asyncio.CancelledError):
        await slow
    assert (await upstream.deliver(transaction("next@example.com"))).code == 250
    assert [each.recipients for each in server.taken] == [("next@example.com",)]


async def test_a_connection_is_kept_for_the_next_mail_after_a_large_one_too(relay: Relay) -> None:
    server, upstream = await relay()
    for size in (1, 3_000_000, 3_000_000, 1):
        await upstream.deliver(transaction(message=b"x" * size + b"\r\n"))
    assert len(server.dialogues) == 1


async def test_an_answer_before_the_end_of_the_message_counts_and_costs_the_connection() -> None:
    """What is still to be sent of the message would be commands to it."""
    connections = []

    async def hasty(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        writer.write(b"220 hello\r\n")
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                if line == b"DATA\r\n":
                    break
                writer.write(b"250 Ok\r\n")
            writer.write(b"354 Go on\r\n")
            await reader.readexactly(1_000)
            writer.write(b"552 5.3.4 Too big\r\n")

    server = await asyncio.start_server(hasty, "127.0.0.1", 0)
    upstream = Upstream(UpstreamSettings(port=server.sockets[0].getsockname()[1]))
    large = transaction(message=b"x" * 30_000_000 + b"\r\n")
    for _ in range(2):
        with pytest.raises(UpstreamError, match=r"552 5\.3\.4 Too big"):
            await upstream.deliver(large)
    assert len(connections) == 2
    await upstream.close()
    server.close()
    for each in connections:
        each.transport.abort()
    await server.wait_closed()


async def test_an_idle_connection_keeps_no_message_in_memory(relay: Relay) -> None:
    _, upstream = await relay()
    mail = transaction(message=b"x" * 3_000_000 + b"\r\n")
    before = sys.getrefcount(mail.wire)
    await upstream.deliver(mail)
    await asyncio.sleep(0)
    after = sys.getrefcount(mail.wire)  # an assertion keeps what it compares
    assert after == before


async def test_a_refused_reset_costs_the_connection(relay: Relay) -> None:
    server, upstream = await relay({"RCPT": ["550 No", "250 Ok"], "RSET": "500 What?"})
    with pytest.raises(UpstreamError, match="550 No"):
        await upstream.deliver(transaction())
    await upstream.deliver(transaction())
    assert len(server.dialogues) == 2
    assert server.dialogues[0].commands[-1] == "QUIT"


async def test_a_refusal_counts_though_the_reset_is_lost(relay: Relay) -> None:
    _, upstream = await relay({"RCPT": "550 5.1.1 No", "RSET": HANG_UP})
    with pytest.raises(UpstreamError, match=r"550 5\.1\.1 No"):
        await upstream.deliver(transaction())
