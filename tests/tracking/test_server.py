"""The tracker on a real port: what a reader, a proxy and an operator see."""

import asyncio
import re
from collections.abc import Callable
from ipaddress import IPv4Network, ip_network
from pathlib import Path

import pytest
from tests.captured_logs import capture_logs
from tests.certificates import make_certificate
from tests.ports import find_free_ports
from tests.tracking.conftest import EXPIRES_AT, INJECTED_AT, TARGET, Harness, Start

from msys_track.errors import SettingsError
from msys_track.eventlog.settings import EventsSettings
from msys_track.keys.ring import Claims, Engagement, KeyRing
from msys_track.metrics import TRACKER_COUNTERS
from msys_track.smtp.address import Address
from msys_track.tracking.replies import PIXEL

pytestmark = pytest.mark.anyio

COMMON = [
    "Server: msys-http",
    "X-Robots-Tag: noindex",
    "Cache-Control: no-store, no-cache, max-age=0",
    "Referrer-Policy: no-referrer",
]


def headers_of(answer: bytes) -> list[str]:
    """Status line and headers, without the date."""
    head = answer.partition(b"\r\n\r\n")[0].decode("ascii")
    return [line for line in head.split("\r\n") if not line.startswith("Date: ")]


async def test_a_click_is_answered_with_the_documented_headers(
    harness: Harness, click_path: str
) -> None:
    answer = await harness.get(click_path)
    assert headers_of(answer) == [
        "HTTP/1.1 302 Moved Temporarily",
        "Content-Type: text/plain",
        f"Location: {TARGET}",
        *COMMON,
        "Content-Length: 0",
        "Connection: close",
    ]
    assert answer.endswith(b"\r\n\r\n")


async def test_an_open_is_answered_with_the_pixel(harness: Harness, open_path: str) -> None:
    answer = await harness.get(open_path)
    assert headers_of(answer) == [
        "HTTP/1.1 200 OK",
        "Content-Type: image/gif",
        *COMMON,
        "Content-Length: 43",
        "Cross-Origin-Resource-Policy: cross-origin",
        "Connection: close",
    ]
    assert answer.partition(b"\r\n\r\n")[2] == PIXEL


async def test_every_answer_is_dated(start: Start) -> None:
    harness = await start(now=784_111_777)
    assert b"\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n" in await harness.get("/")


async def test_a_click_leaves_a_hit(harness: Harness, click_path: str) -> None:
    await harness.get(click_path, "User-Agent: Mozilla/5.0", "Accept-Language: de")
    (hit,) = await harness.hits()
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", hit["id"])
    assert hit | {"id": "…"} == {
        "id": "…",
        "at": 1_460_989_507_000,
        "kind": "click",
        "message_id": "000443ee14578172be22",
        "recipient": "Recipient@Example.com",
        "injected_at": INJECTED_AT,
        "expires_at": EXPIRES_AT,
        "customer_id": 1,
        "transmission_id": 65_832_150_921_904_138,
        "campaign_id": "Spring",
        "metadata": '{"customer":{"id":7},"vip":true}',
        "tags": ["male", "US"],
        "options": ["open_tracking", "click_tracking"],
        "target": TARGET,
        "address": "127.0.0.1",
        "agent": "Mozilla/5.0",
        "language": "de",
    }


async def test_an_open_leaves_a_hit_without_a_target(harness: Harness, open_path: str) -> None:
    await harness.get(open_path)
    (hit,) = await harness.hits()
    assert hit["kind"] == "open"
    assert {"target", "link_name", "agent"}.isdisjoint(hit)


async def test_two_visits_are_two_hits_with_two_ids(harness: Harness, click_path: str) -> None:
    await harness.get(click_path)
    await harness.get(click_path)
    first, second = await harness.hits()
    assert first["id"] != second["id"]


@pytest.mark.parametrize(
    ("header", "purpose"),
    [
        ("Sec-Purpose: prefetch;prerender", "prefetch"),
        ("Purpose: preview", "preview"),
        ("X-Purpose: preview", "preview"),
        ("X-Moz: prefetch", "prefetch"),
    ],
)
async def test_what_a_browser_fetches_ahead_is_said_to_be_so(
    harness: Harness, click_path: str, header: str, purpose: str
) -> None:
    await harness.get(click_path, header)
    (hit,) = await harness.hits()
    assert hit["request"] == {"purpose": purpose}


@pytest.mark.parametrize("path", ["click_path", "open_path"])
async def test_head_answers_as_get_without_body_and_says_so_in_its_hit(
    harness: Harness, path: str, request: pytest.FixtureRequest
) -> None:
    target = request.getfixturevalue(path)
    head = await harness.get(target, method="HEAD")
    (hit,) = await harness.hits()
    assert hit["request"] == {"method": "HEAD"}
    assert headers_of(head) == headers_of(await harness.get(target))
    assert head.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    "method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "PROPFIND", "BREW", "get"]
)
@pytest.mark.parametrize("path", ["click_path", "open_path"])
async def test_other_methods_are_refused_and_leave_no_event(
    harness: Harness, method: str, path: str, request: pytest.FixtureRequest
) -> None:
    answer = await harness.get(request.getfixturevalue(path), method=method)
    assert headers_of(answer)[:3] == [
        "HTTP/1.1 405 Method Not Allowed",
        "Content-Type: text/plain",
        "Allow: GET, HEAD",
    ]
    assert "Content-Length: 0" in headers_of(answer)
    assert answer.endswith(b"\r\n\r\n")
    assert await harness.hits() == []
    assert harness.tracker.counters["refused_methods"] == 1


async def test_a_forged_click_gets_a_short_page_that_repeats_nothing(harness: Harness) -> None:
    answer = await harness.get("/f/a/forged-by-me?target=https://evil.test/")
    assert headers_of(answer)[:3] == [
        "HTTP/1.1 404 Not Found",
        "Content-Type: text/plain",
        "Server: msys-http",
    ]
    body = answer.partition(b"\r\n\r\n")[2]
    assert 0 < len(body) < 300
    assert f"Content-Length: {len(body)}" in headers_of(answer)
    assert b"forged-by-me" not in answer
    assert b"evil.test" not in answer
    assert await harness.hits() == []


@pytest.mark.parametrize("target", ["/", "/f/a", "/u/AAAA", "/favicon.ico"])
async def test_a_path_without_a_link_is_not_found_under_our_name(
    harness: Harness, target: str
) -> None:
    headers = headers_of(await harness.get(target))
    assert headers[0] == "HTTP/1.1 404 Not Found"
    assert "Server: msys-http" in headers


async def test_the_servers_name_can_be_chosen(start: Start) -> None:
    harness = await start(server_name="nginx")
    assert "Server: nginx" in headers_of(await harness.get("/"))


async def test_any_host_is_answered(harness: Harness, click_path: str) -> None:
    request = f"GET {click_path} HTTP/1.1\r\nHost: older-domain.test:8080\r\n\r\n"
    assert (await harness.exchange(request.encode())).startswith(b"HTTP/1.1 302 ")


@pytest.mark.parametrize(
    ("target", "location"),
    [
        ("https://bücher.test/grün?q=ü#ß", "https://xn--bcher-kva.test/gr%C3%BCn?q=%C3%BC#%C3%9F"),
        ("https://shop.test/#/route?x=%20&y=", "https://shop.test/#/route?x=%20&y="),
        ("https://a.test/kad\u0131n?q=\u0130#\u0131", "https://a.test/kad%C4%B1n?q=%C4%B0#%C4%B1"),
        ("https://u\u017f@a\u017f.test/\u212a", "https://u%C5%BF@as.test/%E2%84%AA"),
        ("https://shop.test/ü?ä=%c3%bc#ß", "https://shop.test/%C3%BC?%C3%A4=%c3%bc#%C3%9F"),
        ("HTTP://Bücher.TEST:8080/", "HTTP://xn--bcher-kva.test:8080/"),
        ("https://例え.テスト/{{x}}?a=[1]|2", "https://xn--r8jz45g.xn--zckzah/{{x}}?a=[1]|2"),
        ("https://shop.test/%2e%2E/./a//b;c,!$'()*+", "https://shop.test/%2e%2E/./a//b;c,!$'()*+"),
    ],
)
async def test_the_location_is_ascii_and_the_event_has_the_original(
    harness: Harness, path_to: Callable[[str], str], target: str, location: str
) -> None:
    assert f"Location: {location}" in headers_of(await harness.get(path_to(target)))
    (hit,) = await harness.hits()
    assert hit["target"] == target


async def test_a_token_cannot_put_a_header_into_the_answer(
    harness: Harness, path_to: Callable[[str], str]
) -> None:
    target = "https://shop.test/\r\nSet-Cookie: a=b\r\n\r\n<script>"
    answer = await harness.get(path_to(target))
    assert b"Set-Cookie: a" not in answer
    assert len(headers_of(answer)) == 9


async def test_a_link_of_another_ring_is_not_found(
    harness: Harness, engagement: Engagement
) -> None:
    path = KeyRing.temporary().seal(Claims(kind="click", engagement=engagement, target=TARGET))
    assert (await harness.get("/" + path)).startswith(b"HTTP/1.1 404 ")


async def test_an_expired_link_works_without_an_event(
    start: Start, engagement: Engagement, click_path: str, open_path: str
) -> None:
    harness = await start(now=engagement.expires_at)
    assert f"Location: {TARGET}" in headers_of(await harness.get(click_path))
    assert (await harness.get(open_path)).endswith(PIXEL)
    assert await harness.hits() == []
    assert harness.tracker.counters["expired"] == 2


async def test_a_user_agent_of_invalid_utf8_leaves_valid_json(
    harness: Harness, click_path: str
) -> None:
    await harness.get(click_path, 'User-Agent: \xff"\t\\')
    (hit,) = await harness.hits()
    assert hit["agent"] == '\ufffd"\t\\'


@pytest.mark.parametrize(
    ("proxies", "client"), [((), "127.0.0.1"), ((ip_network("127.0.0.0/8"),), "203.0.113.7")]
)
async def test_a_forwarded_address_is_taken_from_a_configured_proxy_alone(
    start: Start, click_path: str, proxies: tuple[IPv4Network, ...], client: str
) -> None:
    harness = await start(trusted_proxies=proxies)
    await harness.get(click_path, "X-Forwarded-For: 6.6.6.6", "x-forwarded-for: 203.0.113.7")
    (hit,) = await harness.hits()
    assert hit["address"] == client


async def test_a_log_that_takes_no_more_delays_no_redirect(start: Start, click_path: str) -> None:
    harness = await start(limits=EventsSettings(max_queued=5, batch_seconds=120))
    async with asyncio.timeout(30):  # for ever, if they waited for the log
        for _ in range(50):
            assert (await harness.get(click_path)).startswith(b"HTTP/1.1 302 ")
    figures = harness.log.figures()
    assert (figures["accepted"], figures["dropped"]) == (5, 45)


async def test_requests_follow_each_other_on_one_connection(
    harness: Harness, click_path: str
) -> None:
    reader, writer = await harness.connect()
    for _ in range(3):
        writer.write(f"GET {click_path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 302 ")
        assert b"Connection" not in answer
    assert len(await harness.hits()) == 3


async def test_pipelined_requests_are_answered_in_order(
    harness: Harness, click_path: str, open_path: str
) -> None:
    lines = [f"GET {click_path}", f"HEAD {open_path}", f"GET {open_path}", "POST /", "GET /"]
    requests = [f"{line} HTTP/1.1\r\nHost: a\r\n\r\n" for line in lines]
    answer = await harness.exchange("".join(requests).encode())
    assert re.findall(rb"HTTP/1.1 (\d+) ", answer) == [b"302", b"200", b"200", b"405", b"404"]
    assert answer.count(PIXEL) == 1
    assert [hit["kind"] for hit in await harness.hits()] == ["click", "open", "open"]


@pytest.mark.parametrize(
    ("version_and_headers", "connection"),
    [
        ("HTTP/1.0", ["Connection: close"]),
        ("HTTP/1.0\r\nConnection: keep-alive", ["Connection: keep-alive"]),
        ("HTTP/1.1\r\nHost: a\r\nConnection: close", ["Connection: close"]),
        ("HTTP/1.1\r\nHost: a", []),
        ("HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c", ["Connection: close"]),
    ],
)
async def test_whether_the_connection_stays_is_said(
    harness: Harness, version_and_headers: str, connection: list[str]
) -> None:
    headers = headers_of(await harness.exchange(f"GET / {version_and_headers}\r\n\r\n".encode()))
    assert headers[0] == "HTTP/1.1 404 Not Found"
    assert [line for line in headers if line.startswith("Connection")] == connection


async def test_closing_ends_idle_connections_and_keeps_the_last_events(
    harness: Harness, click_path: str
) -> None:
    reader, writer = await harness.connect()
    writer.write(f"GET {click_path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    await harness.tracker.close()
    assert len(await harness.hits()) == 1
    assert await reader.read() == b""
    with pytest.raises(ConnectionRefusedError):
        await harness.connect()


async def test_closing_logs_what_the_tracker_did(harness: Harness, click_path: str) -> None:
    await harness.get(click_path)
    await harness.get("/")
    with capture_logs() as logs:
        await harness.tracker.close()
    (closed,) = [entry for entry in logs if entry["event"] == "tracker.closed"]
    counted = {"requests": 2, "clicks": 1, "not_found": 1, "cut_off": 0}
    logged = {"event": "tracker.closed", "log_level": "info"}
    assert closed == dict.fromkeys(TRACKER_COUNTERS, 0) | counted | logged


async def test_closing_lets_a_request_under_way_finish(harness: Harness, click_path: str) -> None:
    reader, writer = await harness.connect()
    writer.write(f"GET {click_path} HTTP/1.1\r\n".encode())
    await writer.drain()
    await asyncio.sleep(0.05)
    closing = asyncio.create_task(harness.tracker.close())
    await asyncio.sleep(0.05)
    writer.write(b"Host: a\r\n\r\n")
    assert (await reader.read()).startswith(b"HTTP/1.1 302 ")
    await closing
    assert len(await harness.hits()) == 1


async def test_closing_waits_no_longer_than_it_may(start: Start) -> None:
    harness = await start(close_timeout_seconds=0.2, request_timeout_seconds=120)
    _, writer = await harness.connect()
    writer.write(b"GET / HTTP/1.1\r\n")
    await asyncio.sleep(0.05)
    async with asyncio.timeout(30):
        await harness.tracker.close()


async def test_a_port_in_use_says_so(harness: Harness, start: Start) -> None:
    port = harness.tracker.port
    with pytest.raises(SettingsError, match=f"127.0.0.1:{port}.*choose another address"):
        await start(listen_port=port)


async def test_where_one_address_is_taken_none_stays_bound(
    harness: Harness, start: Start, tmp_path: Path
) -> None:
    made = make_certificate(tmp_path)
    (port,) = find_free_ports(1)
    with pytest.raises(SettingsError, match=r"tracker: can't listen on .*in use"):
        await start(
            listen_port=port,
            listen_tls=(Address("127.0.0.1", harness.tracker.port),),
            tls_certificate=made.certificate,
            tls_key=made.key,
        )
    assert (await start(listen_port=port)).tracker.port == port


async def test_concurrent_readers_get_their_own_target(
    harness: Harness, path_to: Callable[[str], str]
) -> None:
    targets = [f"https://shop.test/{number}" for number in range(200)]

    async def follow(target: str) -> bool:
        return f"Location: {target}" in headers_of(await harness.get(path_to(target)))

    assert all(await asyncio.gather(*map(follow, targets)))
    stored = await harness.hits()
    assert sorted(hit["target"] for hit in stored) == sorted(targets)
