"""Clients that do what no client should. Each takes one connection."""

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from random import Random
from typing import TypeAlias

_MANY = 100_000
_ENDLESS_BYTES = 60_000_000
_PIECE = 1 << 16
Nuisance: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


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
    await _wait_for_data(reader)
    line = b"X-Endless: " + b"x" * 900 + b"\r\n"
    for _ in range(_ENDLESS_BYTES // _PIECE):
        writer.write(line * (_PIECE // len(line)))
        await writer.drain()


async def leave_in_the_data(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(
        b"EHLO client.example\r\nMAIL FROM:<a@client.example>\r\n"
        b"RCPT TO:<b@client.example>\r\nDATA\r\n"
    )
    await _wait_for_data(reader)
    writer.write(b"Subject: left\r\n\r\nwithout an end")
    await writer.drain()


async def reads_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    reader.feed_eof()
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    await send_many_commands(reader, writer)


async def _wait_for_data(reader: asyncio.StreamReader) -> None:
    while not (line := await reader.readline()).startswith(b"354"):
        if not line:
            raise ConnectionResetError("the proxy has closed the connection")


NUISANCES: tuple[Nuisance, ...] = (
    send_garbage,
    speak_tls,
    send_many_commands,
    send_an_endless_line,
    send_an_endless_header,
    leave_in_the_data,
    reads_nothing,
)


async def annoy(nuisance: Nuisance, port: int) -> None:
    """Let a client be one; the proxy may close at any time, and must not wait for it for ever."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(60):
                await nuisance(reader, writer)
    finally:
        writer.transport.abort()
