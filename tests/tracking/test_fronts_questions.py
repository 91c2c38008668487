"""What a front server may ask, what is logged of requests, and how a tracker goes."""

import asyncio
import socket
from ipaddress import ip_network

import pytest
from tests.captured_logs import capture_logs
from tests.processes import PATIENCE_SECONDS
from tests.tracking.conftest import UVLOOP, Start
from tests.waiting import until

from msys_track.tracking.access_log import AccessLog
from msys_track.tracking.hosts import Hosts

pytestmark = pytest.mark.anyio

QUESTION = "/.well-known/msys-track/host?domain="


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ("click.example.com", b"200"),
        ("CLICK.example.com.", b"200"),
        ("other.example.com", b"404"),
        ("", b"404"),
        ("click.example.com&domain=x", b"404"),
        ("click.example.com%00", b"404"),
        ("click.example.com" + "&a=b" * 50, b"200"),
    ],
)
async def test_a_front_learns_whether_a_host_is_ours(
    start: Start, asked: str, status: bytes
) -> None:
    harness = await start(hosts=("click.example.com",))
    assert (await harness.get(QUESTION + asked))[9:12] == status


async def test_a_client_behind_a_front_gets_no_answer(start: Start) -> None:
    harness = await start(hosts=("click.example.com",), trusted_proxies=(ip_network("127.0.0.1"),))
    question = f"{QUESTION}click.example.com"
    assert (await harness.get(question))[9:12] == b"200"
    forwarded = await harness.get(question, "X-Forwarded-For: 203.0.113.9")
    assert forwarded[9:12] == b"404"


async def test_a_stranger_gets_no_answer(start: Start) -> None:
    harness = await start(
        hosts=("click.example.com",),
        proxy_protocol=True,
        trusted_proxies=(ip_network("127.0.0.1"),),
    )
    head = f"GET {QUESTION}click.example.com HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    header = b"PROXY TCP4 203.0.113.9 192.0.2.1 5000 443\r\n"
    assert (await harness.exchange(header + head.encode()))[9:12] == b"404"
    assert (await harness.exchange(b"PROXY UNKNOWN\r\n" + head.encode()))[9:12] == b"200"


def test_a_port_of_a_tracking_domain_is_ignored() -> None:
    assert Hosts(("click.example.com:8443",)).answer(f"{QUESTION}click.example.com".encode())
    assert Hosts(("click.example.com",)).answer(b"/f/x") is None


async def test_a_log_of_requests_has_no_token(start: Start, click_path: str) -> None:
    harness = await start(access_log_share=1.0)
    with capture_logs() as logs:
        await harness.get(click_path)
        await harness.get("/q/secret", method="HEAD")
        await harness.get("/secret", method="PATCH")
        await harness.get("/", method="POST")
    noted = [each for each in logs if each["event"] == "tracker.access"]
    assert [(each["method"], each["route"], each["status"]) for each in noted] == [
        ("GET", "/f/", 302),
        ("HEAD", "/q/", 200),
        ("PATCH", "other", 405),
        ("POST", "other", 405),
    ]
    assert {"secret", click_path, "127.0.0.1"}.isdisjoint(
        str(value) for each in noted for value in each.values()
    )
    assert not any("secret" in str(each) or click_path[3:] in str(each) for each in noted)


def test_a_share_of_the_requests_is_logged() -> None:
    draws = iter([0.0, 0.1, 0.25, 0.9])
    log = AccessLog(0.25, lambda: next(draws))
    assert [log.samples() for _ in range(4)] == [True, True, False, False]
    assert not AccessLog(0.0, lambda: 0.0).samples()


async def test_a_tracker_that_goes_gives_each_connection_one_more_answer(
    start: Start, click_path: str
) -> None:
    harness = await start()
    reader, writer = await harness.connect()
    request = f"GET {click_path} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
    writer.write(request)
    assert b"Connection: close" not in await reader.readuntil(b"\r\n\r\n")
    retiring = asyncio.create_task(harness.tracker.retire(PATIENCE_SECONDS))
    await asyncio.sleep(0)
    with pytest.raises(OSError, match="onnect"):
        await asyncio.open_connection("127.0.0.1", harness.tracker.port)
    writer.write(request * 2)
    first, second = await reader.readuntil(b"\r\n\r\n"), await reader.readuntil(b"\r\n\r\n")
    assert b"Connection: close" not in first
    assert b"Connection: close" in second
    assert await reader.read() == b""
    await retiring
    assert len(await harness.hits()) == 3


@UVLOOP  # which takes a client in one turn of the loop and makes its connection in the next
async def test_a_client_that_was_just_taken_has_its_answer_as_the_tracker_goes(
    start: Start, click_path: str
) -> None:
    harness = await start()
    with socket.create_connection(("127.0.0.1", harness.tracker.port)) as client:
        retiring = asyncio.create_task(harness.tracker.retire(PATIENCE_SECONDS))
        await until(lambda: harness.tracker.connection_count)
        assert not retiring.done()
        client.sendall(f"GET {click_path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        client.setblocking(False)  # noqa: FBT003 - the standard library's
        answer = await asyncio.get_running_loop().sock_recv(client, 65_536)
    assert answer.startswith(b"HTTP/1.1 302 ")
    await retiring


async def test_a_front_that_hides_the_readers_is_told_once(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("msys_track.tracking.server._ENOUGH_REQUESTS", 5)
    with capture_logs() as logs:
        harness = await start(idle_timeout_seconds=0.04)
        for _ in range(6):
            await harness.get("/")
        await asyncio.sleep(0.1)
    (warning,) = [each for each in logs if each["event"] == "tracker.clients_are_local"]
    assert "trusted_proxies" in warning["hint"]


async def test_a_front_that_is_trusted_is_no_reason_to_warn(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("msys_track.tracking.server._ENOUGH_REQUESTS", 5)
    with capture_logs() as logs:
        harness = await start(
            idle_timeout_seconds=0.04, trusted_proxies=(ip_network("127.0.0.1"),)
        )
        for _ in range(6):
            await harness.get("/")
        await asyncio.sleep(0.1)
    assert [each for each in logs if each["event"] == "tracker.clients_are_local"] == []
