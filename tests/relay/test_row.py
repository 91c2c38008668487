"""Messages that are handed over one behind the other on a connection."""

import asyncio
import contextlib
import os
import socket

import pytest
from tests.captured_logs import capture_logs
from tests.relay.conftest import MESSAGE, Relay, transaction
from tests.upstreams import EXTENSIONS, HANG_UP, Answer, ScriptedUpstream, say
from tests.waiting import until

from msys_track.errors import UpstreamError
from msys_track.relay.settings import UpstreamSettings
from msys_track.relay.upstream import Delivery, Row, Upstream
from msys_track.smtp.reply import Reply

pytestmark = pytest.mark.anyio

READERS = [f"r{number}@example.com" for number in range(4)]
TAKEN = "250 2.0.0 Ok: queued as 4711"
LOST = "451 4.4.2 The upstream's answer to the message was lost"
CUT_OFF = [HANG_UP, Answer(then="reset"), say("421 4.3.2 Bye", then="close")]
CUT_OFF_IDS = ["close", "reset", "421"]
LARGE = MESSAGE + b"0123456789\r\n" * 6_000


async def send(upstream: Upstream, *deliveries: Delivery) -> list[str]:
    """Hand over a row; return what came of each message."""
    results: list[str] = []
    waiting = iter(deliveries)

    def note(result: Reply | UpstreamError) -> None:
        results.append(f"{result.code} {result.text}")

    await upstream.deliver_row(Row(lambda: next(waiting, None), note))
    return results


def row(message: bytes = MESSAGE) -> list[Delivery]:
    return [transaction(reader, message=message) for reader in READERS]


def readers_served(server: ScriptedUpstream) -> list[str]:
    return [to for each in server.taken for to in each.recipients]


@pytest.mark.parametrize("message", [MESSAGE, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("extensions", [EXTENSIONS, []], ids=["pipelining", "one by one"])
async def test_a_row_is_so_many_transactions_on_one_connection(
    relay: Relay, extensions: list[str], message: bytes
) -> None:
    server, upstream = await relay(extensions=extensions)
    assert await send(upstream, *row(message)) == [TAKEN] * 4
    assert [each.recipients for each in server.taken] == [(reader,) for reader in READERS]
    assert server.arrived == [message] * 4
    assert len(server.dialogues) == 1
    verbs = [command.split(" ")[0] for command in server.commands]
    assert verbs == ["EHLO", *["MAIL", "RCPT", "DATA"] * 4]


async def test_the_next_transaction_begins_before_the_message_is_answered(relay: Relay) -> None:
    answered = asyncio.Event()
    server, upstream = await relay({"DOT": [say(TAKEN, when=answered), TAKEN]})
    task = asyncio.create_task(send(upstream, *row()))
    await until(lambda: server.waiting_verbs() == {"MAIL", "RCPT", "DATA"})
    answered.set()
    assert await task == [TAKEN] * 4


async def test_without_pipelining_the_next_transaction_waits_for_the_answer(relay: Relay) -> None:
    answered = asyncio.Event()
    server, upstream = await relay({"DOT": [say(TAKEN, when=answered), TAKEN]}, [])
    task = asyncio.create_task(send(upstream, *row()))
    await until(lambda: bool(server.arrived))
    assert server.waiting_verbs() == set()
    answered.set()
    assert await task == [TAKEN] * 4


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA", "DOT"])
@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("code", [450, 550])
async def test_a_refused_message_keeps_no_other_from_its_reader(
    relay: Relay, command: str, place: int, code: int
) -> None:
    usual = {"DATA": "354 Go on", "DOT": TAKEN}.get(command, "250 Ok")
    # After a 4xx to MAIL a fresh connection may do better; only a fresh one is asked once.
    times = 2 if (command, code) == ("MAIL", 450) and place > 0 else 1
    answers = [usual] * place + [f"{code} No"] * times + [usual]
    server, upstream = await relay({command: answers})
    results = await send(upstream, *row())
    assert [each[:3] for each in results] == [
        str(code) if number == place else "250" for number in range(4)
    ]
    others = [reader for number, reader in enumerate(READERS) if number != place]
    assert readers_served(server) == others


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize("answer", CUT_OFF, ids=CUT_OFF_IDS)
async def test_what_was_not_sent_before_the_connection_ended_goes_over_another(
    relay: Relay, command: str, answer: Answer
) -> None:
    usual = "354 Go on" if command == "DATA" else "250 Ok"
    server, upstream = await relay({command: [usual, usual, answer, usual]})
    assert await send(upstream, *row()) == [TAKEN] * 4
    assert readers_served(server) == READERS
    assert len(server.dialogues) == 2


@pytest.mark.parametrize("answer", CUT_OFF[:2], ids=CUT_OFF_IDS[:2])
async def test_a_message_whose_answer_is_lost_is_not_sent_again(
    relay: Relay, answer: Answer
) -> None:
    server, upstream = await relay({"DOT": [TAKEN, answer, TAKEN]})
    with capture_logs() as logs:
        results = await send(upstream, *row())
    assert [each[: len(LOST)] for each in results] == [TAKEN, LOST, TAKEN, TAKEN]
    assert len(server.arrived) == 4
    assert readers_served(server).count(READERS[1]) <= 1
    lost = [each["recipients"] for each in logs if each["event"] == "upstream.answer_lost"]
    assert lost == [(READERS[1],)]


@pytest.mark.parametrize("reads_on", [False, True])
async def test_an_upstream_that_replies_before_the_message_has_ended_refuses_no_other(
    *, reads_on: bool
) -> None:
    """It takes the rest for commands."""
    connections = []

    async def hasty(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        writer.write(b"220 hello\r\n")
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                if line != b"DATA\r\n":
                    is_known = line.startswith((b"EHLO", b"MAIL", b"RCPT"))
                    writer.write(b"250-x\r\n" if line.startswith(b"EHLO") else b"")
                    writer.write(b"250 PIPELINING\r\n" if is_known else b"500 What?\r\n")
                    continue
                writer.write(b"354 Go on\r\n")
                await reader.readline()
                if len(connections) > 1:
                    while await reader.readline() != b".\r\n":
                        pass
                    writer.write(b"250 Ok\r\n")
                    continue
                writer.write(b"552 5.3.4 Too big\r\n")
                if not reads_on:
                    await asyncio.Event().wait()

    # With little room most of the message is still with the relay when the reply comes.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    if not reads_on:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
    listener.bind(("127.0.0.1", 0))
    server = await asyncio.start_server(hasty, sock=listener, limit=256)
    upstream = Upstream(UpstreamSettings(port=listener.getsockname()[1]))
    await upstream.capabilities()
    if not reads_on:
        (kept,) = upstream._lender._pool._idle  # noqa: SLF001
        assert kept.transport is not None
        with socket.socket(fileno=os.dup(kept.transport.get_extra_info("socket").fileno())) as end:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2_048)
    results = await send(upstream, *row(MESSAGE + b"0123456789\r\n" * 5_000))
    assert results == ["552 5.3.4 Too big", "250 Ok", "250 Ok", "250 Ok"]
    assert len(connections) == 2
    await upstream.close()
    server.close()
    for each in connections:
        each.transport.abort()
    await asyncio.sleep(0)
    await server.wait_closed()


async def test_a_row_makes_room_for_who_waits(relay: Relay) -> None:
    answered = asyncio.Event()
    server, upstream = await relay({"DOT": [say(TAKEN, when=answered), TAKEN]}, max_connections=1)
    task = asyncio.create_task(send(upstream, *row()))
    await until(lambda: bool(server.arrived))
    other = asyncio.create_task(upstream.deliver(transaction("other@example.com")))
    await asyncio.sleep(0)
    answered.set()
    await asyncio.gather(task, other)
    # The second had begun.
    wanted = [*READERS[:2], "other@example.com", *READERS[2:]]
    assert readers_served(server) == wanted


async def test_a_row_ends_where_a_connection_has_had_its_messages(relay: Relay) -> None:
    server, upstream = await relay(max_messages_per_connection=3)
    assert await send(upstream, *row()) == [TAKEN] * 4
    sent = [sum(each == "DATA" for each in dialogue.commands) for dialogue in server.dialogues]
    assert sent == [3, 1]


async def test_an_upstream_that_is_down_is_noted_for_each(relay: Relay) -> None:
    server, upstream = await relay()
    await server.close()
    results = await send(upstream, *row())
    assert [each[:9] for each in results] == ["451 4.4.1"] * 4


@pytest.mark.parametrize("extensions", [EXTENSIONS, []], ids=["pipelining", "one by one"])
async def test_an_address_that_no_command_can_carry_is_refused_and_the_others_go_out(
    relay: Relay, extensions: list[str]
) -> None:
    server, upstream = await relay(extensions=extensions)
    results = await send(
        upstream, *(transaction(each) for each in (READERS[0], "a@b\r\n.com", READERS[1]))
    )
    assert [each.partition(" ")[0] for each in results] == ["250", "553", "250"]
    assert readers_served(server) == READERS[:2]


async def test_a_message_that_the_upstream_can_not_carry_is_refused_and_the_others_go_out(
    relay: Relay,
) -> None:
    server, upstream = await relay(extensions=["PIPELINING"])
    wide = transaction(READERS[1], message=b"Subject: x\r\n\r\ngr\xc3\xbcn\r\n")
    results = await send(upstream, transaction(READERS[0]), wide, transaction(READERS[2]))
    assert [each.partition(" ")[0] for each in results] == ["250", "554", "250"]
    assert readers_served(server) == [READERS[0], READERS[2]]
