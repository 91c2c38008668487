"""What every answer of the report has, and what becomes of errors."""

import asyncio
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.types import Message
from tests.captured_logs import capture_logs
from tests.report.visitor import make_stranger, make_visitor

from msys_track.errors import SinkError
from msys_track.report.app import PAGE_POLICY
from msys_track.report.period import PeriodError
from msys_track.report.rendering import ask_store, render
from msys_track.report.settings import ReportSettings

STORE = Path("/no/such/events.sqlite")


async def fail(request: Request) -> Response:
    raise {"defect": ValueError, "period": PeriodError, "store": SinkError}[
        request.query_params["what"]
    ]("what is wrong <b>")


async def read_missing(request: Request) -> Response:
    await ask_store(request, lambda store: store.last_sequence())
    raise AssertionError


async def show(request: Request) -> Response:
    return render(request, "base.html", page="campaigns")


PAGES = [Route("/fail", fail), Route("/read", read_missing), Route("/m/{message}", show)]


@pytest.fixture
def visitor() -> TestClient:
    return make_visitor(STORE, PAGES)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/login", 200), ("/static/report.css", 200), ("/healthz", 200), ("/m/1", 200),
        ("/none", 404), ("/static/none", 404), ("/fail?what=defect", 500),
        ("/fail?what=period", 400), ("/fail?what=store", 503), ("/read", 503),
    ],
)  # fmt: skip
def test_every_answer_says_what_a_browser_may_do(
    visitor: TestClient, path: str, status: int
) -> None:
    visitor.cookies.set("msys-track-login", "x")
    headers = (answer := visitor.get(path)).headers
    if path == "/login":  # who is logged in is led on
        headers = (answer := make_stranger(STORE).get(path)).headers

    assert answer.status_code == status
    assert headers["content-security-policy"] == PAGE_POLICY
    assert headers["x-frame-options"] == "DENY"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == ("no-cache" if path == "/static/report.css" else "no-store")
    assert "access-control-allow-origin" not in headers


def test_an_error_is_a_page_without_markup_of_its_text(visitor: TestClient) -> None:
    page = visitor.get("/fail?what=store").text

    assert "what is wrong &lt;b&gt;" in page
    assert 'lang="en"' in page


def test_a_defect_is_logged_and_its_text_is_not_shown(visitor: TestClient) -> None:
    with capture_logs() as logs:
        answer = visitor.get("/fail?what=defect")

    assert "what is wrong" not in answer.text
    assert any(each["event"] == "report.failed" for each in logs)


def test_the_log_has_routes_and_no_addresses(visitor: TestClient) -> None:
    with capture_logs() as logs:
        visitor.get("/m/jo@example.com?recipient=jo@example.com")

    (line,) = (each for each in logs if each["event"] == "report.answered")
    assert line["route"] == "/m/{message}"
    assert line["user"] == "shop"
    assert "example.com" not in str(logs)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_pages_are_only_looked_at(visitor: TestClient, method: str) -> None:
    assert visitor.request(method, "/m/1").status_code == 405


def test_a_path_out_of_the_folder_leads_nowhere(visitor: TestClient) -> None:
    for path in ("/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py"):
        assert visitor.get(path).status_code == 404


def test_the_host_is_never_repeated(visitor: TestClient) -> None:
    visitor.headers["Host"] = "evil.example"
    for path in ("/", "/m/1/", "/login", "/static/", "/none"):
        answer = visitor.get(path)
        assert "evil" not in answer.text + str(answer.headers)


def test_with_hosts_no_other_name_is_answered() -> None:
    client = make_stranger(STORE, settings=ReportSettings(hosts=("report.example.com",)))

    assert client.get("/login", headers={"Host": "evil.example"}).status_code == 400
    assert client.get("/login", headers={"Host": "REPORT.example.com:8026"}).status_code == 200


def test_the_page_that_one_is_on_is_marked(visitor: TestClient) -> None:
    page = visitor.get("/m/1").text

    assert '<a href="/campaigns" aria-current="page">' in page
    assert page.count("aria-current") == 1


def test_a_server_may_tell_it_of_start_and_end(visitor: TestClient) -> None:
    with capture_logs() as logs, visitor:
        assert visitor.get("/m/1").status_code == 200
    assert [each["event"] for each in logs] == ["report.answered"]


def test_a_websocket_gets_no_page(visitor: TestClient) -> None:
    scope = {"type": "websocket", "path": "/m/1", "headers": [], "query_string": b""}
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(visitor.app(scope, receive, send))  # type: ignore[arg-type]
    assert all(each["type"] == "websocket.close" for each in sent)
