"""The tracker as an ASGI application: the protocol by hand, and a real server."""

import asyncio
import ipaddress
from collections.abc import Callable
from typing import Any, NoReturn

import pytest
from tests.captured_logs import capture_logs
from tests.tracking.conftest import EXPIRES_AT, INJECTED_AT, TARGET

from msys_track.errors import SettingsError
from msys_track.event_fields import EventType
from msys_track.events import Event
from msys_track.keys.ring import Claims, Engagement, KeyRing
from msys_track.tracking.asgi import TrackerApp

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]

NOW = INJECTED_AT + 7


class Exchange:
    """One application, its events, and what it answers."""

    def __init__(self, keys: KeyRing, *, now: float = NOW, **settings: Any) -> None:
        self.events: list[Event] = []
        self.order: list[str] = []
        self.app = TrackerApp(keys, self._keep, clock=lambda: now, **settings)

    async def _keep(self, event: Event) -> None:
        self.events.append(event)
        self.order.append("event")

    async def get(
        self,
        path: str,
        *headers: tuple[bytes, bytes],
        method: str = "GET",
        body: bytes = b"",
        **more: Any,
    ) -> tuple[int, dict[bytes, bytes], bytes]:
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": headers,
            "client": ("192.0.2.7", 4711),
            **more,
        }
        sent: list[dict[str, Any]] = []

        pieces = [body[:9], body[9:]]

        async def receive() -> dict[str, Any]:
            assert method == "POST", "the body of other requests is not asked for"
            piece = pieces.pop(0)
            return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

        async def send(message: Any) -> None:
            sent.append(message)
            self.order.append(message["type"])

        await self.app(scope, receive, send)
        start, end = sent
        assert (start["type"], end["type"]) == ("http.response.start", "http.response.body")
        return start["status"], dict(start["headers"]), end["body"]


async def test_a_click_is_sent_on_and_then_reported(keys: KeyRing, click_path: str) -> None:
    exchange = Exchange(keys)
    status, headers, _ = await exchange.get(
        click_path, (b"User-Agent", b"Reader/1"), (b"accept-language", b"de")
    )
    assert (status, headers[b"location"]) == (302, TARGET.encode())
    [event] = exchange.events
    assert (event.type, event.timestamp) == (EventType.CLICK, NOW)
    assert (event.ip_address, event.user_agent, event.accept_language) == (
        "192.0.2.7", "Reader/1", "de",
    )  # fmt: skip
    assert (event.raw_rcpt_to, event.target_link_url) == ("Recipient@Example.com", TARGET)
    assert exchange.order == ["http.response.start", "http.response.body", "event"]


async def test_an_open_is_a_pixel(keys: KeyRing, open_path: str) -> None:
    exchange = Exchange(keys)
    status, headers, body = await exchange.get(open_path)
    assert (status, headers[b"content-type"]) == (200, b"image/gif")
    assert int(headers[b"content-length"]) == len(body) > 0
    assert [each.type for each in exchange.events] == [EventType.OPEN]


async def test_names_of_header_fields_are_in_lower_case(keys: KeyRing, open_path: str) -> None:
    _, headers, _ = await Exchange(keys).get(open_path)
    assert all(name == name.lower() for name in headers)


async def test_a_server_without_raw_path_is_served_too(keys: KeyRing, click_path: str) -> None:
    exchange = Exchange(keys)
    for raw_path in (None, b""):
        assert (await exchange.get(click_path, raw_path=raw_path))[0] == 302
    assert len(exchange.events) == 2


async def test_what_was_not_sealed_by_us_is_not_found_and_no_event(
    keys: KeyRing, click_path: str
) -> None:
    exchange = Exchange(keys)
    for path in ("/", "/x", f"{click_path}A", "/f/a/%ff", "/f/a/\N{SNOWMAN}"):
        assert (await exchange.get(path))[0] == 404
    assert (await Exchange(KeyRing.temporary()).get(click_path))[0] == 404
    assert exchange.events == []


async def test_head_has_no_body_and_no_event(keys: KeyRing, open_path: str) -> None:
    exchange = Exchange(keys)
    status, headers, body = await exchange.get(open_path, method="HEAD")
    assert (status, body, exchange.events) == (200, b"", [])
    assert int(headers[b"content-length"]) > 0


async def test_a_reader_unsubscribes_by_a_post_alone(
    keys: KeyRing, engagement: Engagement
) -> None:
    path = "/" + keys.seal(Claims(kind="list_unsubscribe", engagement=engagement))
    exchange = Exchange(keys)
    assert (await exchange.get(path))[0] == 200
    assert (await exchange.get(path, method="POST", body=b"x=y"))[0] == 400
    assert (await exchange.get(path, method="POST", body=b"x" * 9_000))[0] == 400
    assert exchange.events == []
    kind = (b"Content-Type", b"application/x-www-form-urlencoded")
    one_click = b"List-Unsubscribe=One-Click"
    assert (await exchange.get(path, kind, method="POST", body=one_click))[0] == 200
    assert [each.type for each in exchange.events] == [EventType.LIST_UNSUBSCRIBE]


async def test_a_link_that_unsubscribes_can_ask_first(
    keys: KeyRing, engagement: Engagement
) -> None:
    claims = Claims(kind="link_unsubscribe", engagement=engagement, target=TARGET)
    path = "/" + keys.seal(claims)
    exchange = Exchange(keys, confirm_unsubscribe=True)
    assert (await exchange.get(path))[0] == 200
    assert exchange.events == []
    status, headers, _ = await exchange.get(
        path, method="POST", body=b"List-Unsubscribe=One-Click"
    )
    assert (status, headers[b"location"]) == (303, TARGET.encode())
    assert [each.type for each in exchange.events] == [EventType.LINK_UNSUBSCRIBE]


async def test_other_methods_are_refused(keys: KeyRing, click_path: str) -> None:
    exchange = Exchange(keys)
    assert (await exchange.get(click_path, method="POST"))[0] == 405
    assert exchange.events == []
    assert exchange.app.counters["refused_methods"] == 1


@pytest.mark.parametrize(
    ("path", "allowed"), [("/f/x/1", b"GET, HEAD"), ("/u/x", b"GET, HEAD, POST")]
)
async def test_a_refused_method_is_told_which_ones_are_allowed(
    keys: KeyRing, path: str, allowed: bytes
) -> None:
    status, headers, _ = await Exchange(keys).get(path, method="PUT")
    assert (status, headers[b"allow"]) == (405, allowed)


@pytest.mark.parametrize(("expired", "status"), [("redirect", 302), ("gone", 410)])
async def test_a_link_past_its_time_makes_no_event(
    keys: KeyRing, click_path: str, expired: Any, status: int
) -> None:
    exchange = Exchange(keys, now=EXPIRES_AT + 1, expired=expired)
    assert (await exchange.get(click_path))[0] == status
    assert exchange.events == []


async def test_a_trusted_proxy_says_who_the_client_is(keys: KeyRing, click_path: str) -> None:
    forwarded = (b"X-Forwarded-For", b"198.51.100.9")
    trusted = [ipaddress.ip_network("192.0.2.0/24")]
    exchange = Exchange(keys, trusted_proxies=trusted)
    await exchange.get(click_path, forwarded)
    await exchange.get(click_path, forwarded, client=None)
    distrusting = Exchange(keys)
    await distrusting.get(click_path, forwarded)
    found = [each.ip_address for each in exchange.events + distrusting.events]
    assert found == ["198.51.100.9", None, "192.0.2.7"]


async def test_an_unsubscribe_is_a_click_as_well_where_that_is_asked_for(
    keys: KeyRing, engagement: Engagement
) -> None:
    claims = Claims(kind="link_unsubscribe", engagement=engagement, target=TARGET)
    exchange = Exchange(keys, unsubscribe_also_click=True)
    assert (await exchange.get(f"/{keys.seal(claims)}"))[0] == 302
    assert [each.type for each in exchange.events] == [
        EventType.LINK_UNSUBSCRIBE, EventType.CLICK,
    ]  # fmt: skip


async def test_a_failing_callback_loses_its_event_and_not_the_answer(
    keys: KeyRing, click_path: str
) -> None:
    exchange = Exchange(keys)

    async def fail(event: Event) -> None:
        raise ConnectionError(event.event_id)

    exchange.app = TrackerApp(keys, fail, clock=lambda: NOW)
    with capture_logs() as logs:
        assert (await exchange.get(click_path))[0] == 302
    assert [each["event"] for each in logs] == ["tracker.event_failed"]
    assert exchange.app.counters["failures"] == 1


class Broken(dict[str, str]):
    """A defect of ours, wherever it is asked."""

    def get(self, *_: object) -> NoReturn:
        raise ZeroDivisionError


async def test_a_defect_of_ours_leads_to_the_target_and_is_logged(
    keys: KeyRing, click_path: str
) -> None:
    exchange = Exchange(keys)
    exchange.app._routes.overrides = Broken({"a": "b"})  # noqa: SLF001 - no argument makes one
    with capture_logs() as logs:
        status, headers, _ = await exchange.get(click_path)
    assert (status, headers[b"location"]) == (302, TARGET.encode())
    assert [each["event"] for each in logs] == ["tracker.location_failed"]


async def test_the_life_of_the_server_is_answered(keys: KeyRing) -> None:
    exchange = Exchange(keys)
    received = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return next(received)

    async def send(message: Any) -> None:
        sent.append(message["type"])

    await exchange.app({"type": "lifespan"}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    with pytest.raises(ValueError, match="TrackerApp serves http, not websocket"):
        await exchange.app({"type": "websocket"}, receive, send)


async def test_a_real_server_serves_it(
    keys: KeyRing, click_path: str, path_to: Callable[[str], str]
) -> None:
    uvicorn = pytest.importorskip("uvicorn", reason="uvicorn is in the group dev")
    exchange = Exchange(keys)
    config = uvicorn.Config(exchange.app, port=0, log_level="error", lifespan="on")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - it has no event for it
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    for path, target in ((click_path, TARGET), (path_to("http://e.test/ü"), "http://e.test/")):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            f"GET {path}?utm_source=x HTTP/1.1\r\nHost: a\r\nUser-Agent: Reader\r\n"
            "Connection: close\r\n\r\n".encode()
        )
        answer = await reader.read()
        writer.close()
        assert answer.startswith(b"HTTP/1.1 302 ")
        assert f"\r\nlocation: {target}".encode() in answer
    server.should_exit = True
    await serving
    assert [each.user_agent for each in exchange.events] == ["Reader", "Reader"]
    assert {each.ip_address for each in exchange.events} == {"127.0.0.1"}


async def test_a_foreign_link_is_handed_on_with_its_query(keys: KeyRing) -> None:
    exchange = Exchange(keys, unknown_links="https://old.test")
    path = "/f/a/5TmBPmvTqjKFBk5dO3l0_w~~/AAAAARA~/RgRl"
    status, headers, _ = await exchange.get(path, query_string=b"target=x")
    assert (status, headers[b"location"]) == (302, f"https://old.test{path}?target=x".encode())
    assert exchange.events == []


async def test_unknown_links_must_name_an_origin(keys: KeyRing) -> None:
    with pytest.raises(
        SettingsError, match=r"unknown_links: found 'https://old\.test/x', allowed"
    ):
        Exchange(keys, unknown_links="https://old.test/x")
