"""Upstreams that break at any byte: no mail is lost, none is taken for accepted, no place is lost.

Each is a bare socket that a test dictates byte by byte.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from tests.relay.conftest import MESSAGE, refusal_of, transaction
from tests.waiting import until

from msys_track.errors import UpstreamError
from msys_track.relay.settings import UpstreamSettings
from msys_track.relay.upstream import Upstream

pytestmark = pytest.mark.anyio

# What a usual upstream says, by the line that it answers.
USUAL = (
    (b"", b"220 raw.test\r\n"),
    (b"EHLO", b"250-raw.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 0\r\n"),
    (b"MAIL", b"250 2.1.0 Ok\r\n"),
    (b"RCPT", b"250 2.1.5 Ok\r\n"),
    (b"DATA", b"354 Go on\r\n"),
    (b".", b"250 2.0.0 Ok: queued as 4711\r\n"),
    (b"RSET", b"250 2.0.0 Ok\r\n"),
)
STEPS = [step for step, _ in USUAL[:-1]]
NAMES = ["greeting", "EHLO", "MAIL", "RCPT", "DATA", "dot"]


@dataclass(slots=True, kw_only=True)
class RawUpstream:
    """One server; `answers` has what differs from the usual, and each serves once."""

    port: int
    answers: dict[bytes, list[bytes | None]] = field(default_factory=dict)
    """None: it closes in place of the answer."""
    drips: bool = False
    resets: bool = False
    connections: int = 0
    taken: list[bytes] = field(default_factory=list)
    """Messages that it answered positively, or would have."""
    lines: list[bytes] = field(default_factory=list)


@pytest.fixture
async def raw() -> AsyncIterator[RawUpstream]:
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        upstream.connections += 1
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            await _converse(upstream, reader, writer)
        if upstream.resets:
            linger = struct.pack("ii", 1, 0)
            raw_socket = writer.get_extra_info("socket")
            raw_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.close()
        tasks.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    upstream = RawUpstream(port=server.sockets[0].getsockname()[1])
    yield upstream
    server.close()
    for task in tuple(tasks):
        task.cancel()
    await asyncio.gather(*tasks)


async def _converse(
    upstream: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    in_data, message = False, b""
    step = b""
    while True:
        wire = dict(USUAL).get(step, b"500 What?\r\n")
        if upstream.answers.get(step):
            given = upstream.answers[step].pop(0)
            if given is None:
                return
            wire = given
        if step == b"." and wire.startswith(b"2"):
            upstream.taken.append(message)
        pieces = [wire[place : place + 1] for place in range(len(wire))]
        for piece in pieces if upstream.drips else [wire]:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        in_data = step == b"DATA" and wire.startswith(b"354")
        message = b""
        while line := await reader.readline():
            upstream.lines.append(line)
            if not in_data or line == b".\r\n":
                break
            message += line
        if not line or line == b"QUIT\r\n":
            return
        step = b"." if in_data else line[:4]


@contextlib.asynccontextmanager
async def relay_to(raw: RawUpstream, **settings: float) -> AsyncIterator[Upstream]:
    upstream = Upstream(
        UpstreamSettings(port=raw.port, max_connections=1, **settings)  # type: ignore[arg-type]
    )
    yield upstream
    await upstream.close()


async def assert_goes_on(raw: RawUpstream, upstream: Upstream) -> None:
    """No place was lost, and the next mail arrives whole."""
    before = len(raw.taken)
    assert (await upstream.deliver(transaction())).text == "2.0.0 Ok: queued as 4711"
    assert raw.taken[before:] == [MESSAGE]


async def test_replies_that_come_byte_by_byte_are_replies(raw: RawUpstream) -> None:
    raw.drips = True
    async with relay_to(raw) as upstream:
        for _ in range(3):
            await assert_goes_on(raw, upstream)
    assert raw.connections == 1


@pytest.mark.parametrize("resets", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize(
    ("step", "was_kept"),
    [*((each, False) for each in STEPS), *((each, True) for each in STEPS[2:])],
)
async def test_an_end_at_any_step_is_no_acceptance_and_no_second_mail(
    raw: RawUpstream, step: bytes, *, was_kept: bool, resets: bool
) -> None:
    async with relay_to(raw) as upstream:
        if was_kept:
            await assert_goes_on(raw, upstream)
        raw.answers, raw.resets = {step: [None]}, resets
        before = len(raw.taken)
        if was_kept and step != b".":
            assert (await upstream.deliver(transaction())).code == 250
            assert len(raw.taken) == before + 1
        else:
            with pytest.raises(UpstreamError) as failed:
                await upstream.deliver(transaction())
            assert failed.value.outcome == ("unknown" if step == b"." else "not_sent")
            assert len(raw.taken) == before
        await assert_goes_on(raw, upstream)


@pytest.mark.parametrize("cut", [1, 4, 9])
@pytest.mark.parametrize("step", STEPS, ids=NAMES)
async def test_an_end_within_a_reply_is_no_reply(raw: RawUpstream, step: bytes, cut: int) -> None:
    raw.answers = {step: [dict(USUAL)[step][:cut]], b"": [None] if step == b"" else []}
    async with relay_to(raw, reply_timeout_seconds=0.3, data_timeout_seconds=0.3) as upstream:
        refusal = await refusal_of(upstream.deliver(transaction()))
        assert refusal.startswith("451 4.4.")
        raw.answers = {}
        await assert_goes_on(raw, upstream)


GARBAGE = [
    b"\x00" * 20 + b"\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n",
    b"HTTP/1.1 400 Bad Request\r\n\r\n",
    b"250-one\r\n251 two\r\n",
    b"2500 Ok\r\n",
    b"\r\n",
    b"250" * 3_000,
    b"250-x\r\n" * 20_000,
    "٢٥٠ Ok\r\n".encode(),
]


@pytest.mark.parametrize("garbage", GARBAGE, ids=range(len(GARBAGE)))
@pytest.mark.parametrize("step", STEPS, ids=NAMES)
async def test_garbage_at_any_step_is_no_acceptance(
    raw: RawUpstream, step: bytes, garbage: bytes
) -> None:
    raw.answers = {step: [garbage]}
    async with relay_to(raw) as upstream:
        with pytest.raises(UpstreamError) as failed:
            await upstream.deliver(transaction())
        assert failed.value.code == 451
        assert failed.value.outcome == ("unknown" if step == b"." else "not_sent")
        await assert_goes_on(raw, upstream)


@pytest.mark.parametrize(
    "extra", [b"250 2.0.0 Ok: early\r\n", b"250 2.0.0 Ok: ear", b"2", b"\r\n"]
)
@pytest.mark.parametrize("step", [b"EHLO", b"DATA"])
async def test_what_comes_before_it_was_asked_for_is_no_answer(
    raw: RawUpstream, step: bytes, extra: bytes
) -> None:
    """Else the acceptance of a message that it has not read would be believed."""
    raw.answers = {step: [dict(USUAL)[step] + extra], b".": [None]}
    async with relay_to(raw) as upstream:
        with pytest.raises(UpstreamError) as failed:
            await upstream.deliver(transaction())
        assert (failed.value.code, failed.value.outcome) == (451, "not_sent")
        raw.answers = {}
        await assert_goes_on(raw, upstream)


@pytest.mark.parametrize("step", [b"MAIL", b"RCPT"])
async def test_one_reply_too_many_shifts_no_other(raw: RawUpstream, step: bytes) -> None:
    raw.answers = {step: [dict(USUAL)[step] + b"250 2.0.0 Ok: extra\r\n"]}
    async with relay_to(raw, reply_timeout_seconds=0.5) as upstream:
        refusal = await refusal_of(upstream.deliver(transaction()))
        assert refusal.startswith("451 4.4.")
        assert raw.taken == []
        await assert_goes_on(raw, upstream)


async def test_an_upstream_that_only_closes_its_sending_side_is_gone(raw: RawUpstream) -> None:
    """A half-open connection: it still reads, but no answer can come."""
    sockets: list[socket.socket] = []

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 half\r\n")
        await reader.readline()
        writer.write(b"250 half\r\n")
        await reader.readline()
        sockets.append(writer.get_extra_info("socket"))
        writer.write_eof()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(deaf, "127.0.0.1", 0)
    upstream = Upstream(UpstreamSettings(port=server.sockets[0].getsockname()[1]))
    with pytest.raises(UpstreamError) as failed:
        await upstream.deliver(transaction())
    assert (failed.value.code, failed.value.outcome) == (451, "not_sent")
    assert len(sockets) == 1
    server.close()
    await server.wait_closed()
    assert raw.connections == 0


async def test_an_upstream_that_reads_nothing_of_a_message_is_given_up_in_time() -> None:
    """The bytes that wait for it are freed too."""

    async def stuck(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 stuck\r\n")
        for answer in (b"250 stuck\r\n", b"250 Ok\r\n", b"250 Ok\r\n", b"354 Go on\r\n"):
            await reader.readline()
            writer.write(answer)
        transports.append(writer.transport)
        writer.transport.pause_reading()  # type: ignore[attr-defined]

    transports: list[asyncio.WriteTransport] = []
    server = await asyncio.start_server(stuck, "127.0.0.1", 0, limit=2**12)
    port = server.sockets[0].getsockname()[1]
    upstream = Upstream(UpstreamSettings(port=port, data_timeout_seconds=0.3))
    with pytest.raises(UpstreamError) as failed:
        await upstream.deliver(transaction(message=b"x" * 30_000_000 + b"\r\n"))
    assert failed.value.outcome == "not_sent"
    await until(lambda: transports)
    for transport in transports:
        transport.abort()
    server.close()
    await server.wait_closed()
