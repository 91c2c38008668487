"""Probes end, whatever a server does, and say why."""

import asyncio
import socket
import ssl
import struct
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest
from tests.waiting import until

from msys_track.service.probing.network import NoAnswerError, get, look_up, read_greeting
from msys_track.smtp.address import Address

pytestmark = pytest.mark.anyio

GOOD = b"HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nX: y\r\n\r\nbody"


@asynccontextmanager
async def server(*pieces: bytes, pause: float = 0.0, ends: bool = True) -> AsyncIterator[Address]:
    """Say this to everybody, a piece at a time, for ever if it does not end."""

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # What is unread when it ends would reset the connection.
        reading = asyncio.create_task(reader.read())
        try:
            while True:
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(pause)
                if ends:
                    writer.write_eof()
                    await reading
                    break
        except ConnectionError:
            pass
        finally:
            reading.cancel()
            writer.close()

    running = await asyncio.start_server(say, "127.0.0.1", 0)
    async with running:
        yield Address("127.0.0.1", running.sockets[0].getsockname()[1])


async def fetch(address: Address) -> object:
    return await get(address, "/x", host="e.com", patience_seconds=0.5)


async def greet(address: Address) -> object:
    return await read_greeting(address, 0.5)


async def test_an_answer_is_read_to_its_end() -> None:
    async with server(GOOD[:20], GOOD[20:], pause=0.01) as address:
        answer = await get(address, "/x", host="e.com", patience_seconds=5)
    assert (answer.status, answer.headers["X"], answer.body) == (200, "y", b"body")
    assert answer.clock_error_seconds is not None
    assert answer.clock_error_seconds < -1e9


@pytest.mark.parametrize("date", ["", "Date: yesterday\r\n", "Date: \r\n"])
async def test_a_date_that_is_none_says_nothing(date: str) -> None:
    async with server(f"HTTP/1.1 200 OK\r\n{date}\r\n".encode()) as address:
        answer = await get(address, "/x", host="e.com", patience_seconds=5)
    assert answer.clock_error_seconds is None


@pytest.mark.parametrize(
    ("said", "text"),
    [
        (b"220 mail.example ESMTP\r\n", "no answer of HTTP"),
        (b"", "the connection was closed"),
        (b"HTTP/1.1 OK\r\n\r\n", "no answer of HTTP"),
        (b"HTTP/1.1 200 OK\r\n" + 200 * b"a: b\r\n" + b"\r\n", "no good answer of HTTP: "),
        (b"HTTP/1.1 200 OK\r\na: " + 70_000 * b"b" + b"\r\n\r\n", "no good answer of HTTP: "),
    ],
)
async def test_what_is_no_http_is_no_answer(said: bytes, text: str) -> None:
    async with server(said) as address:
        with pytest.raises(NoAnswerError, match=text):
            await fetch(address)


@pytest.mark.parametrize("ask", [fetch, greet])
async def test_who_trickles_is_given_up(ask: Callable[[Address], object]) -> None:
    began = time.monotonic()
    async with server(b"2", pause=0.05, ends=False) as address:
        with pytest.raises(NoAnswerError, match=r"no answer within 0\.5 s"):
            await ask(address)  # type: ignore[misc]
    assert time.monotonic() - began < 5


async def test_who_sends_without_end_is_cut_off() -> None:
    async with server(b"HTTP/1.1 200 OK\r\n\r\n", 10_000 * b"x", ends=False) as address:
        answer = await get(address, "/x", host="e.com", patience_seconds=5)
    assert len(answer.body) < 1_000_000


@pytest.mark.parametrize(
    ("said", "text"),
    [
        (b"hello\r\n", "no greeting of SMTP but 'hello'"),
        (b"", "no greeting"),
        (b"2" * 200_000, "a line without end"),
    ],
)
async def test_what_is_no_greeting_is_none(said: bytes, text: str) -> None:
    async with server(said) as address:
        with pytest.raises(NoAnswerError, match=text):
            await greet(address)


async def test_a_greeting_of_several_lines_ends_with_its_last() -> None:
    async with server(b"220-one\r\n220 two\r\n") as address:
        assert await greet(address) == "220 two"


async def test_a_greeting_without_end_is_one_after_some_lines() -> None:
    async with server(b"220-hello\r\n" * 30, ends=False) as address:
        assert await greet(address) == "220-hello"


async def test_an_answer_is_an_answer_though_the_connection_is_reset_then() -> None:
    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(GOOD)
        # The client is in this loop, and reads what is there before the connection is reset.
        for _ in range(20):
            await asyncio.sleep(0)
        _reset(writer)

    running = await asyncio.start_server(say, "127.0.0.1", 0)
    async with running:
        address = Address("127.0.0.1", running.sockets[0].getsockname()[1])
        answer = await get(address, "/x", host="e.com", patience_seconds=30)
    assert answer.body == b"body"


def _reset(writer: asyncio.StreamWriter) -> None:
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()


async def test_who_hangs_up_within_the_handshake_of_tls_is_told() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65_536)
        writer.close()

    running = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with running:
        address = Address("127.0.0.1", running.sockets[0].getsockname()[1])
        tls = ssl.create_default_context()
        with pytest.raises(NoAnswerError, match=r".+"):
            await get(address, "/x", host="e.com", patience_seconds=30, tls=tls)


async def test_a_reset_connection_is_no_answer() -> None:
    async def reset(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _reset(writer)

    running = await asyncio.start_server(reset, "127.0.0.1", 0)
    async with running:
        address = Address("127.0.0.1", running.sockets[0].getsockname()[1])
        with pytest.raises(NoAnswerError, match="Connection reset by peer"):
            await get(address, "/x", host="e.com", patience_seconds=30)


async def test_an_address_resolves_to_itself() -> None:
    assert await look_up("127.0.0.1", 5) == ["127.0.0.1"]


@pytest.mark.parametrize("host", ["nosuch.invalid", "a" * 300, "a..b"])
async def test_what_does_not_resolve_says_so(host: str) -> None:
    with pytest.raises(NoAnswerError):
        await look_up(host, 20)


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Let the resolver answer only when this is set."""
    answers = threading.Event()

    def resolve(*_: object, **__: object) -> list[object]:
        answers.wait()
        return [(2, 1, 6, "", ("192.0.2.1", 0))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    yield answers
    answers.set()
    for thread in _look_ups():
        thread.join()


def _look_ups() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "look-up"]


async def test_an_answer_of_the_resolver_that_comes_too_late_is_left(
    resolver: threading.Event,
) -> None:
    failures: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: failures.append(context))
    with pytest.raises(NoAnswerError, match=r"no answer of the resolver within 0\.01 s"):
        await look_up("slow.example", 0.01)
    resolver.set()
    await until(lambda: not _look_ups())
    await asyncio.sleep(0)
    assert failures == []


def test_a_silent_resolver_keeps_no_program_from_ending(resolver: threading.Event) -> None:
    with pytest.raises(NoAnswerError):
        asyncio.run(look_up("slow.example", 0.01))
    (thread,) = _look_ups()
    resolver.set()
    thread.join()  # what it raised would be a warning, and fail the test
