"""The report under attack: strangers, other users, hostile events and hostile mail."""

import hashlib
import http.client
import re
import socket
import threading
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

import pytest
from starlette.routing import Route
from tests.report import made_day, stage
from tests.report.browser import Browser, run_browser
from tests.report.made_day import DAYS
from tests.report.stage import Stage, Visitor
from tests.sinks.store.events import AT, line
from tests.users import PASSWORD

from msys_track.errors import SinkError
from msys_track.kept_mail.form import KeptLink, KeptMail, name_shape, save_mail
from msys_track.report import live
from msys_track.report.routes import APIS, PAGES
from msys_track.sinks.store.reading import open_store

pytestmark = pytest.mark.timeout(120)

HOSTILE: Final = "\"'><script>hacked=1</script><img src=x onerror=hacked=1>{{7*7}}<!--\u202e"
HOSTILE_DAYS: Final = "from=2023-11-14&to=2023-11-15"
SQL: Final = (
    "' OR '1'='1", "'; DROP TABLE events; --", '" OR ""="', "1; DELETE FROM events", "%", "*",
    "\\", "_%_", "') UNION SELECT 1,2,3,4,5 --", "\x00", "a\x00' --", "🕱" * 50, "-1", "1e9",
    "9" * 30, "${7*7}", "{{7*7}}", "NULL",
)  # fmt: skip
HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def list_paths() -> list[str]:
    """Every path behind the door, with something in its places."""
    routes = [each for each in (*PAGES, *live.ROUTES) if isinstance(each, Route)]
    fill = {"{message_id:path}": "ff", "{table}": "events", "{form}": "csv"}
    paths = []
    for route in routes:
        path = route.path
        for name, value in fill.items():
            path = path.replace(name, value)
        assert "{" not in path, path
        paths.append(path)
    return paths


PATHS: Final = list_paths()
PARAMETERS: Final = (
    "from", "to", "name", "count", "what", "by", "shape", "part", "who", "address", "before",
    "q", "message", "next",
)  # fmt: skip


def make_hostile_events() -> list[bytes]:
    """Events in which everything that a sender or a reader chooses is hostile."""
    about: dict[str, Any] = {
        "campaign_id": HOSTILE, "rcpt_to": f"{HOSTILE}@b.test", "message_id": HOSTILE,
        "rcpt_tags": [HOSTILE], "recipient_domain": HOSTILE, "subject": HOSTILE,
        "target_link_name": HOSTILE, "ip_address": HOSTILE, "reason": HOSTILE,
        "user_agent": HOSTILE, "user_agent_parsed": {"agent_family": HOSTILE},
        "geo_ip": {"country": HOSTILE}, "target_link_url": f"javascript:{HOSTILE}",
    }  # fmt: skip
    own = {
        "target_link_position": {"part": "html", "number": 1},
        "rules": [{"rule": HOSTILE, "evidence": HOSTILE}],
    }
    return [
        line("injection", class_=None, **about),
        line("click", own=own, **about),
        line("open", own={"rules": own["rules"]}, **about),
        line("click", at=AT + 9, **{**about, "target_link_name": None}),
        line(HOSTILE, class_=HOSTILE, **about),
    ]


def write_hostile_mail(trap: str) -> str:
    """Write a mail that tries all it can to run, to load and to lead away."""
    return f"""</style><script>hacked=1;top.hacked=1</script>
<base href="{trap}/base/"><meta http-equiv="refresh" content="0;url={trap}/refresh">
<link rel="stylesheet" href="{trap}/style"><link rel="prefetch" href="{trap}/prefetch">
<link rel="preload" as="image" href="{trap}/preload"><link rel="icon" href="{trap}/icon">
<link rel="preconnect" href="{trap}"><link rel="dns-prefetch" href="{trap}">
<style>@import url({trap}/import); @font-face {{ font-family: f; src: url({trap}/font) }}
body {{ background: url({trap}/background); font-family: f }}
a::after {{ display: none !important; content: "0 %" !important }}
a:not(#a#b#c)::after {{ content: "1 %" !important; font-size: 0 !important }}
@layer badges {{ a[href]:not(#a#b#c)::after {{ content: "2 %" !important; width: 0 !important }} }}
</style>
<img src="{trap}/image" onerror="hacked=1" onload="hacked=1"><img srcset="{trap}/srcset 1x">
<video src="{trap}/video" poster="{trap}/poster" autoplay></video><audio src="{trap}/a"></audio>
<iframe src="{trap}/iframe"></iframe><iframe srcdoc="<script>top.hacked=1</script>"></iframe>
<object data="{trap}/object"></object><embed src="{trap}/embed">
<svg onload="hacked=1"><script>hacked=1</script><image href="{trap}/svg"/></svg>
<form id="f" action="{trap}/form"><input name="q" autofocus onfocus="hacked=1"></form>
<body onload="hacked=1;document.forms[0].submit()">
<a id="out" href="javascript:top.hacked=1" target="_top" ping="{trap}/ping">out</a>
<a id="marked" href="#msys-html-1">marked</a>
<a id="away" href="{trap}/away" target="_top">away</a>"""


def keep_hostile_mail(folder: Path, trap: str) -> None:
    links = (KeptLink(part="html", number=1, name=HOSTILE, target=f"javascript:{HOSTILE}"),)
    save_mail(
        folder,
        KeptMail(
            campaign=HOSTILE, shape=name_shape(links), kept_at=AT, subject=HOSTILE,
            html=write_hostile_mail(trap),
            text=f"{HOSTILE} #msys-html-1 #msys-text-1", links=links,
        ),
    )  # fmt: skip


class Trap:
    """A server that nobody is to connect to."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.caught: list[bytes] = []
        threading.Thread(target=self._catch, daemon=True).start()

    def _catch(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            with client:
                client.settimeout(0.5)
                try:
                    self.caught.append(client.recv(200))
                except TimeoutError:
                    self.caught.append(b"a connection without a request")

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


@pytest.fixture(scope="module")
def trap() -> Iterator[Trap]:
    made = Trap()
    yield made
    made.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, trap: Trap) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("attacked")
    keep_hostile_mail(folder / stage.KEPT_MAIL, trap.url)
    made_day.keep_mails(folder / stage.KEPT_MAIL)
    running = stage.start(folder, [*make_hostile_events(), *made_day.make_day()], "shop", "other")
    yield running
    running.server.kill()


@pytest.fixture(scope="module")
def visitor(report: Stage) -> Visitor:
    found = report.visitor()
    assert found.log_in().status == 303
    return found


@pytest.fixture
def stranger(report: Stage) -> Visitor:
    return report.visitor()


def list_hostile_pages() -> list[str]:
    days = f"{HOSTILE_DAYS}&name={quote(HOSTILE)}"
    return [
        f"/?{HOSTILE_DAYS}", f"/?{HOSTILE_DAYS}&count=total&what=clicked",
        f"/campaigns?{HOSTILE_DAYS}", f"/campaign?{days}", f"/campaign?name={quote(HOSTILE)}2",
        *(f"/groups?by={by}&{days}" for by in ("tag", "domain", "client", "country")),
        f"/message/{quote(HOSTILE, safe='')}", f"/recipient?address={quote(HOSTILE)}%40b.test",
        f"/recipient?address={quote(HOSTILE)}", f"/search?q={quote(HOSTILE)}",
        f"/search?q={quote(HOSTILE[:9])}", f"/campaign/clicks?{days}",
        f"/campaign/clicks?{days}&part=text&who=all", f"/{quote(HOSTILE)}",
        f"/?from={quote(HOSTILE)}", f"/?to={quote(HOSTILE)}", f"/groups?by={quote(HOSTILE)}",
    ]  # fmt: skip


class _Danger(HTMLParser):
    """Collects what could run, load or lead away in a page of the report."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag in {"object", "embed", "base", "img", "style"}:
            self.found.append(tag)
        if tag == "script" and values != {"src": "/static/live.js", "defer": None}:
            self.found.append(f"script {values}")
        for name, value in attrs:
            if name.startswith("on") or name in {"style", "srcdoc", "ping", "formaction"}:
                self.found.append(f"{tag} {name}={value}")
            if name in {"href", "src", "action"} and not re.match(
                r"/(?!/)|#|data:,$", value or ""
            ):
                self.found.append(f"{tag} {name}={value}")


def hash_store(report: Stage) -> str:
    return hashlib.sha256((report.folder / stage.STORE).read_bytes()).hexdigest()


# Strangers


@pytest.mark.parametrize("path", [*PATHS, "/no-such-page", "/static/../", "/campaign/"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_stranger_sees_no_page(stranger: Visitor, path: str, method: str) -> None:
    answer = stranger.ask(path, method=method)
    assert answer.status in {303, 404}
    assert answer.body in {b"", stranger.ask("/static/no-such-file").body}
    if answer.status == 303:
        assert answer.location.startswith("/login")
    assert "no-store" in str(answer.headers)


def test_a_stranger_can_t_ask_the_read_apis(stranger: Visitor) -> None:
    for route in APIS:
        assert isinstance(route, Route)
        path = re.sub(r"\{[^}]*\}", "x", route.path)
        for headers in ({}, {"Authorization": "x"}, {"Authorization": "' OR 1=1"}):
            answer = stranger.ask(path, headers=headers)
            assert answer.status in {401, 403, 404, 405}, path
            assert b"rcpt" not in answer.body


@pytest.mark.parametrize(
    "cookie", ["", "x", "x" * 9_000, "../../x", "' OR 1=1 --", "0" * 43, "null", "\xff"]
)
def test_a_made_up_cookie_opens_nothing(stranger: Visitor, cookie: str) -> None:
    for name in ("msys-track", "__Host-msys-track"):
        answer = stranger.ask("/campaigns", headers={"Cookie": f"{name}={cookie}"})
        assert answer.status in {303, 400, 431}


def test_a_planted_cookie_is_no_session_after_login(report: Stage) -> None:
    victim = report.visitor()
    victim.cookies["msys-track"] = "planted"
    assert victim.log_in().status == 303
    assert victim.cookies["msys-track"] != "planted"
    attacker = report.visitor()
    attacker.cookies["msys-track"] = "planted"
    assert attacker.ask("/campaigns").status == 303


def test_a_cookie_is_of_no_use_to_scripts_and_other_sites(stranger: Visitor) -> None:
    flags = stranger.log_in().headers.get_all("Set-Cookie") or []
    (session,) = (each for each in flags if each.startswith("msys-track="))
    assert "HttpOnly" in session
    assert "samesite=lax" in session.lower()
    assert "domain=" not in session.lower()


def test_no_form_of_another_site_logs_somebody_in_or_out(report: Stage, visitor: Visitor) -> None:
    victim, attacker = report.visitor(), report.visitor()
    token = attacker.find_token("/login")
    form = {"token": token, "user": "shop", "password": PASSWORD}
    assert victim.ask("/login", form).status == 403  # the token is of another browser
    assert victim.ask("/login", {**form, "token": ""}).status == 403
    for token in ("", "x", attacker.find_token("/login")):
        assert visitor.ask("/logout", {"token": token}).status == 403
    assert visitor.ask("/campaigns").status == 200


def test_one_user_can_t_end_the_session_of_another(report: Stage, visitor: Visitor) -> None:
    other = report.visitor()
    assert other.log_in("other").status == 303
    assert other.cookies["msys-track"] != visitor.cookies["msys-track"]
    token = other.find_token("/campaigns")
    assert visitor.ask("/logout", {"token": token}).status == 403
    cookie = other.cookies["msys-track"]
    assert other.ask("/logout", {"token": token}).status == 303
    other.cookies["msys-track"] = cookie
    assert other.ask("/campaigns").status == 303
    assert visitor.ask("/campaigns").status == 200


# Values that others chose


@pytest.mark.parametrize("path", list_hostile_pages())
def test_no_hostile_value_is_markup(visitor: Visitor, path: str) -> None:
    answer = visitor.ask(path)
    assert answer.status in {200, 400, 404}
    assert _Danger(answer.text).found == []
    assert "49" not in re.sub(r'"[^"]*"', "", answer.text.partition("{{7")[2])[:4]


def test_hostile_values_do_get_to_the_pages(visitor: Visitor) -> None:
    shown = [path for path in list_hostile_pages() if "hacked=1" in visitor.ask(path).text]
    assert len(shown) > len(list_hostile_pages()) - 3


@pytest.mark.parametrize("table", ["events", "campaigns", "series", "links", "search"])
def test_an_export_is_a_file_and_no_page(visitor: Visitor, table: str) -> None:
    for form in ("csv", "ndjson"):
        path = f"/export/{table}.{form}?{HOSTILE_DAYS}&name={quote(HOSTILE)}&q=script"
        answer = visitor.ask(path)
        assert answer.status == 200
        assert answer.headers["Content-Disposition"] == f'attachment; filename="{table}.{form}"'
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert not answer.headers["Content-Type"].startswith("text/html")


@pytest.fixture(scope="module")
def browser(report: Stage) -> Iterator[Browser]:
    with run_browser(report) as found:
        found.log_in()
        yield found


def test_nothing_hostile_runs_or_loads_in_a_browser(browser: Browser, trap: Trap) -> None:
    browser.list_faults()
    for path in list_hostile_pages():
        if not path.startswith("/campaign/clicks"):
            browser.open(path)
            assert browser.run("return typeof hacked") == "undefined", path
    # A policy that had to step in would be said here.
    assert [each for each in browser.list_faults() if "status of 40" not in each] == []
    assert trap.caught == []


def test_a_hostile_mail_runs_nothing_loads_nothing_and_leads_nowhere(
    browser: Browser, trap: Trap
) -> None:
    path = f"/campaign/clicks?{HOSTILE_DAYS}&name={quote(HOSTILE)}"
    browser.open(path)
    where = browser.run("return location.href")
    browser.run("document.querySelector('iframe').scrollIntoView()")
    with browser.frame():
        assert browser.run("return document.querySelectorAll('a').length") == 3
        _, badge, _ = browser.list_badges()
        assert badge not in {"0 %", "1 %", "2 %"}
        assert badge.endswith(" %")
        for name in ("out", "marked", "away"):
            browser.run("document.getElementById(arguments[0]).click()", name)
        assert browser.run("return typeof hacked") == "undefined"
    assert browser.run("return typeof hacked") == "undefined"
    assert browser.run("return location.href") == where
    frame = browser.run("return document.querySelector('iframe').getAttribute('src')")
    browser.open(frame)  # and alone
    assert browser.run("return typeof hacked") == "undefined"
    assert browser.run("return self.origin") == "null"
    time.sleep(1)  # what loads later would be caught too
    assert trap.caught == []


def test_the_same_mail_runs_and_loads_where_nothing_holds_it(
    browser: Browser, tmp_path: Path
) -> None:
    trap, page = Trap(), tmp_path / "mail.html"
    quiet = re.sub(
        "<meta http-equiv[^>]*>|document.forms.*submit..", "", write_hostile_mail(trap.url)
    )
    page.write_text(quiet, encoding="utf-8")
    browser.driver.get(page.as_uri())
    browser.wait("return typeof hacked !== 'undefined'")
    trap.close()
    assert trap.caught


def test_the_frame_has_a_policy_of_its_own(visitor: Visitor) -> None:
    page = visitor.ask(f"/campaign/clicks?{HOSTILE_DAYS}&name={quote(HOSTILE)}").text
    found = re.search('src="(/campaign/clicks/frame[^"]*)"', page)
    assert found is not None
    headers = visitor.ask(found[1].replace("&amp;", "&")).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "sandbox" in policy
    assert "script-src" not in policy
    assert "allow-" not in policy
    assert headers["X-Frame-Options"] == "SAMEORIGIN"
    assert headers["Cache-Control"] == "no-store"
    assert '<iframe class="mail" sandbox=""' in page


# Whoever is logged in and means harm


@pytest.mark.parametrize("path", [path for path in PATHS if path != "/live"])
def test_no_parameter_is_sql_or_a_path_or_kills_the_report(
    report: Stage, visitor: Visitor, path: str
) -> None:
    before = hash_store(report)
    for text in SQL:
        for query in (
            urlencode(dict.fromkeys(PARAMETERS, text)),
            urlencode({"from": "2023-11-14", "to": "2023-11-15",
                       **dict.fromkeys(("name", "address", "q", "message", "shape"), text)}),
        ):  # fmt: skip
            answer = visitor.ask(f"{path}?{query}")
            assert answer.status in {200, 400, 404}, (path, text)
            assert b"sqlite" not in answer.body.lower()
            assert b"Traceback" not in answer.body
    assert hash_store(report) == before


@pytest.mark.parametrize("text", SQL)
def test_no_part_of_a_path_is_sql(report: Stage, visitor: Visitor, text: str) -> None:
    for path in (f"/message/{quote(text, safe='')}", f"/export/{quote(text, safe='')}.csv"):
        assert visitor.ask(path).status in {200, 400, 404}
    with open_store(report.folder / stage.STORE) as store:
        assert store.last_sequence() > 4_000


@pytest.mark.parametrize(
    "path",
    [
        "/static/../settings.py", "/static/%2e%2e/settings.py", "/static/..%2fsettings.py",
        "/static/..%5csettings.py", "/static//etc/passwd", "/static/%2fetc%2fpasswd",
        "/static/%00", "/static/live.js%00.css", "/static/./../app.py", "/static/....//app.py",
        "/export/../users.toml", "/export/..%2f..%2fusers.toml", "/export/events.toml",
        "/campaign/clicks/frame?name=../..&shape=../../users.toml",
        "/campaign/clicks/frame?name=Autumn+sale&shape=..%2f..%2fusers",
        "/campaign/clicks/frame?name=Autumn+sale&shape=%2fetc%2fpasswd",
        "//evil.example/..", "/%2f%2fevil.example", "/\\evil.example",
    ],
)  # fmt: skip
def test_no_path_leads_out_of_a_folder_or_away(visitor: Visitor, path: str) -> None:
    answer = visitor.ask(path)
    assert answer.status in {400, 404}, answer.location
    for secret in (b"root:", b"password", b"import ", b"scrypt"):
        assert secret not in answer.body


def test_what_is_too_large_is_refused_and_the_report_lives(visitor: Visitor) -> None:
    for path in (
        f"/search?q={'a' * 12_000}",
        f"/?{'from=2026-01-01&' * 800}",
        f"/message/{'f' * 12_000}",
        "/search?" + "&".join(f"q{n}=1" for n in range(900)),
    ):
        assert visitor.ask(path).status in {200, 400, 404, 414, 431}, path[:20]  # fmt: skip
    for path, headers in ((f"/search?q={'a' * 200_000}", {}), ("/", {"X-A": "b" * 200_000})):
        try:
            status = visitor.ask(path, headers=headers).status
        except (OSError, http.client.HTTPException):
            continue  # it hung up
        assert status in {400, 413, 414, 431}
    token = visitor.find_token("/search")
    assert visitor.ask("/logout", {"token": token, "x": "y" * 100_000}).status == 413
    assert visitor.ask("/logout", {f"x{each}": "" for each in range(900)}).status in {
        400,
        403,
        413,
    }
    assert visitor.ask("/campaigns").status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "TRACE", "OPTIONS", "HACK"])
def test_pages_can_only_be_looked_at(visitor: Visitor, method: str) -> None:
    for path in PATHS:
        answer = visitor.ask(path, method=method, headers={"Origin": "https://evil.example"})
        assert answer.status in {400, 403, 405}, path
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]


def test_the_host_and_forwarded_headers_are_not_believed(stranger: Visitor) -> None:
    headers = {
        "Host": "evil.example", "X-Forwarded-Host": "evil.example", "X-Forwarded-For": "1.2.3.4",
        "X-Forwarded-Proto": "https", "X-Original-URL": "/campaigns",
        "X-Rewrite-URL": "/campaigns",
    }  # fmt: skip
    for path in ("/", "/login", "/campaigns/", "/static", "/login/"):
        answer = stranger.ask(path, headers=headers)
        assert "evil" not in answer.text + str(answer.headers)
        assert "__Host" not in str(answer.headers)


@pytest.mark.parametrize(
    "wanted",
    [
        "//evil.example", "https://evil.example", "/\\evil.example", "/\t/evil.example",
        "/x\r\nSet-Cookie: a=b", "/x%0d%0aSet-Cookie:%20a=b", "javascript:alert(1)", "\\\\evil",
    ],
)  # fmt: skip
def test_no_header_is_planted_and_nobody_is_led_away(visitor: Visitor, wanted: str) -> None:
    answer = visitor.ask(f"/login?next={quote(wanted)}")
    assert answer.status == 303
    assert re.match(r"/(?![/\\])", answer.location)
    assert "evil" not in answer.location.partition("?")[0].split("/")[:2]
    assert "a=b" not in str(answer.headers.get_all("Set-Cookie"))


@pytest.mark.parametrize("path", [path for path in PATHS if "live" not in path])
def test_no_answer_may_be_kept_framed_or_guessed_at(visitor: Visitor, path: str) -> None:
    answer = visitor.ask(f"{path}?{DAYS}&by=tag&name=Autumn+sale&address=a&q=a")
    for name, value in HEADERS.items():
        assert answer.headers[name] == value
    policy = answer.headers["Content-Security-Policy"]
    if "frame" not in path:
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert "Server" not in answer.headers


def test_the_store_is_opened_for_reading_only(report: Stage) -> None:
    path = report.folder / stage.STORE
    with open_store(path) as store, pytest.raises(SinkError):
        store.select("DELETE FROM events")


def test_streams_are_bounded_and_one_that_is_let_go_makes_room(
    report: Stage, visitor: Visitor
) -> None:
    cookie = f"Cookie: msys-track={visitor.cookies['msys-track']}\r\n"
    head = f"GET /live HTTP/1.1\r\nHost: a\r\n{cookie}\r\n".encode()
    streams = [socket.create_connection(("127.0.0.1", report.port)) for _ in range(51)]
    for each in streams:
        each.settimeout(10)
        each.sendall(head)
    status = [each.recv(12)[9:] for each in streams]
    assert sorted(set(status)) == [b"200", b"503"]
    assert status.count(b"503") == 1
    assert visitor.ask("/campaigns").status == 200
    for each in streams:
        each.close()
