"""TLS and the PROXY protocol on a real port: what stands before the first request."""

import asyncio
import socket
import ssl
import struct
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from tests.captured_logs import capture_logs
from tests.certificates import Certificate, make_certificate
from tests.tracking.conftest import IN_PYTHON, Harness, Start, split_answers
from tests.waiting import until

from msys_track.errors import SettingsError
from msys_track.smtp.address import Address

pytestmark = pytest.mark.anyio

LOOPBACK = (ip_network("127.0.0.0/8"),)
FROM_READER = b"PROXY TCP4 203.0.113.9 192.0.2.1 5000 443\r\n"


@pytest.fixture
def made(tmp_path: Path) -> Certificate:
    return make_certificate(tmp_path)


@pytest.fixture
async def start_tls(start: Start, made: Certificate) -> Callable[..., Any]:
    async def start_one(**settings: Any) -> Harness:
        return await start(
            listen_tls=(Address("127.0.0.1", 0),),
            tls_certificate=made.certificate,
            tls_key=made.key,
            **settings,
        )

    return start_one


async def connect(
    harness: Harness, made: Certificate, sent_before: bytes = b""
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Shake hands with the port for TLS, after what a front server sends before."""
    raw = socket.create_connection(("127.0.0.1", harness.tracker.addresses[1].port))
    raw.sendall(sent_before)
    return await asyncio.open_connection(sock=raw, ssl=made.trust(), server_hostname="localhost")


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: click.test\r\n\r\n".encode()


async def read_answer(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"\r\n\r\n")


async def test_links_are_answered_over_tls_again_and_again_on_one_connection(
    start_tls: Any, made: Certificate, click_path: str
) -> None:
    harness = await start_tls()
    reader, writer = await connect(harness, made)
    for _ in range(3):
        writer.write(get(click_path))
        assert (await read_answer(reader)).startswith(b"HTTP/1.1 302 ")
    writer.write(get(click_path) * 4)  # pipelined
    received = b"".join([await read_answer(reader) for _ in range(4)])
    assert [each[9:12] for each in split_answers(received)] == [b"302"] * 4
    writer.close()
    assert len(await harness.hits()) == 7
    assert {each["address"] for each in await harness.hits()} == {"127.0.0.1"}
    assert (await harness.get(click_path)).startswith(b"HTTP/1.1 302 ")  # in plain text beside it


async def test_a_renewed_certificate_is_used_without_a_restart(
    start_tls: Any, made: Certificate, tmp_path: Path, click_path: str
) -> None:
    harness = await start_tls()
    old = made.fingerprint
    _, writer = await connect(harness, made)
    renewed = make_certificate(tmp_path)
    harness.tracker.look_at_files()
    reader, again = await connect(harness, renewed)
    shown = again.get_extra_info("ssl_object").getpeercert(binary_form=True)
    assert ssl.DER_cert_to_PEM_cert(shown).strip() == renewed.certificate.read_text().strip()
    assert renewed.fingerprint != old
    again.write(get(click_path))
    assert (await read_answer(reader)).startswith(b"HTTP/1.1 302 ")
    writer.close()
    again.close()


async def test_a_certificate_that_is_no_longer_good_leaves_the_old_one_and_is_logged_once(
    start_tls: Any, made: Certificate
) -> None:
    harness = await start_tls()
    trusted = made.trust()
    made.certificate.write_text("nonsense", encoding="ascii")
    with capture_logs() as logs:
        harness.tracker.look_at_files()
        harness.tracker.look_at_files()
    assert [each["event"] for each in logs] == ["tls.not_reloaded"]
    raw = socket.create_connection(("127.0.0.1", harness.tracker.addresses[1].port))
    _, writer = await asyncio.open_connection(sock=raw, ssl=trusted, server_hostname="localhost")
    writer.close()


async def test_a_client_that_speaks_http_where_tls_begins_is_counted(start_tls: Any) -> None:
    harness = await start_tls()
    reader, writer = await asyncio.open_connection("127.0.0.1", harness.tracker.addresses[1].port)
    writer.write(get("/"))
    assert await reader.read() != b"HTTP/1.1"
    writer.close()
    await until(lambda: harness.tracker.counters["tls_failed"] == 1)
    assert harness.tracker.connection_count == 0


async def test_clients_that_never_shake_hands_lock_nobody_out(
    start_tls: Any, made: Certificate, click_path: str
) -> None:
    harness = await start_tls(max_connections=5)
    held = [
        await asyncio.open_connection("127.0.0.1", harness.tracker.addresses[1].port)
        for _ in range(20)
    ]
    reader, writer = await connect(harness, made)
    writer.write(get(click_path))
    assert (await read_answer(reader)).startswith(b"HTTP/1.1 302 ")
    assert await held[0][0].read() == b""
    for _, each in (*held, (reader, writer)):
        each.close()


@pytest.mark.parametrize(
    "header",
    [
        FROM_READER,
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c"
        + struct.pack("!4s4sHH", bytes((203, 0, 113, 9)), bytes((192, 0, 2, 1)), 5000, 443),
    ],
    ids=["version 1", "version 2"],
)
async def test_the_client_is_whom_the_header_names(
    start: Start, header: bytes, click_path: str
) -> None:
    harness = await start(proxy_protocol=True, trusted_proxies=LOOPBACK)
    answer = await harness.exchange(header + get(click_path))
    assert answer.startswith(b"HTTP/1.1 302 ")
    (hit,) = await harness.hits()
    assert hit["address"] == "203.0.113.9"


async def test_a_header_may_come_byte_by_byte_and_before_tls(
    start_tls: Any, made: Certificate, click_path: str
) -> None:
    harness = await start_tls(proxy_protocol=True, trusted_proxies=LOOPBACK)
    reader, writer = await harness.connect()
    for at in range(len(FROM_READER)):
        writer.write(FROM_READER[at : at + 1])
        await writer.drain()
        await asyncio.sleep(0)
    writer.write(get(click_path))
    assert (await read_answer(reader)).startswith(b"HTTP/1.1 302 ")
    inside, over_tls = await connect(harness, made, FROM_READER)
    over_tls.write(get(click_path))
    assert (await read_answer(inside)).startswith(b"HTTP/1.1 302 ")
    over_tls.close()
    assert [each["address"] for each in await harness.hits()] == ["203.0.113.9"] * 2


async def test_a_front_that_speaks_for_itself_is_the_client(start: Start, click_path: str) -> None:
    harness = await start(proxy_protocol=True, trusted_proxies=LOOPBACK)
    answer = await harness.exchange(b"PROXY UNKNOWN\r\n" + get(click_path))
    assert answer.startswith(b"HTTP/1.1 302 ")
    (hit,) = await harness.hits()
    assert hit["address"] == "127.0.0.1"


async def test_a_front_without_a_header_is_refused_counted_and_logged_once(
    start: Start, click_path: str
) -> None:
    harness = await start(proxy_protocol=True, trusted_proxies=LOOPBACK)
    with capture_logs() as logs:
        for _ in range(3):
            reader, writer = await harness.connect()
            writer.write(get(click_path))
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await reader.readexactly(1)
    assert await harness.hits() == []
    assert harness.tracker.counters["proxy_headers_refused"] == 3
    assert [each["event"] for each in logs] == ["tracker.proxy_header_refused"]
    assert harness.tracker.connection_count == 0


async def test_a_front_that_leaves_without_a_header_is_told_from_a_silent_one(
    start: Start,
) -> None:
    harness = await start(proxy_protocol=True, trusted_proxies=LOOPBACK)
    with capture_logs() as logs:
        assert await harness.exchange(b"") == b""
        await until(lambda: harness.tracker.counters["proxy_headers_refused"] == 1)
    (entry,) = [each for each in logs if each["event"] == "tracker.proxy_header_refused"]
    assert entry["why"] == "the connection ended before its header"
    await until(lambda: harness.tracker.connection_count == 0)


@IN_PYTHON
@pytest.mark.parametrize("is_behind_a_front", [False, True])
async def test_where_all_are_busy_another_one_is_cut_off(
    start: Start, click_path: str, monkeypatch: pytest.MonkeyPatch, *, is_behind_a_front: bool
) -> None:
    # A request that takes longer than this gives way; here it never does.
    monkeypatch.setattr("msys_track.tracking.connection._PATIENCE_SECONDS", 600)
    header = FROM_READER if is_behind_a_front else b""
    harness = await start(
        proxy_protocol=True,
        trusted_proxies=LOOPBACK if is_behind_a_front else (ip_network("192.0.2.0/24"),),
        max_connections_per_address=1,
    )
    busy, writer = await harness.connect()
    post = get(click_path).replace(b"GET", b"POST", 1)[:-2]
    writer.write(header + post + b"Content-Length: 1\r\nExpect: 100-continue\r\n\r\n")
    assert (await read_answer(busy)).startswith(b"HTTP/1.1 100 ")
    assert await harness.exchange(header) == b""
    assert harness.tracker.counters["refused_connections"] == 1
    writer.write(b"x")
    assert (await read_answer(busy)).startswith(b"HTTP/1.1 ")


async def test_others_than_fronts_send_no_header(start: Start, click_path: str) -> None:
    harness = await start(proxy_protocol=True, trusted_proxies=(ip_network("192.0.2.0/24"),))
    assert (await harness.get(click_path)).startswith(b"HTTP/1.1 302 ")
    answer = await harness.exchange(FROM_READER + get(click_path))
    assert answer.startswith(b"HTTP/1.1 40")
    assert len(await harness.hits()) == 1


async def test_one_client_behind_a_front_can_not_have_all_connections(start: Start) -> None:
    harness = await start(
        proxy_protocol=True, trusted_proxies=LOOPBACK, max_connections_per_address=2
    )
    for _ in range(4):
        _, writer = await harness.connect()
        writer.write(FROM_READER)
    await until(lambda: harness.tracker.counters["displaced_connections"] == 2)
    for _ in range(4):
        _, writer = await harness.connect()
        writer.write(FROM_READER.replace(b".9 ", b".8 "))
    await until(lambda: harness.tracker.counters["displaced_connections"] == 4)
    await until(lambda: harness.tracker.connection_count == 4)


async def test_a_tracker_that_closes_waits_for_no_handshake(start_tls: Any) -> None:
    harness = await start_tls()
    reader, writer = await asyncio.open_connection("127.0.0.1", harness.tracker.addresses[1].port)
    await asyncio.sleep(0.05)
    async with asyncio.timeout(5):
        await harness.tracker.close()
        assert await reader.read() == b""
    writer.close()


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"proxy_protocol": True}, "proxy_protocol"),
        ({"listen_tls": (Address("127.0.0.1", 443),)}, "listen_tls"),
        ({"tls_key": Path("x")}, "tls_key"),
    ],
)
async def test_what_does_not_go_together_is_refused(
    start: Start, settings: dict[str, Any], field: str
) -> None:
    with pytest.raises(SettingsError, match=f"tracker: {field}: "):
        await start(**settings)
