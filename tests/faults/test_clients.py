"""Clients that do what no client should, beside others whose mail goes on."""

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random

import pytest
from tests import process_tree
from tests.faults.stage import Stage

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]

_MAILS = 30
_MANY = 100_000
_ENDLESS_BYTES = 60_000_000
_PIECE = 1 << 16
_MOST_GROWTH = 100 << 20
"""More than any limit lets one client take; far less than what it sends."""

Nuisance = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def send_garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    del reader
    writer.write(Random(1).randbytes(500_000))  # noqa: S311 - the same bytes every time
    await writer.drain()


async def speak_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readline()
    context = ssl.create_default_context()
    with contextlib.suppress(ssl.SSLError, ConnectionError):
        await asyncio.wait_for(writer.start_tls(context, server_hostname="proxy.example"), 10)


async def send_many_commands(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    del reader
    writer.write(b"EHLO client.example\r\n")
    for command in (
        b"NOOP\r\n",
        b"VRFY <a@b.example>\r\n",
        b"MAIL FROM:<a@b.example>\r\nRSET\r\n",
    ):
        writer.write(command * (_MANY // 3))
        await writer.drain()


async def send_an_endless_line(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    del reader
    for _ in range(_ENDLESS_BYTES // _PIECE):
        writer.write(b"x" * _PIECE)
        await writer.drain()


async def send_an_endless_header(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    writer.write(
        b"EHLO client.example\r\nMAIL FROM:<a@client.example>\r\n"
        b"RCPT TO:<b@client.example>\r\nDATA\r\n"
    )
    while not (await reader.readline()).startswith(b"354"):
        pass
    line = b"X-Endless: " + b"x" * 900 + b"\r\n"
    for _ in range(_ENDLESS_BYTES // _PIECE):
        writer.write(line * (_PIECE // len(line)))
        await writer.drain()


async def leave_in_the_data(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(
        b"EHLO client.example\r\nMAIL FROM:<a@client.example>\r\n"
        b"RCPT TO:<b@client.example>\r\nDATA\r\n"
    )
    while not (await reader.readline()).startswith(b"354"):
        pass
    writer.write(b"Subject: left\r\n\r\nwithout an end")
    await writer.drain()


async def reads_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    reader.feed_eof()
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    await send_many_commands(reader, writer)


NUISANCES: tuple[Nuisance, ...] = (
    send_garbage,
    speak_tls,
    send_many_commands,
    send_an_endless_line,
    send_an_endless_header,
    leave_in_the_data,
    reads_nothing,
)


@pytest.mark.parametrize("nuisance", NUISANCES, ids=lambda each: each.__name__)
async def test_one_bad_client_costs_the_others_nothing(nuisance: Nuisance, tmp_path: Path) -> None:
    async with Stage(tmp_path, connections=4) as stage:
        await stage.start()
        await stage.until_accepted(_MAILS)
        process_tree.forget_peak(stage.proxy.pid)
        before = process_tree.resident_bytes(stage.proxy.pid)
        await _annoy(nuisance, stage.proxy.port)
        await stage.until_accepted(_MAILS)
        peak = process_tree.peak_resident_bytes(stage.proxy.pid)
        account = await stage.settle()
    assert not account.faults, account.faults
    assert account.accepted == account.sent
    assert peak - before < _MOST_GROWTH
    assert "Traceback" not in stage.proxy.log.read_text(encoding="utf-8")


async def _annoy(nuisance: Nuisance, port: int) -> None:
    """Let a client be one; the proxy may close at any time, and must not wait for it for ever."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(60):
                await nuisance(reader, writer)
    finally:
        writer.transport.abort()
