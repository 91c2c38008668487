"""The report's processes: who is let in, what changes while it runs, its end."""

import http.client
import json
import re
import signal
import socket
import ssl
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.certificates import make_certificate
from tests.ports import find_free_ports
from tests.processes import PATIENCE_SECONDS, Server, run
from tests.service.running_proxy import wait_until
from tests.sinks.store.events import batch, line
from tests.users import CHEAP, PASSWORD, write_users

from msys_track.accounts.users import add_user
from msys_track.sinks.store.sink import SqliteSink


class Report:
    """A report, its files, and one person who looks at it."""

    server: Server

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self.status_port = find_free_ports(2)
        self.context: ssl.SSLContext | None = None
        self.cookies: dict[str, str] = {}
        write_users(folder / "users.toml")
        self.configure()

    def configure(self, more: str = "") -> None:
        (self.folder / "msys-track.toml").write_text(
            f'[metrics]\nreport_listen = "127.0.0.1:{self.status_port}"\n'
            f'[report]\nlisten = "127.0.0.1:{self.port}"\nusers = "users.toml"\n'
            f'store = "events.sqlite"\n{more}',
            encoding="utf-8",
        )

    async def store(self, *lines: bytes) -> None:
        async with SqliteSink(self.folder / "events.sqlite") as sink:
            await sink.write(batch(*lines))

    def start(self) -> "Report":
        self.server = Server(self.folder, "report").listening()
        return self

    def connect(self) -> http.client.HTTPConnection:
        if self.context is None:
            return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)
        return http.client.HTTPSConnection(
            "localhost", self.port, timeout=PATIENCE_SECONDS, context=self.context
        )

    def ask(self, path: str, form: str | None = None) -> tuple[int, str, str]:
        """Ask as a browser does; return status, `Location` and text."""
        client = self.connect()
        headers = {"Cookie": "; ".join(f"{name}={each}" for name, each in self.cookies.items())}
        if form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        client.request("GET" if form is None else "POST", path, form, headers)
        answer = client.getresponse()
        text = answer.read().decode()
        for cookie in answer.headers.get_all("Set-Cookie") or ():
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
        client.close()
        return answer.status, answer.getheader("Location", ""), text

    def log_in(self, password: str = PASSWORD) -> int:
        found = re.search('name="token" value="([^"]+)"', self.ask("/login")[2])
        assert found is not None
        form = f"token={found[1]}&user=shop&password={password.replace(' ', '+')}"
        return self.ask("/login", form)[0]

    def is_in(self) -> bool:
        return not self.ask("/no-such-page")[1]

    def ask_status(self, path: str) -> tuple[int, str]:
        client = http.client.HTTPConnection("127.0.0.1", self.status_port, timeout=10)
        client.request("GET", path)
        answer = client.getresponse()
        text = answer.read().decode()
        client.close()
        return answer.status, text


@pytest.fixture
def report(tmp_path: Path) -> Iterator[Report]:
    made = Report(tmp_path)
    yield made
    if hasattr(made, "server"):
        made.server.kill()


def test_people_log_in_and_figures_tell_of_it(report: Report) -> None:
    report.start()
    where = f"http://127.0.0.1:{report.port}"
    assert report.server.printed == [f"report listens on {where}, shows events.sqlite"]
    assert not report.is_in()
    assert report.log_in("wrong horse") == 403
    assert report.log_in() == 303
    assert report.is_in()
    assert report.ask("/healthz")[2] == "ok\n"

    wait_until(lambda: "report_logins_total 1" in report.ask_status("/metrics")[1])
    text = report.ask_status("/metrics")[1]
    assert 'report_login_refused_total{why="wrong"} 1' in text
    assert "msys_track_report_sessions 1" in text
    assert "Not described" not in text
    assert report.ask_status("/readyz")[0] == 503  # there is no store yet

    ended = report.server.stop()
    assert ended.code == 0
    assert PASSWORD not in ended.errors


@pytest.mark.anyio
async def test_live_numbers_come_and_their_stream_ends_with_the_report(report: Report) -> None:
    await report.store(line("click", at=int(time.time())), line("open", at=int(time.time())))
    report.start()
    assert report.log_in() == 303
    client = report.connect()
    cookie = f"msys-track={report.cookies['msys-track']}"
    client.request("GET", "/live", headers={"Cookie": cookie})
    answer = client.getresponse()
    while not (said := answer.readline()).startswith(b"data: "):
        assert said

    assert json.loads(said.removeprefix(b"data: "))["counts"]["click.people"] == 1
    began = time.monotonic()
    assert report.server.stop().code == 0
    assert time.monotonic() - began < 4
    assert b"" in (answer.readline() for _ in range(20))
    answer.close()
    client.close()


def test_other_users_and_another_password_count_without_a_start(report: Report) -> None:
    report.start()
    assert report.log_in() == 303
    users = report.folder / "users.toml"
    add_user(users, "shop", "another horse", replaces=True, cost=CHEAP)
    report.server.hang_up()
    report.server.event("file.reloaded")

    assert not report.is_in()
    assert report.log_in() == 403
    assert report.log_in("another horse") == 303

    users.write_text("no users", encoding="utf-8")
    report.server.event("file.not_reloaded")
    assert report.is_in()


def test_a_session_outlives_a_reload_that_changes_nothing_of_the_report(report: Report) -> None:
    report.start()
    assert report.log_in() == 303
    report.server.hang_up()
    assert report.server.event("configuration.reloaded")["workers"] == "kept"
    assert report.is_in()

    report.configure('hosts = ["127.0.0.1"]\n')
    report.server.hang_up()
    assert report.server.event("configuration.reloaded", 2)["workers"] == "replaced"
    report.server.event("worker.stopped")
    assert not report.is_in()
    assert report.log_in() == 303

    report.configure("session_hours = 0\n")
    report.server.hang_up()
    report.server.event("configuration.not_reloaded")
    assert report.is_in()


def test_over_tls_it_has_the_certificate_of_the_moment(report: Report) -> None:
    made = make_certificate(report.folder, "localhost")
    report.configure(f'tls_certificate = "{made.certificate}"\ntls_key = "{made.key}"\n')
    report.start()
    report.context = ssl.create_default_context(cafile=str(made.certificate))
    assert report.log_in() == 303
    assert "__Host-msys-track" in report.cookies
    assert report.is_in()

    other = make_certificate(report.folder, "localhost", stem="other")
    other.key.replace(made.key)
    other.certificate.replace(made.certificate)
    report.server.hang_up()
    report.server.event("tls.reloaded")
    report.context = ssl.create_default_context(cafile=str(made.certificate))
    assert report.is_in()


HEAD = b"Host: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n"


@pytest.mark.parametrize(
    "sent",
    [b"", b"GET / HTTP/1.1\r\nHost: x\r\n", b"POST /login HTTP/1.1\r\n" + HEAD + b"\r\na"],
    ids=["nothing", "half a head", "half a body"],
)
def test_a_client_that_is_slow_is_let_go_however_its_bytes_trickle(
    report: Report, sent: bytes
) -> None:
    report.configure("request_timeout_seconds = 0.3\n")
    report.start()
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", report.port), timeout=10) as client:
        client.sendall(sent)
        client.settimeout(0.05)
        is_open = True
        while is_open and time.monotonic() - began < 5:
            try:
                is_open = client.recv(1) != b""
            except TimeoutError:
                try:
                    client.sendall(b"x" if sent else b"")
                except OSError:
                    is_open = False
            except OSError:
                is_open = False
    assert time.monotonic() - began < 3


def test_more_connections_than_allowed_are_told_so(report: Report) -> None:
    report.configure("max_connections = 3\n")
    report.start()
    held = [socket.create_connection(("127.0.0.1", report.port), timeout=10) for _ in range(4)]

    assert report.ask("/healthz")[0] == 503

    for each in held:
        each.close()
    wait_until(lambda: report.ask("/healthz")[0] == 200)


def test_it_does_not_start_where_nobody_could_log_in(report: Report) -> None:
    file = report.folder / "msys-track.toml"
    file.write_text('[report]\nstore = "events.sqlite"\n', encoding="utf-8")

    ended = run(report.folder, "report")

    assert ended.code == 2
    assert "report.users: nobody could log in; write it as in users =" in ended.errors


def test_it_does_not_start_without_a_store_or_a_table(report: Report) -> None:
    file = report.folder / "msys-track.toml"
    file.write_text('[report]\nusers = "users.toml"\n', encoding="utf-8")
    ended = run(report.folder, "report")
    assert ended.code == 2
    assert "report.store: there is nothing to show; name a `store` here" in ended.errors

    file.write_text("", encoding="utf-8")
    ended = run(report.folder, "report")
    assert ended.code == 2
    assert "no [report] table: nothing to start" in ended.errors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_at_once_when_told_to(report: Report, number: signal.Signals) -> None:
    report.start()
    began = time.monotonic()

    assert report.server.stop(number).code == 0
    assert time.monotonic() - began < 3


WITHOUT = (
    "import sys; sys.modules.update(dict.fromkeys(['jinja2', 'starlette', 'uvicorn'])); "
    "from msys_track.cli import main; main()"
)


def test_where_its_packages_are_missing_it_says_what_to_type_and_others_run(
    report: Report,
) -> None:
    without = (sys.executable, "-c", WITHOUT)

    ended = run(report.folder, "report", command=without)

    assert ended.code == 2
    assert "the report needs the extra [report]: pip install 'msys-track[report]'" in ended.errors
    assert run(report.folder, "config", "check", "msys-track.toml", command=without).code == 0
