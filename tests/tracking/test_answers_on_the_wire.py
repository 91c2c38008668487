"""Readers who unsubscribe, changed targets and withdrawn recipients, with a running tracker.

On asyncio's own loop all is Python; on uvloop the compiled core answers what is plain.
"""

import asyncio
from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from ipaddress import ip_network
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlencode

import pytest
from tests.captured_logs import capture_logs
from tests.tracking.conftest import (
    EXPIRES_AT,
    IN_PYTHON,
    INJECTED_AT,
    TARGET,
    UVLOOP,
    Harness,
    Start,
)

from msys_track.keys.ring import Claims, Engagement, KeyRing
from msys_track.tracking.replies import PIXEL

pytestmark = pytest.mark.anyio

ONE_CLICK = b"List-Unsubscribe=One-Click"
URLENCODED = "Content-Type: application/x-www-form-urlencoded"
NEW_TARGET = "https://new.test/sale"


@pytest.fixture(scope="session")
def leave_path(keys: KeyRing, engagement: Engagement) -> str:
    return "/" + keys.seal(Claims(kind="list_unsubscribe", engagement=engagement))


@pytest.fixture(scope="session")
def link_path(keys: KeyRing, engagement: Engagement) -> str:
    return "/" + keys.seal(
        Claims(kind="link_unsubscribe", engagement=engagement, target="https://shop.test/left")
    )


def write_post(path: str, body: bytes, *lines: str) -> bytes:
    head = [f"POST {path} HTTP/1.1", "Host: click.test", f"Content-Length: {len(body)}", *lines]
    return "\r\n".join([*head, "", ""]).encode("latin-1") + body


async def post(harness: Harness, path: str, body: bytes, *lines: str) -> bytes:
    return await harness.exchange(write_post(path, body, *(lines or (URLENCODED,))))


async def wait_for(harness: Harness, path: str, expected: bytes) -> None:
    """Ask until a file that was changed is in force."""
    async with asyncio.timeout(10):
        while expected not in await harness.get(path):
            pass


# Unsubscribing


@UVLOOP
async def test_a_one_click_post_is_answered_without_redirect_or_cookie_and_leaves_a_hit(
    harness: Harness, leave_path: str
) -> None:
    answer = await post(harness, leave_path, ONE_CLICK, URLENCODED, "User-Agent: Google-Mail")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nLocation:" not in answer
    assert b"\r\nSet-Cookie:" not in answer
    [hit] = await harness.hits()
    assert (hit["kind"], hit["recipient"]) == ("list_unsubscribe", "Recipient@Example.com")
    assert (hit["address"], hit["agent"]) == ("127.0.0.1", "Google-Mail")
    assert "request" not in hit
    assert harness.tracker.counters["unsubscribes"] == 1


@UVLOOP
async def test_a_form_of_several_parts_unsubscribes_however_it_is_cut(
    harness: Harness, leave_path: str
) -> None:
    boundary = "----WebKitFormBoundary7MA4YWxkTrZu0gW"
    field = 'Content-Disposition: form-data; name="List-Unsubscribe"'
    body = f"--{boundary}\r\n{field}\r\n\r\nOne-Click\r\n--{boundary}--\r\n".encode()
    for kind in (
        f"multipart/form-data; boundary={boundary}",
        f'Multipart/Form-Data; boundary="{boundary}"',
    ):
        assert b" 200 OK" in await post(harness, leave_path, body, f"Content-Type: {kind}")
    reader, writer = await harness.connect()
    for byte in write_post(leave_path, body, f"Content-Type: {kind}"):
        writer.write(bytes([byte]))
        await asyncio.sleep(0)
    assert (await reader.readline()) == b"HTTP/1.1 200 OK\r\n"
    assert [hit["kind"] for hit in await harness.hits()] == ["list_unsubscribe"] * 3


@UVLOOP
async def test_a_client_that_waits_for_100_before_it_sends_the_form_gets_it(
    harness: Harness, leave_path: str, click_path: str
) -> None:
    reader, writer = await harness.connect()
    before = f"GET {click_path} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
    request = write_post(leave_path, ONE_CLICK, URLENCODED, "Expect: 100-continue")
    writer.write(before + request.removesuffix(ONE_CLICK))
    assert b" 302 " in await reader.readuntil(b"\r\n\r\n")
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(ONE_CLICK)
    writer.write_eof()
    answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert [hit["kind"] for hit in await harness.hits()] == ["click", "list_unsubscribe"]


@UVLOOP
async def test_a_client_that_does_not_wait_for_100_gets_the_final_answer_alone(
    harness: Harness, leave_path: str
) -> None:
    answer = await post(harness, leave_path, ONE_CLICK, URLENCODED, "Expect: 100-continue")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    http_10 = f"POST {leave_path} HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 26\r\n\r\n"
    answer = await harness.exchange(http_10.encode() + ONE_CLICK)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert len(await harness.hits()) == 2


@UVLOOP
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"&" * 4_000,
        b"a=b&" * 1_000,
        b"%" * 4_000,
        bytes(range(256)) * 16,
        b"x" * 5_000 + b"&" + ONE_CLICK,
    ],
    ids=["nothing", "separators", "fields", "percent", "bytes", "beyond what is kept"],
)
@pytest.mark.parametrize(
    "kind",
    [
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=" + "x" * 80,
        "multipart/form-data; boundary=a",
        "multipart/form-data; boundary*" + "9" * 5_000 + "=a",
        "\xff\xfe",
        "",
    ],
    ids=["form", "long boundary", "parts", "long number", "not ASCII", "no type"],
)
async def test_what_is_no_form_of_ours_is_refused_and_breaks_nothing(
    harness: Harness, leave_path: str, body: bytes, kind: str
) -> None:
    answer = await post(harness, leave_path, body, f"Content-Type: {kind}")
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert await harness.hits() == []
    assert harness.tracker.counters["failures"] == 0


class FormReader(HTMLParser):
    """What a browser would send when the button is pressed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.fields: dict[str, str] = {}
        self.method = ""
        self.tags: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.tags.add(tag)
        if tag == "form":
            assert "action" not in given, "the page's own address"
            self.method = given["method"].upper()
        elif tag == "input":
            self.fields[given["name"]] = given["value"]


@UVLOOP
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_looking_at_the_page_of_an_unsubscribe_link_leaves_nothing(
    harness: Harness, leave_path: str, method: str
) -> None:
    answer = await harness.get(leave_path, method=method)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert (body == b"") is (method == "HEAD")
    assert await harness.hits() == []


@UVLOOP
async def test_pressing_the_button_of_the_page_unsubscribes(
    harness: Harness, leave_path: str
) -> None:
    page = (await harness.get(leave_path)).partition(b"\r\n\r\n")[2].decode()
    form = FormReader(page)
    assert form.method == "POST"
    assert "script" not in form.tags
    assert not {"img", "link", "iframe", "a"} & form.tags
    answer = await post(harness, leave_path, urlencode(form.fields).encode())
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Content-Type: text/html" in answer
    assert [hit["request"] for hit in await harness.hits()] == [{"confirmed": True}]


@UVLOOP
async def test_a_link_that_unsubscribes_waits_for_the_button_where_that_is_wanted(
    start: Start, link_path: str
) -> None:
    harness = await start(confirm_unsubscribe=True)
    for suffix in ("", "?utm_source=mail", ")"):
        head, _, page = (await harness.get(link_path + suffix)).decode().partition("\r\n\r\n")
        assert "form-action 'self' http: https:;" in head, "or browsers would not follow the 303"
        body = urlencode(FormReader(page).fields).encode()
        assert await harness.hits() == [] or suffix
        answer = await post(harness, link_path + suffix, body)
        assert answer.startswith(b"HTTP/1.1 303 See Other\r\n")
        assert b"\r\nLocation: https://shop.test/left\r\n" in answer
    hits = await harness.hits()
    assert [(hit["kind"], hit["request"]) for hit in hits] == [
        ("link_unsubscribe", {"confirmed": True})
    ] * 3


@UVLOOP
async def test_a_link_that_unsubscribes_leads_on_at_once_by_default(
    harness: Harness, link_path: str
) -> None:
    assert b"\r\nLocation: https://shop.test/left\r\n" in await harness.get(link_path)
    assert (await post(harness, link_path, ONE_CLICK)).startswith(b"HTTP/1.1 405 ")
    assert [hit["kind"] for hit in await harness.hits()] == ["link_unsubscribe"]


@UVLOOP
@pytest.mark.parametrize(
    ("settings", "status"),
    [({}, b"303"), ({"expired": "gone"}, b"410"), ({"expired_url": NEW_TARGET}, b"303")],
)
async def test_the_button_of_an_expired_link_does_what_the_link_does(
    start: Start, link_path: str, settings: Mapping[str, str], status: bytes
) -> None:
    harness = await start(now=EXPIRES_AT, confirm_unsubscribe=True, **settings)
    answer = await post(harness, link_path, ONE_CLICK)
    assert answer[9:12] == status
    assert (NEW_TARGET.encode() in answer) is ("expired_url" in settings)
    assert await harness.hits() == []
    assert harness.tracker.counters["unsubscribes"] == 0


# What a request shows


async def test_a_head_is_a_hit_that_says_so(harness: Harness, click_path: str) -> None:
    assert b" 302 " in await harness.get(click_path, method="HEAD")
    assert b" 404 " in await harness.get("/f/a/x", method="HEAD")
    [hit] = await harness.hits()
    assert (hit["kind"], hit["request"]) == ("click", {"method": "HEAD"})
    assert harness.tracker.counters["heads"] == 1


@pytest.mark.parametrize(
    ("line", "purpose"),
    [
        ("Sec-Purpose: prefetch;anonymous-client-ip", "prefetch"),
        ("sec-purpose: prefetch;prerender", "prefetch"),
        ("Purpose: prefetch", "prefetch"),
        ("X-Purpose: preview", "preview"),
        ("X-Moz: prefetch", "prefetch"),
    ],
)
async def test_a_request_that_says_nobody_reads_is_a_hit_that_says_so(
    harness: Harness, click_path: str, open_path: str, line: str, purpose: str
) -> None:
    for path in (click_path, open_path):
        await harness.get(path, line)
    assert [hit["request"] for hit in await harness.hits()] == [{"purpose": purpose}] * 2


@pytest.mark.parametrize(
    ("behind", "suffix"),
    [
        ("", None),
        (".", None),
        (")", None),
        (">", None),
        ("%22", None),
        ("%3E%2C", None),
        ("?utm_campaign=Valentine%27s+%26+more", None),
        ("?fbclid=IwAR0-a_b&x=%C3%A9", None),
        ("%27", "'"),
        ("'", "'"),
        ("%22%3E%3Cimg", '"><img'),
        ("/../../etc", "/../../etc"),
        ("?x=%3Cscript%3E", "?x=<script>"),
        ("?x=..%2f..%2fetc", "?x=../../etc"),
    ],
)
async def test_an_attack_behind_a_true_token_is_told_from_what_clients_append(
    harness: Harness, click_path: str, open_path: str, behind: str, suffix: str | None
) -> None:
    for path in (click_path, open_path):
        await harness.get(path + behind)
    facts = [hit.get("request", {}).get("suffix") for hit in await harness.hits()]
    assert facts == [suffix] * 2


async def test_raw_bytes_behind_a_token_are_junk_as_any_other(
    harness: Harness, click_path: str
) -> None:
    targets = [click_path.encode() + junk for junk in (b"\xe2\x80\x9d", b"\xff", b"?q=\xc3\xa9")]
    answers = await harness.get_pipelined(targets)
    assert [answer[9:12] for answer in answers] == [b"302"] * 3
    assert all(b"\r\nLocation: " + TARGET.encode() in answer for answer in answers)
    assert len(await harness.hits()) == 3


@pytest.mark.parametrize(
    "forwarded", ["fe80::7%eth0", "fe80::7%<script>", "unknown", "_hidden", "203.0.113.7%1"]
)
async def test_a_forwarded_address_with_a_zone_or_that_is_none_is_not_stored(
    start: Start, click_path: str, forwarded: str
) -> None:
    harness = await start(trusted_proxies=(ip_network("127.0.0.0/8"),))
    await harness.get(click_path, f"X-Forwarded-For: {forwarded}")
    assert [hit["address"] for hit in await harness.hits()] == ["127.0.0.1"]


@pytest.mark.parametrize(
    ("privacy", "kept"),
    [
        ("full", ("203.0.113.77", "Reader/1", "Recipient@Example.com")),
        ("truncated", ("203.0.113.0", "Reader/1", "Recipient@Example.com")),
        ("aggregate", (None, None, None)),
    ],
)
@pytest.mark.parametrize("line", ["X-Plain: yes", "Sec-Purpose: prefetch"])
async def test_a_hit_keeps_no_more_of_its_reader_than_the_token_allows(
    start: Start, keys: KeyRing, privacy: Any, kept: tuple[str | None, ...], line: str
) -> None:
    whole = Engagement(
        message_id="000443ee14578172be22",
        recipient="" if privacy == "aggregate" else "Recipient@Example.com",
        injected_at=INJECTED_AT,
        expires_at=EXPIRES_AT,
        customer_id=1,
        privacy=privacy,
    )
    harness = await start(trusted_proxies=(ip_network("127.0.0.0/8"),))
    path = "/" + keys.seal(Claims(kind="open", engagement=whole))
    forwarded = "X-Forwarded-For: 203.0.113.77"
    await harness.get(path, forwarded, "User-Agent: Reader/1", "Accept-Language: de", line)
    [hit] = await harness.hits()
    assert (hit.get("address"), hit.get("agent"), hit.get("recipient")) == kept
    assert ("language" in hit) is (privacy != "aggregate")


# Files that change


def replace(file: Path, text: str) -> None:
    """Put another file in its place at once, as an editor does."""
    file.with_suffix(".new").write_text(text, "utf-8")
    file.with_suffix(".new").rename(file)


def told(logs: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """What was logged of such files."""
    return [entry for entry in logs if entry["event"].startswith("links.")]


async def test_changed_targets_are_followed_while_it_runs(
    start: Start, tmp_path: Path, click_path: str
) -> None:
    file = tmp_path / "redirects.txt"
    file.write_text("\ufeff# none yet\n", "utf-8")
    harness = await start(redirects=file, request_timeout_seconds=0.2)
    await wait_for(harness, click_path, f"Location: {TARGET}\r\n".encode())
    replace(file, f"\ufeff{TARGET}\t{NEW_TARGET}\r\n")
    await wait_for(harness, click_path, f"Location: {NEW_TARGET}\r\n".encode())
    hit = (await harness.hits())[-1]
    assert (hit["target"], hit["request"]) == (TARGET, {"redirected_to": NEW_TARGET})
    with capture_logs() as logs:
        replace(file, f"{TARGET} https://other.test\n{TARGET} javascript:alert(1)\n")
        async with asyncio.timeout(10):
            while not told(logs):
                assert NEW_TARGET.encode() in await harness.get(click_path)
        await asyncio.sleep(0.2)  # it is looked at again, and again
    [entry] = told(logs)
    assert entry["event"] == "links.not_reloaded"
    assert f"{file}:2:" in entry["faults"][0]
    assert NEW_TARGET.encode() in await harness.get(click_path)
    file.unlink()
    await asyncio.sleep(0.2)
    assert NEW_TARGET.encode() in await harness.get(click_path)


async def test_who_withdraws_while_it_runs_is_led_on_and_not_recorded(
    start: Start, tmp_path: Path, click_path: str, open_path: str, leave_path: str
) -> None:
    file = tmp_path / "withdrawn.txt"
    file.write_text("\ufeffsomebody@example.com\n", "utf-8")
    harness = await start(withdrawn=file, request_timeout_seconds=0.2)
    await harness.get(click_path)
    assert len(await harness.hits()) == 1
    replace(file, "\ufeffRECIPIENT@example.com\r\nsomebody@example.com\r\n")
    async with asyncio.timeout(10):
        while harness.tracker.counters["withdrawn"] == 0:
            await harness.get(click_path)
    before = len(await harness.hits())
    assert f"Location: {TARGET}\r\n".encode() in await harness.get(click_path)
    assert (await harness.get(open_path)).endswith(PIXEL)
    assert f"Location: {TARGET}\r\n".encode() in await harness.get(click_path, method="HEAD")
    assert len(await harness.hits()) == before
    await post(harness, leave_path, ONE_CLICK)
    assert [hit["kind"] for hit in (await harness.hits())[before:]] == ["list_unsubscribe"]


async def test_what_is_told_to_look_at_its_files_reads_those_that_changed(
    start: Start, tmp_path: Path, click_path: str
) -> None:
    redirects, withdrawn = tmp_path / "redirects.txt", tmp_path / "withdrawn.txt"
    redirects.touch()
    withdrawn.touch()
    harness = await start(redirects=redirects, withdrawn=withdrawn)
    replace(withdrawn, "recipient@example.com\n")
    with capture_logs() as logs:
        harness.tracker.look_at_files()
        harness.tracker.look_at_files()
    assert [Path(entry["file"]) for entry in told(logs)] == [withdrawn]
    assert f"Location: {TARGET}\r\n".encode() in await harness.get(click_path)
    assert await harness.hits() == []


@UVLOOP
async def test_readers_are_answered_while_a_long_list_is_read(
    start: Start, tmp_path: Path, click_path: str
) -> None:
    file = tmp_path / "withdrawn.txt"
    file.write_text("a@b.test\n")
    harness = await start(withdrawn=file, request_timeout_seconds=0.2)
    with capture_logs() as logs:
        replace(file, "".join(f"{number}@b.test\n" for number in range(100_000)))
        answered = 0
        async with asyncio.timeout(20):
            while not told(logs):
                assert b" 302 " in await harness.get(click_path)
                answered += 1
    [entry] = told(logs)
    assert (entry["event"], entry["entries"]) == ("links.reloaded", 100_000)
    assert answered > 1


# Nothing is a 500 once the target is known


class Broken(dict[str, str]):
    """A defect of ours, wherever it is asked."""

    def get(self, *_: object) -> NoReturn:
        raise ZeroDivisionError

    def __contains__(self, _: object) -> NoReturn:
        raise ZeroDivisionError

    def __bool__(self) -> bool:
        return True


@IN_PYTHON
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("part", ["overrides", "withdrawal"])
async def test_a_defect_of_a_list_leads_to_the_target(
    harness: Harness, click_path: str, open_path: str, part: str, method: str
) -> None:
    setattr(harness.tracker._service.routes, part, Broken())  # noqa: SLF001 - no file makes one
    with capture_logs() as logs:
        answer = await harness.get(click_path, method=method)
        assert (await harness.get(open_path, method=method)).startswith(b"HTTP/1.1 200 ")
    assert f"\r\nLocation: {TARGET}\r\n".encode() in answer
    assert answer.count(b"HTTP/1.1 ") == 1
    assert {entry["event"] for entry in logs} == {"tracker.location_failed"}
    assert harness.tracker.counters["failures"] == len(logs)


@IN_PYTHON
async def test_a_defect_of_making_the_page_leads_to_the_target(
    start: Start, link_path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness = await start(confirm_unsubscribe=True)
    monkeypatch.delattr("msys_track.tracking.replies.Replies.ask_and_lead")
    answer = await harness.get(link_path)
    assert b"\r\nLocation: https://shop.test/left\r\n" in answer
    assert await harness.hits() == [], "nobody has pressed a button"


@IN_PYTHON
async def test_a_defect_of_the_access_log_is_nothing_to_the_reader(
    start: Start, click_path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def note(*_: object, **_more: object) -> NoReturn:
        raise ZeroDivisionError

    harness = await start(access_log_share=1.0)
    monkeypatch.setattr("msys_track.tracking.access_log.AccessLog.note", note)
    answers = await harness.get_pipelined([click_path.encode()] * 3)
    assert [answer[9:12] for answer in answers] == [b"302"] * 3
    assert len(await harness.hits()) == 3
    assert harness.tracker.counters["failures"] == 3


# Other paths


@UVLOOP
async def test_robots_images_and_the_files_of_apps_are_served(start: Start) -> None:
    harness = await start(apple_apps=("ABCDE12345.test.shop",), app_sublinks=("open",))
    paths = ["/robots.txt", "/o/a", "/.well-known/apple-app-site-association", "/o", "/"]
    answers = await harness.get_pipelined([each.encode() for each in paths])
    assert [answer[9:12] for answer in answers] == [b"200", b"200", b"200", b"404", b"404"]
    assert answers[0].endswith(b"\r\n\r\nUser-agent: *\nDisallow: /\n")
    assert answers[1].endswith(PIXEL)
    assert b"\r\nContent-Type: application/json\r\n" in answers[2]
    assert b'"/f/open/*"' in answers[2]
    assert await harness.hits() == []


async def test_a_page_that_isolates_itself_can_show_the_pixel(
    harness: Harness, open_path: str, click_path: str
) -> None:
    policy = b"\r\nCross-Origin-Resource-Policy: cross-origin\r\n"
    assert policy in await harness.get(open_path)
    assert policy not in await harness.get(click_path)
