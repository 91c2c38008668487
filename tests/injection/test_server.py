"""The listener: how many clients, how long, and how it ends."""

import asyncio
import contextlib
import re
import smtplib
import socket
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import NoReturn, cast

import pytest
from tests import oracle
from tests.captured_logs import capture_logs
from tests.certificates import make_certificate
from tests.injection.conftest import ACCEPTED, MESSAGE, TRACKING, Connect, Harness, Start
from tests.ports import find_free_ports
from tests.processes import PATIENCE_SECONDS
from tests.smtp_client import Client
from tests.upstreams import Answer, ScriptedUpstream, say, stock_aiosmtpd
from tests.waiting import until

from msys_track.errors import SettingsError
from msys_track.injection.access.access import Access
from msys_track.injection.access.settings import AccessSettings
from msys_track.keys.ring import KeyRing
from msys_track.smtp.address import Address
from msys_track.testing.fidelity import split_received
from msys_track.testing.sink import Arrival, MailSink

pytestmark = pytest.mark.anyio


async def test_the_greeting_names_the_proxy_and_nothing_is_looked_up(connect: Connect) -> None:
    _, client = await connect(hostname="proxy.example.com")
    assert re.fullmatch("220 proxy.example.com ESMTP msys-track [0-9a-f]{32}", client.greeting)


async def test_the_offer_is_what_reaches_through_to_the_upstream(connect: Connect) -> None:
    offered = "PIPELINING,SIZE 1000000,CHUNKING,DSN,STARTTLS,AUTH PLAIN,8BITMIME,SMTPUTF8,XCLIENT"
    _, client = await connect(ScriptedUpstream(extensions=offered.split(",")))
    assert (await client.say("EHLO client.test")).split("\r\n") == [
        "250-localhost",
        "250-SIZE 934464",
        "250-8BITMIME",
        "250-SMTPUTF8",
        "250-PIPELINING",
        "250-DSN",
        "250-CHUNKING",
        "250 HELP",
    ]


async def test_replies_to_pipelined_commands_do_not_wait_for_an_acknowledgement(
    client: Client,
) -> None:
    """By Nagle's algorithm each second reply would wait for the client's delayed ACK: 40 ms.

    One command at a time never waits: that is what the same work takes on this machine.
    """
    await client.say("EHLO client.test")
    commands = [b"MAIL FROM:<s@s.example>", b"RCPT TO:<r@r.example>", b"RSET"]
    loop = asyncio.get_running_loop()
    together, in_turn = [], []
    for _ in range(10):
        begun = loop.time()
        client.send(b"".join(each + b"\r\n" for each in commands))
        assert [reply[:3] for reply in await client.replies(3)] == ["250"] * 3
        together.append(loop.time() - begun)
        begun = loop.time()
        for each in commands:
            assert (await client.say(each)).startswith("250")
        in_turn.append(loop.time() - begun)
    assert min(together) < 0.03 + 5 * min(in_turn)


# uvloop takes a client in one turn of the loop and makes its session in the next.
@pytest.mark.parametrize("anyio_backend", ["uvloop"], indirect=True)
async def test_a_client_that_was_just_taken_is_served_as_the_proxy_goes(start: Start) -> None:
    harness = await start()
    with socket.create_connection(("127.0.0.1", harness.proxy.port)) as client:
        retiring = asyncio.create_task(harness.proxy.retire(PATIENCE_SECONDS))
        await until(lambda: harness.proxy.has_sessions)
        assert not retiring.done()
        client.sendall(b"EHLO client.test\r\n")
        client.setblocking(False)  # noqa: FBT003 - the standard library's
        greeting = await asyncio.get_running_loop().sock_recv(client, 65_536)
    assert greeting.startswith(b"220 ")
    await retiring


async def test_a_client_too_many_is_told_so_and_the_others_stay(start: Start) -> None:
    harness = await start(max_connections=2)
    first, _second, third = [await harness.client() for _ in range(3)]
    assert third.greeting == "421 4.3.2 Too many connections"
    assert await third.rest() == ""
    assert await first.deliver(MESSAGE) == ACCEPTED
    assert harness.counts["connections.refused"] == 1
    assert await first.say("QUIT") == "221 2.0.0 Bye"
    assert await first.rest() == ""
    fourth = await harness.client()
    assert fourth.greeting.startswith("220 ")


async def test_clients_that_come_in_one_moment_are_counted_too(start: Start) -> None:
    harness = await start(max_connections=3)
    sockets = [socket.socket() for _ in range(20)]
    for each in sockets:
        each.connect(("127.0.0.1", harness.proxy.port))  # the kernel takes it, the loop later
    said = [await asyncio.to_thread(each.recv, 100) for each in sockets]
    for each in sockets:
        each.close()
    assert sum(each.startswith(b"220 ") for each in said) == 3
    assert sum(each == b"421 4.3.2 Too many connections\r\n" for each in said) == 17
    await until(lambda: harness.counts["connections.refused"] == 17)


async def test_a_recipient_too_many_is_a_452_and_the_others_get_their_mail(
    connect: Connect,
) -> None:
    harness, client = await connect(max_recipients=2)
    await client.say("EHLO client.test")
    await client.say("MAIL FROM:<a@example.com>")
    answers = [await client.say(f"RCPT TO:<to{number}@example.com>") for number in range(3)]
    assert answers == ["250 2.1.5 Ok", "250 2.1.5 Ok", "452 4.5.3 Too many recipients"]
    await client.say("DATA")
    assert await client.data(MESSAGE) == ACCEPTED
    (taken,) = harness.upstream.taken
    assert taken.recipients == ("to0@example.com", "to1@example.com")


async def test_a_silent_client_is_told_that_its_time_is_over(start: Start) -> None:
    harness = await start(idle_timeout_seconds=0.2)
    silent, in_data = await harness.client(), await harness.client()
    await in_data.envelope()
    in_data.send(b"half a mes")
    for client in (silent, in_data):
        assert await client.rest() == "421 4.4.2 Idle for too long\r\n"
    assert harness.upstream.arrived == []


async def test_a_client_that_goes_on_is_not_idle(connect: Connect) -> None:
    _, client = await connect(idle_timeout_seconds=1.5)
    for _ in range(5):
        await asyncio.sleep(0.4)
        assert await client.say("NOOP") == "250 2.0.0 Ok"
    await client.envelope()
    for _ in range(5):
        await asyncio.sleep(0.4)
        client.send(b"line\r\n")
    assert await client.data(b"") == ACCEPTED


async def test_a_client_that_waits_for_the_upstream_is_not_idle(connect: Connect) -> None:
    gate = asyncio.Event()
    _, client = await connect({"DOT": say(ACCEPTED, when=gate)}, idle_timeout_seconds=1)
    await client.envelope()
    client.send(MESSAGE + b".\r\n")
    await asyncio.sleep(1.5)
    gate.set()
    assert await client.reply() == ACCEPTED
    assert await client.say("NOOP") == "250 2.0.0 Ok"


async def test_a_client_that_has_said_all_and_closes_its_side_gets_every_answer(
    connect: Connect,
) -> None:
    """As `printf … | nc` does."""
    harness, client = await connect()
    mail = b"MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n"
    client.send(b"EHLO client.test\r\n" + mail + MESSAGE + b".\r\nQUIT\r\n")
    client.writer.write_eof()
    codes = [reply[:3] for reply in await client.replies(6)]
    assert codes == ["250", "250", "250", "354", "250", "221"]
    assert len(harness.upstream.taken) == 1


async def test_a_client_that_reads_no_answers_does_not_stay_for_ever(connect: Connect) -> None:
    harness, deaf = await connect(idle_timeout_seconds=0.3, max_connections=1)
    cast("asyncio.Transport", deaf.writer.transport).pause_reading()
    deaf.send(b"HELP\r\n" * 200_000)
    with contextlib.suppress(ConnectionError):
        await asyncio.wait_for(deaf.writer.drain(), 30)

    async def is_gone() -> bool:
        async with Client(harness.proxy.port) as client:
            return client.greeting.startswith("220 ")

    async with asyncio.timeout(30):
        while not await is_gone():  # noqa: ASYNC110 - only another client can tell
            await asyncio.sleep(0.05)
    deaf.reset()


async def test_closing_lets_mail_under_way_finish(start: Start) -> None:
    gate = asyncio.Event()
    harness = await start({"DOT": say(ACCEPTED, when=gate)})
    idle, sending, waiting = [await harness.client() for _ in range(3)]
    await sending.envelope()
    sending.send(b"half a mes")
    await waiting.envelope()
    waiting.send(MESSAGE + b".\r\n")
    await until(lambda: harness.upstream.arrived)
    closing = asyncio.create_task(harness.proxy.close())
    assert await idle.rest() == "421 4.3.2 Shutting down\r\n"
    with pytest.raises(ConnectionError):
        await harness.client()
    gate.set()
    assert await waiting.rest() == f"{ACCEPTED}\r\n421 4.3.2 Shutting down\r\n"
    assert not closing.done()
    sending.send(b"sage\r\n.\r\n")
    assert await sending.rest() == f"{ACCEPTED}\r\n421 4.3.2 Shutting down\r\n"
    await asyncio.wait_for(closing, 30)
    assert [each.wire for each in harness.upstream.taken] == [MESSAGE, b"half a message\r\n"]


async def test_closing_does_not_wait_longer_than_it_should(connect: Connect) -> None:
    harness, waiting = await connect({"DOT": Answer()}, drain_seconds=0.2)
    await waiting.envelope()
    waiting.send(MESSAGE + b".\r\n")
    await until(lambda: harness.upstream.arrived)
    with capture_logs() as logs:
        await asyncio.wait_for(harness.proxy.close(), 30)
    assert await waiting.rest() == ""
    assert harness.proxy.in_flight_bytes == 0
    (lost,) = [each for each in logs if each["event"] == "upstream.answer_lost"]
    assert lost["recipients"] == ("to@example.com",)


async def test_closing_waits_for_mail_whose_client_is_gone(connect: Connect) -> None:
    gate = asyncio.Event()
    harness, client = await connect({"DOT": say(ACCEPTED, when=gate)})
    await client.envelope()
    client.send(MESSAGE + b".\r\n")
    await until(lambda: harness.upstream.arrived)
    client.reset()
    await asyncio.sleep(0.02)
    closing = asyncio.create_task(harness.proxy.close())
    await asyncio.sleep(0.05)
    assert not closing.done()
    gate.set()
    await asyncio.wait_for(closing, 30)
    assert len(harness.upstream.taken) == 1


@pytest.mark.parametrize("turns", [0, 2, 3, 4])  # 1: asyncio itself forgets it (gh-109564)
async def test_a_client_that_comes_while_it_closes_is_sent_away(start: Start, turns: int) -> None:
    """The loop may have taken the connection before it heard of the end."""
    harness = await start(drain_seconds=60)
    with socket.create_connection(("127.0.0.1", harness.proxy.port), timeout=30) as late:
        for _ in range(turns):
            await asyncio.sleep(0)
        await asyncio.wait_for(harness.proxy.close(), 30)
        with contextlib.suppress(ConnectionResetError):
            said = await asyncio.to_thread(late.recv, 100)
            assert said == b"" or said.endswith(b"421 4.3.2 Shutting down\r\n")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.9", "localhost"])
async def test_an_address_of_loopback_is_opened_without_a_rule(start: Start, host: str) -> None:
    harness = await start(listen_host=host)
    assert harness.proxy.sockname.host.startswith("127.")


@pytest.mark.parametrize("host", ["127.1", "192.0.2.1", "::"])
async def test_an_address_that_others_reach_is_not_opened_without_a_rule(
    start: Start, host: str
) -> None:
    with pytest.raises(SettingsError, match=r"proxy: listen: other machines reach .*:0, and"):
        await start(listen_host=host)


async def test_a_socket_of_ones_own_is_listened_on(start: Start) -> None:
    bound = socket.create_server(("127.0.0.1", 0))
    harness = await start(serve_with={"listeners": {Address("127.0.0.1", 0): [bound]}})
    assert harness.proxy.sockname == bound.getsockname()


async def test_an_ipv6_address_is_listened_on(start: Start) -> None:
    try:
        harness = await start(listen_host="::1")
    except OSError:
        pytest.skip("no IPv6 here")
    reader, writer = await asyncio.open_connection("::1", harness.proxy.port)
    assert (await reader.readline()).startswith(b"220 ")
    writer.close()


async def test_a_port_that_is_taken_is_an_error(harness: Harness, start: Start) -> None:
    with pytest.raises(OSError, match=r"[Aa]ddress already in use"):
        await start(listen_port=harness.proxy.port)


async def test_where_one_address_is_taken_none_stays_bound(
    harness: Harness, start: Start, tmp_path: Path
) -> None:
    made = make_certificate(tmp_path)
    (port,) = find_free_ports(1)
    rules = AccessSettings(
        listen_tls=(Address("127.0.0.1", harness.proxy.port),),
        tls_certificate=made.certificate,
        tls_key=made.key,
    )
    with pytest.raises(OSError, match=r"[Aa]ddress already in use"):
        await start(listen_port=port, access=rules)
    assert (await start(listen_port=port)).proxy.port == port


async def test_links_of_many_sessions_are_never_mixed_up(start: Start, keys: KeyRing) -> None:
    harness = await start(options=TRACKING, hop={"max_connections": 7})

    def write_message(to: str) -> bytes:
        head = f"Subject: {to}\r\nContent-Type: text/html\r\n\r\n"
        return f"{head}<body><a href='http://e.com/?for={to}'>x</a></body>\r\n".encode()

    async def session(number: int) -> None:
        client = await harness.client()
        for turn in range(10):
            to = f"to-{number}-{turn}@example.com"
            assert await client.deliver(write_message(to), to) == ACCEPTED

    await asyncio.gather(*(session(number) for number in range(20)))
    assert len(harness.upstream.taken) == 200
    assert harness.upstream.most_connections <= 7
    message_ids = set()
    for taken in harness.upstream.taken:
        (to,) = taken.recipients
        assert taken.wire.startswith(f"Subject: {to}\r\n".encode())
        found = oracle.difference(write_message(to), taken.wire)
        [(_, link)], [pixel] = found.links, found.pixels
        click, opened = [
            keys.open(url.removeprefix("http://click.example.com")) for url in (link, pixel)
        ]
        assert click.target == f"http://e.com/?for={to}"
        assert click.engagement.recipient == opened.engagement.recipient == to
        message_ids.add(click.engagement.message_id)
    assert len(message_ids) == 200


async def test_smtplib_delivers_through_the_proxy_to_stock_aiosmtpd(start: Start) -> None:
    arrivals: list[Arrival] = []
    async with stock_aiosmtpd(MailSink(arrivals.append), enable_SMTPUTF8=True) as port:
        harness = await start(hop={"port": port})
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = "a@example.com", "b@example.com", "Grüße"
        mail.set_content("Schöne Grüße\n.\n..\nfrom here\n", cte="8bit")

        def send() -> dict[str, tuple[int, bytes]]:
            with smtplib.SMTP("127.0.0.1", harness.proxy.port, timeout=10) as client:
                client.send_message(mail)
                return client.sendmail(
                    "a@example.com", ["b@example.com", "c@example.com"], MESSAGE, ["BODY=8BITMIME"]
                )

        assert await asyncio.to_thread(send) == {}
    first, second = arrivals
    assert "Schöne Grüße\r\n.\r\n..\r\nfrom here\r\n".encode() in first.message
    assert split_received(second.message)[1] == MESSAGE
    assert second.recipients == ("b@example.com", "c@example.com")


async def test_the_time_of_injection_is_that_of_the_clock(connect: Connect, keys: KeyRing) -> None:
    moment = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
    harness, client = await connect(options=TRACKING, serve_with={"clock": moment.timestamp})
    html = b"Content-Type: text/html\r\n\r\n<a href='http://e.com/'>x</a>\r\n"
    assert await client.deliver(html) == ACCEPTED
    ((_, link),) = oracle.difference(html, harness.upstream.taken[0].wire).links
    claims = keys.open(link.removeprefix("http://click.example.com"))
    assert claims.engagement.injected_at == int(moment.timestamp())


async def test_a_defect_of_ours_ends_one_session_and_no_other(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> NoReturn:
        raise RuntimeError("a defect")

    internal = "421 4.3.0 Internal error of the tracking proxy"
    with monkeypatch.context() as patch:
        patch.setattr(Access, "admit", fail)
        turned_away = await harness.client()
        assert turned_away.greeting == internal
        assert await turned_away.rest() == ""
    with monkeypatch.context() as patch:
        patch.setattr("msys_track.injection.transaction.open_message", fail)
        client = await harness.client()
        assert await client.deliver(MESSAGE) == internal
        assert await client.rest() == ""
    assert harness.counts["sessions.failed"] == 2
    assert await (await harness.client()).deliver(MESSAGE) == ACCEPTED
