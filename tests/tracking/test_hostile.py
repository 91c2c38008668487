"""Hostile clients: each costs its own connection, and the next reader is served."""

import asyncio
import contextlib
from collections.abc import Callable
from ipaddress import ip_network
from typing import NoReturn

import pytest
from tests.captured_logs import capture_logs
from tests.tracking.conftest import IN_PYTHON, Harness, Start, split_answers

pytestmark = pytest.mark.anyio

GET = b"GET / HTTP/1.1\r\nHost: a\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"


async def assert_serves(harness: Harness, click_path: str) -> None:
    assert (await harness.get(click_path)).startswith(b"HTTP/1.1 302 ")
    assert harness.tracker.counters["failures"] == 0


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", b"400"),
        (GET + b"Host: b\r\n\r\n", b"400"),
        (b"GET /\r\n\r\n", b"400"),
        (b"GET / HTTP/9.9\r\nHost: a\r\n\r\n", b"400"),
        (GET + b"Content-Length: -1\r\n\r\n", b"400"),
        (GET + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", b"400"),
        (GET + b"Content-Length: " + b"9" * 40 + b"\r\n\r\n", b"400"),
        (GET + b"Content-Length: x\r\n\r\n", b"400"),
        (POST + b"Content-Length: 9999999999\r\n\r\n", b"413"),
        (GET + b"Content-Length: 9999999999\r\n\r\n", b"413"),
        (POST + CHUNKED + b"\r\nfffffff\r\n" + b"x" * 70_000, b"413"),
        (POST + CHUNKED + b"Content-Length: 3\r\n\r\nabc", b"400"),
        (POST + CHUNKED + b"\r\nZZ\r\n", b"400"),
        (b"GET /" + b"a" * 9_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", b"414"),
        (GET + b"A: " + b"b" * 17_000 + b"\r\n\r\n", b"431"),
        (GET + b"A: b\r\n" * 101 + b"\r\n", b"431"),
        (GET + b" folded\r\n\r\n", b"400"),
        (GET + b"A: \x00\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\nHost: a\n\n", b"400"),
        (b"GET / / HTTP/1.1\r\nHost: a\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\xff\r\nHost: a\r\n\r\n", b"400"),
        (b"GET /\xff\x00 HTTP/1.1\r\nHost: a\r\n\r\n", b"400"),
        (b"GET\xff / HTTP/1.1\r\nHost: a\r\n\r\n", b"405"),
        (b"GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n", b"400"),
        (b"CONNECT evil.test:443 HTTP/1.1\r\nHost: a\r\n\r\n\x16\x03\x01", b"405"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"400"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)), b"405"),
        (b"\x00" * 5_000, b"405"),
        (b"EHLO mail.test\r\n", b"405"),
    ],
)
async def test_what_is_not_served_gets_its_status_and_the_end(
    harness: Harness, click_path: str, sent: bytes, status: bytes
) -> None:
    answer = await harness.exchange(sent)
    assert answer.startswith(b"HTTP/1.1 " + status + b" ")
    assert answer.endswith(b"Connection: close\r\n\r\n")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert await harness.hits() == []
    await assert_serves(harness, click_path)


@pytest.mark.parametrize(
    "sent", [b"", b"\r\n", b"G", b"GET ", b"GET / HTTP/1.1\r\nHost:", b"\r\n" * 10_000]
)
async def test_a_client_that_leaves_half_way_gets_nothing(
    harness: Harness, click_path: str, sent: bytes
) -> None:
    assert await harness.exchange(sent) == b""
    await assert_serves(harness, click_path)


async def test_answers_before_garbage_are_still_given(harness: Harness, click_path: str) -> None:
    sent = f"GET {click_path} HTTP/1.1\r\nHost: a\r\n\r\n".encode() + b"\x00\x01\x02"
    answer = await harness.exchange(sent)
    assert answer.startswith(b"HTTP/1.1 302 ")
    assert b"HTTP/1.1 405 " in answer
    assert len(await harness.hits()) == 1


async def test_nothing_after_the_end_is_answered(harness: Harness, click_path: str) -> None:
    request = f"GET {click_path} HTTP/1.1\r\nHost: a\r\n".encode()
    answer = await harness.exchange(request + b"Connection: close\r\n\r\n" + request + b"\r\n")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert len(await harness.hits()) == 1


async def test_a_small_body_is_thrown_away(harness: Harness, click_path: str) -> None:
    body = b"GET /f/a/x HTTP/1.1\r\nHost: a\r\n\r\n"
    length = f"Content-Length: {len(body)}\r\n\r\n".encode()
    post = POST + length + body
    get = f"GET {click_path} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
    answer = await harness.exchange(post + get)
    assert answer.startswith(b"HTTP/1.1 405 ")
    assert b"HTTP/1.1 302 " in answer
    assert answer.count(b"HTTP/1.1 ") == 2


async def test_a_client_that_waits_for_100_gets_the_final_answer(harness: Harness) -> None:
    reader, writer = await harness.connect()
    writer.write(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 405 ")
    assert answer.endswith(b"Connection: close\r\n\r\n")


async def test_more_pipelined_requests_than_allowed_close_the_connection(
    start: Start, click_path: str
) -> None:
    harness = await start(max_pipelined_requests=5)
    answer = await harness.exchange(f"GET {click_path} HTTP/1.1\r\nHost: a\r\n\r\n".encode() * 9)
    assert answer.count(b"HTTP/1.1 302 ") == 5
    assert answer.endswith(b"Connection: close\r\n\r\n")
    assert len(await harness.hits()) == 5


@pytest.mark.parametrize(
    ("begin", "trickle"),
    [(b"GET /", b"a"), (b"GET / HTTP/1.1\r\n", b"A: b\r\n")],
    ids=["in the request line", "in the headers"],
)
async def test_a_request_that_trickles_in_is_cut_off(
    start: Start, click_path: str, begin: bytes, trickle: bytes
) -> None:
    harness = await start(request_timeout_seconds=0.3)
    reader, writer = await harness.connect()
    writer.write(begin)

    async def go_on() -> None:
        with contextlib.suppress(OSError):
            while True:
                writer.write(trickle)
                await writer.drain()
                await asyncio.sleep(0.02)

    trickling = asyncio.create_task(go_on())
    async with asyncio.timeout(30):
        answer = await reader.readuntil(b"\r\n\r\n")
    trickling.cancel()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert harness.tracker.counters["timeouts"] == 1
    await assert_serves(harness, click_path)


async def test_a_header_without_end_is_cut_off_at_the_limit(start: Start, click_path: str) -> None:
    harness = await start(max_body_bytes=1_000)
    reader, writer = await harness.connect()
    writer.write(GET + b"A: ")
    sent = 0
    with contextlib.suppress(OSError):
        while sent < 2_000_000 and not reader.at_eof():
            writer.write(b"x" * 4_096)
            await writer.drain()
            await asyncio.sleep(0.001)
            sent += 4_096
    assert sent < 500_000
    assert harness.tracker.counters["bad_requests"] == 1
    await assert_serves(harness, click_path)


async def test_an_idle_connection_is_closed(start: Start) -> None:
    harness = await start(idle_timeout_seconds=0.2)
    reader, _ = await harness.connect()
    async with asyncio.timeout(30):
        assert await reader.read() == b""


async def test_line_breaks_do_not_keep_a_connection_alive(start: Start) -> None:
    harness = await start(idle_timeout_seconds=0.3)
    reader, writer = await harness.connect()
    async with asyncio.timeout(30):
        with contextlib.suppress(ConnectionError):
            while not reader.at_eof():
                writer.write(b"\r\n")
                await asyncio.sleep(0.02)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.01):
                        assert await reader.read(1) == b""


async def test_a_client_that_never_reads_is_dropped(start: Start, click_path: str) -> None:
    harness = await start(
        idle_timeout_seconds=0.3, request_timeout_seconds=0.3, max_pipelined_requests=10_000
    )
    _, writer = await harness.connect()
    writer.transport.pause_reading()  # type: ignore[attr-defined]

    async def ask_for_ever() -> None:
        while True:
            writer.write((GET + b"\r\n") * 2_000)
            await writer.drain()
            await asyncio.sleep(0)

    with pytest.raises(ConnectionError):
        await asyncio.wait_for(ask_for_ever(), 50)
    await assert_serves(harness, click_path)


async def test_one_connection_too_many_is_turned_away_while_all_others_send(
    start: Start, click_path: str
) -> None:
    harness = await start(max_connections=2)
    held = [await harness.connect() for _ in range(2)]
    for _, writer in held:
        writer.write(b"GET / HT")
    await asyncio.sleep(0.05)
    answer = await harness.exchange(b"")
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert harness.tracker.counters["refused_connections"] == 1
    for _, writer in held:
        writer.close()
    await asyncio.sleep(0.05)
    await assert_serves(harness, click_path)


async def connect_later(
    harness: Harness,
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect so that it is known who came first: uvloop's clock counts milliseconds."""
    opened = await harness.connect()
    await asyncio.sleep(0.005)
    return opened


async def test_idle_connections_lock_nobody_out(start: Start, click_path: str) -> None:
    harness = await start(max_connections=20)
    with capture_logs() as logs:
        held = [await connect_later(harness) for _ in range(40)]
        for _ in range(5):
            await assert_serves(harness, click_path)
    # The first ones, which were idle longest, have gone.
    assert [await reader.read() for reader, _ in held[:20]] == [b""] * 20
    assert harness.tracker.counters["refused_connections"] == 0
    assert harness.tracker.counters["displaced_connections"] >= 21
    (crowded,) = [each for each in logs if each["event"] == "tracker.crowded"]
    assert (crowded["displaced"], crowded["refused"]) == (1, 0)


async def test_requests_that_trickle_in_lock_nobody_out(
    start: Start, click_path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("msys_track.tracking.connection._PATIENCE_SECONDS", 0.05)
    harness = await start(max_connections=2)
    for _ in range(2):
        _, writer = await harness.connect()
        writer.write(b"GET / HT")
    await asyncio.sleep(0.1)
    await assert_serves(harness, click_path)


async def test_one_address_can_not_have_all_connections(start: Start, click_path: str) -> None:
    harness = await start(max_connections_per_address=3)
    first, *_ = [await connect_later(harness) for _ in range(3)]
    await asyncio.sleep(0.02)
    await assert_serves(harness, click_path)
    assert await first[0].read() == b""
    assert harness.tracker.connection_count <= 3


async def test_a_front_server_may_have_as_many_connections_as_there_are(start: Start) -> None:
    harness = await start(
        max_connections_per_address=3, trusted_proxies=(ip_network("127.0.0.0/8"),)
    )
    for _ in range(10):
        await harness.connect()
    await asyncio.sleep(0.02)
    assert harness.tracker.connection_count == 10


@IN_PYTHON
async def test_a_defect_before_the_target_is_known_costs_one_connection(
    harness: Harness, click_path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("msys_track.tracking.routes.parse_path", broken)
        assert (await harness.get(click_path)).startswith(b"HTTP/1.1 500 ")
    assert harness.tracker.counters["failures"] == 1
    assert (await harness.get(click_path)).startswith(b"HTTP/1.1 302 ")


# What makes a hit, from the request's headers to the log.
STEPS = [
    "msys_track.tracking.connection.decode_header",
    "msys_track.tracking.connection.find_facts",
    "msys_track.tracking.connection.write_facts",
    "msys_track.eventlog.hits.PlainHitLog.put_hit",
]


@IN_PYTHON
@pytest.mark.parametrize("step", STEPS)
async def test_a_defect_in_making_a_hit_costs_the_hit_alone(
    harness: Harness, click_path: str, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    request = f"GET {click_path} HTTP/1.1\r\nHost: a\r\nUser-Agent: b\r\n\r\n".encode()
    with monkeypatch.context() as patch, capture_logs() as logs:
        patch.setattr(step, broken)
        answers = split_answers(await harness.exchange(request * 2))
    assert [answer[:12] for answer in answers] == [b"HTTP/1.1 302"] * 2
    assert [entry["event"] for entry in logs] == ["tracker.hit_failed"] * 2
    assert harness.tracker.counters["failures"] == 2
    assert await harness.hits() == []
    await harness.get(click_path)
    assert len(await harness.hits()) == 1


@pytest.mark.parametrize(
    "step",
    ["msys_track.tracking.location._encode_host", "msys_track.tracking.routes.make_location"],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_defect_in_making_the_location_still_redirects(
    harness: Harness,
    path_to: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    method: str,
) -> None:
    target = "https://ü.test/kad\u0131n?q=a b\r\nX: y"
    with monkeypatch.context() as patch, capture_logs() as logs:
        patch.setattr(step, broken)
        answer = await harness.get(path_to(target), method=method)
    assert answer.startswith(b"HTTP/1.1 302 ")
    location = b"https://%C3%BC.test/kad%C4%B1n?q=a%20b%0D%0AX:%20y"
    assert b"\r\nLocation: " + location + b"\r\n" in answer
    assert [entry["event"] for entry in logs] == ["tracker.location_failed"]
    assert (harness.tracker.counters["failures"], harness.tracker.counters["clicks"]) == (1, 1)
    assert [hit["target"] for hit in await harness.hits()] == [target]


@IN_PYTHON
async def test_a_location_that_no_header_can_hold_is_percent_encoded(
    harness: Harness, click_path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_location = "msys_track.tracking.routes.make_location"
    monkeypatch.setattr(make_location, lambda target: target + "\u0131")
    answer = await harness.get(click_path)
    assert b"\r\nLocation: https://shop.test/sale?a=1&b=\r\n" in answer
    assert harness.tracker.counters["failures"] == 1


@IN_PYTHON
async def test_a_defect_does_not_take_the_answers_before_it(
    harness: Harness, click_path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def parse_path(target: bytes) -> str:
        return target.decode("ascii") if target != b"/broken" else broken()

    monkeypatch.setattr("msys_track.tracking.routes.parse_path", parse_path)
    first, second = await harness.get_pipelined([click_path.encode(), b"/broken"])
    assert first.startswith(b"HTTP/1.1 302 ")
    assert second.startswith(b"HTTP/1.1 500 ")
    assert len(await harness.hits()) == 1


def broken(*_: object, **_more: object) -> NoReturn:
    raise ZeroDivisionError
