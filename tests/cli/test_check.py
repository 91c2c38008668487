"""`msys-track check` beside real servers: what it finds, and that it leaves no trace."""

import http.client
import http.server
import json
import os
import pty
import select
import socket
import socketserver
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.certificates import make_certificate
from tests.ports import find_free_ports
from tests.processes import COMMAND, PATIENCE_SECONDS, Ended, Run, Start, environment
from tests.shown import read_blocks

from msys_track.cli import main
from msys_track.keys.file import create
from msys_track.keys.ring import Claims, Engagement, KeyRing
from msys_track.testing.mailbox import MailServer

[SHOWN] = (json.loads(each.text) for each in read_blocks("serving.md") if each.language == "json")
"""What docs/serving.md shows of its output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """A configuration whose servers all have ports of their own."""

    folder: Path
    run: Run
    proxy: int
    tracker: int
    upstream: int

    def configure(self, *, domain: str = "", listener: str = "", more: str = "") -> None:
        (self.folder / "msys-track.toml").write_text(
            f"""
keys = "keys.toml"
[listener]
tracking_domain = "{domain or f"127.0.0.1:{self.tracker}"}"
click_tracking_scheme = "http"
open_tracking_scheme = "http"
allow_downgrade = true
{listener}
[proxy]
listen = "127.0.0.1:{self.proxy}"
upstream = "127.0.0.1:{self.upstream}"
[tracker]
listen = "127.0.0.1:{self.tracker}"
store = "events.sqlite"
{more}
""",
            encoding="utf-8",
        )

    def check(
        self, *arguments: str, variables: Mapping[str, str] | None = None
    ) -> tuple[Ended, dict[str, list[dict[str, str]]]]:
        """Run it; return how it ended, and its findings by what they are about."""
        ended = self.run("check", *arguments, env=variables)
        findings: dict[str, list[dict[str, str]]] = {}
        shown = json.loads(ended.output)
        for each in shown["findings"]:
            findings.setdefault(each["what"], []).append(each)
            assert bool(each["advice"]) == (each["state"] != "ok"), each
            assert each.keys() == SHOWN["findings"][0].keys()
        assert shown.keys() == SHOWN.keys()
        has_fault = any(each["state"] == "fault" for each in shown["findings"])
        assert (ended.code, shown["ok"]) == (int(has_fault), not has_fault)
        return ended, findings

    def find(
        self, what: str, *arguments: str, variables: Mapping[str, str] | None = None
    ) -> tuple[str, str]:
        """Return state and text of the only finding about something."""
        _, findings = self.check(*arguments, variables=variables)
        (found,) = findings[what]
        return found["state"], found["found"]


@pytest.fixture
def installation(tmp_path: Path, run: Run, keys: Path) -> Iterator[Installation]:
    assert keys.exists()
    proxy, tracker = find_free_ports(2)
    with MailServer() as mailbox:
        made = Installation(
            folder=tmp_path, run=run, proxy=proxy, tracker=tracker, upstream=mailbox.port
        )
        made.configure()
        yield made
    assert mailbox.arrivals == []


@contextmanager
def web_server(
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    *,
    asked: list[str] | None = None,
) -> Iterator[int]:
    """Answer everything alike, as a web server does that nobody has told of the tracker."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if asked is not None:
                asked.append(self.path)
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value.replace("PATH", self.path))
            self.end_headers()
            self.wfile.write(b"Welcome\n")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_where_all_is_well_there_is_no_fault_no_mail_and_no_event(
    installation: Installation, start: Start
) -> None:
    start("tracker"), start("proxy")
    ended, findings = installation.check("--to", "jo@reader.example", "--from", "a@e.com")
    assert ended.code == 0, ended.output.decode()
    assert {each["state"] for found in findings.values() for each in found} == {"ok", "warning"}
    own = f"127.0.0.1:{installation.tracker}"
    (domain,) = findings[f"http://{own}"]
    assert domain["state"] == "warning"
    assert domain["found"] == "leads to our tracker at 127.0.0.1, which only this machine reaches"
    assert findings[f"tracker at {own}"][0]["found"] == "answers links of ours"
    assert findings[f"proxy at 127.0.0.1:{installation.proxy}"][0]["found"] == "takes mail"
    assert [each["found"] for each in findings[f"upstream 127.0.0.1:{installation.upstream}"]] == [
        "answers without TLS",
        "would take mail for jo@reader.example; nothing was sent",
    ]
    assert findings["store events.sqlite"][0]["state"] == "ok"
    (sample,) = SHOWN["findings"]
    assert (sample["what"] in findings, SHOWN["ok"]) == (True, sample["state"] != "fault")
    assert findings["clock"][0]["found"] == f"agrees with that of {own}"
    assert installation.run("events", "--store", "events.sqlite").output == b""


def test_what_does_not_run_is_said_to_be_started(installation: Installation) -> None:
    _, findings = installation.check()
    for name, port in (("proxy", installation.proxy), ("tracker", installation.tracker)):
        (found,) = findings[f"{name} at 127.0.0.1:{port}"]
        assert found["found"] == "does not answer: Connection refused"
        assert found["advice"] == f"start it: msys-track serve, or msys-track {name}"
    (domain,) = findings[f"http://127.0.0.1:{installation.tracker}"]
    assert (domain["state"], domain["found"]) == (
        "fault",
        f"nothing answers at 127.0.0.1:{installation.tracker}: Connection refused",
    )


def test_a_domain_without_a_record_is_a_fault(installation: Installation) -> None:
    installation.configure(domain="click.nosuch.invalid")
    state, text = installation.find("http://click.nosuch.invalid")
    assert state == "fault"
    assert text.startswith("click.nosuch.invalid does not resolve: ")


def test_a_tracker_with_other_keys_is_told_from_ours(
    installation: Installation, start: Start
) -> None:
    start("tracker")
    (installation.folder / "keys.toml").unlink()
    create(installation.folder / "keys.toml")
    where = f"127.0.0.1:{installation.tracker}"
    state, text = installation.find(f"http://{where}")
    assert (state, text) == ("fault", "a tracker at 127.0.0.1 does not know our key")


@pytest.mark.parametrize(
    ("status", "headers", "text"),
    [
        (200, {}, "what answers at 127.0.0.1 is not our tracker: 200 OK, Server: "),
        (301, {"Location": "/en/"}, "what answers at 127.0.0.1 is not our tracker: 301 Moved"),
        # It leads where every link leads; that it has our keys it does not show.
        (302, {"Location": "https://msys-track.invalid/0"}, "what answers at 127.0.0.1 is not"),
    ],
)
def test_another_web_server_is_told_from_our_tracker(
    installation: Installation, status: int, headers: dict[str, str], text: str
) -> None:
    with web_server(status, headers) as port:
        installation.configure(domain=f"127.0.0.1:{port}")
        state, found = installation.find(f"http://127.0.0.1:{port}")
    assert state == "fault"
    assert found.startswith(text)


def test_a_web_server_that_leads_on_to_https_is_one_step_too_many(
    installation: Installation,
) -> None:
    with web_server(308, {"Location": "https://127.0.0.1PATH"}) as port:
        installation.configure(domain=f"127.0.0.1:{port}")
        state, text = installation.find(f"http://127.0.0.1:{port}")
    assert (state, text) == ("warning", "the server at 127.0.0.1 leads readers on to HTTPS")


def test_an_address_that_does_not_answer_is_a_warning_where_another_does(
    installation: Installation, start: Start
) -> None:
    addresses = {each[4][0] for each in socket.getaddrinfo("localhost", 0)}
    installation.configure(domain=f"localhost:{installation.tracker}")
    start("tracker")
    _, findings = installation.check()
    found = findings[f"http://localhost:{installation.tracker}"]
    assert found[0]["found"].startswith("leads to our tracker at 127.0.0.1")
    assert len(found) == len(addresses)
    assert {each["state"] for each in found} == {"warning"}


def test_where_another_server_leads_to_is_never_gone(installation: Installation) -> None:
    asked: list[str] = []
    with (
        web_server(asked=asked) as elsewhere,
        web_server(302, {"Location": f"http://127.0.0.1:{elsewhere}/x"}) as port,
    ):
        installation.configure(domain=f"127.0.0.1:{port}")
        assert installation.find(f"http://127.0.0.1:{port}")[0] == "fault"
    assert asked == []


def test_servers_that_say_nothing_are_given_up_in_time(installation: Installation) -> None:
    with ExitStack() as ends:
        silent = [ends.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(4)]
        ports = [each.getsockname()[1] for each in silent]
        config = installation.folder / "msys-track.toml"
        text = config.read_text()
        own = (installation.tracker, installation.proxy, installation.upstream)
        for old, new in zip(own, ports, strict=False):
            text = text.replace(f":{old}", f":{new}")
        config.write_text(f'{text}[report]\nlisten = "127.0.0.1:{ports[3]}"\n')
        began = time.monotonic()
        _, findings = installation.check("--timeout", "0.3")
        assert time.monotonic() - began < 10
    silences = [
        each
        for found in findings.values()
        for each in found
        if each["state"] == "fault" and ("0.3 s" in each["found"] or "in time" in each["found"])
    ]
    assert len(silences) == 5, findings


@pytest.mark.parametrize(
    "setting", ['expired = "gone"', 'expired_url = "https://www.e.com/expired"']
)
def test_what_links_past_their_time_lead_to_does_not_matter(
    installation: Installation, start: Start, setting: str
) -> None:
    installation.configure(more=setting)
    start("tracker")
    state, text = installation.find(f"tracker at 127.0.0.1:{installation.tracker}")
    assert (state, text) == ("ok", "answers links of ours")


@pytest.mark.parametrize(
    ("is_expired", "is_trusted", "named", "text"),
    [
        (False, True, "localhost", "leads to our tracker at 127.0.0.1; its certificate is good"),
        (False, False, "localhost", "is not accepted: self-signed certificate"),
        (True, True, "localhost", "is not accepted: certificate has expired"),
        (False, True, "other.example", "is not accepted: Hostname mismatch"),
    ],
)
def test_the_certificate_of_the_domain_is_looked_at(  # noqa: PLR0913, PLR0917
    installation: Installation,
    start: Start,
    is_expired: bool,  # noqa: FBT001
    is_trusted: bool,  # noqa: FBT001
    named: str,
    text: str,
) -> None:
    made = make_certificate(installation.folder, named, is_expired=is_expired)
    (port,) = find_free_ports(1)
    installation.configure(
        domain=f"localhost:{port}",
        more=f'listen_tls = ["127.0.0.1:{port}"]\n'
        f'tls_certificate = "{made.certificate.name}"\ntls_key = "{made.key.name}"',
    )
    config = installation.folder / "msys-track.toml"
    config.write_text(config.read_text().replace('_scheme = "http"', '_scheme = "https"'))
    start("tracker")
    variables = {"SSL_CERT_FILE": str(made.certificate)} if is_trusted else {}
    _, findings = installation.check(variables=variables)
    found = next(each for each in findings[f"https://localhost:{port}"] if text in each["found"])
    assert found["state"] == ("warning" if "leads to" in text else "fault")
    assert findings[f"tracker at 127.0.0.1:{port}"][0]["state"] == "ok"


def test_a_port_without_tls_is_no_https(installation: Installation, start: Start) -> None:
    config = installation.folder / "msys-track.toml"
    config.write_text(config.read_text().replace('_scheme = "http"', '_scheme = "https"'))
    start("tracker")
    where = f"127.0.0.1:{installation.tracker}"
    state, text = installation.find(f"https://{where}")
    assert state == "fault"
    assert text.startswith(f"no HTTPS at {where}: TLS failed: ")


def test_another_program_at_the_port_of_the_proxy_is_noticed(installation: Installation) -> None:
    with MailServer(installation.proxy):
        state, text = installation.find(f"proxy at 127.0.0.1:{installation.proxy}")
    assert state == "fault"
    assert text.startswith("another program takes mail there: 220 ")


@contextmanager
def forward(port: int) -> Iterator[int]:
    """Hand every connection on to a port, so that who asks does not know whom."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection(("127.0.0.1", port)) as other:
                ends = {self.request: other, other: self.request}
                while True:
                    for ready in select.select(list(ends), [], [])[0]:
                        if not (data := ready.recv(65_536)):
                            return
                        ends[ready].sendall(data)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def test_an_upstream_that_is_this_proxy_is_noticed(
    installation: Installation, start: Start
) -> None:
    start("proxy")
    with forward(installation.proxy) as port:
        config = installation.folder / "msys-track.toml"
        text = config.read_text()
        config.write_text(text.replace(f":{installation.upstream}", f":{port}"))
        state, text = installation.find(f"upstream 127.0.0.1:{port}")
    assert (state, text) == ("fault", "is this proxy itself: mail would go round in a circle")


def test_servers_behind_a_load_balancer_are_asked_as_it_asks_them(
    installation: Installation, start: Start
) -> None:
    config = installation.folder / "msys-track.toml"
    installation.configure(more='proxy_protocol = true\ntrusted_proxies = ["127.0.0.0/8"]')
    text = config.read_text().replace("[proxy]", '[proxy]\nproxy_protocol_from = ["127.0.0.1"]')
    config.write_text(text)
    start("tracker"), start("proxy")
    _, findings = installation.check()
    assert findings[f"tracker at 127.0.0.1:{installation.tracker}"][0]["state"] == "ok"
    assert findings[f"proxy at 127.0.0.1:{installation.proxy}"][0]["state"] == "ok"


def test_the_report_and_what_others_are_measured_by_are_asked(
    installation: Installation, start: Start
) -> None:
    report, metrics = find_free_ports(2)
    users = installation.folder / "users.toml"
    more = f"""
[metrics]
listen = "127.0.0.1:{metrics}"
[report]
listen = "127.0.0.1:{report}"
users = "{users.name}"
"""
    password = b"correct horse battery staple\n"
    assert installation.run("users", "add", users.name, "amy", given=password).code == 0
    installation.configure(more=more)
    _, findings = installation.check()
    assert findings[f"report at 127.0.0.1:{report}"][0]["state"] == "fault"
    assert findings[f"metrics of the proxy at 127.0.0.1:{metrics}"][0]["state"] == "fault"
    start("tracker"), start("report"), start("proxy")
    of_metrics = ""
    for _ in range(20):  # it has to find its upstream first, and says so each second
        _, findings = installation.check()
        of_metrics = findings[f"metrics of the proxy at 127.0.0.1:{metrics}"][0]["found"]
        if of_metrics == "is ready":
            break
        assert of_metrics == "is not ready: no upstream can be reached"
    assert of_metrics == "is ready"
    assert findings[f"report at 127.0.0.1:{report}"][0]["found"] == "answers"
    with web_server() as port:
        installation.configure(more=more.replace(str(report), str(port)))
        state, text = installation.find(f"report at 127.0.0.1:{port}")
    assert (state, text) == ("fault", "is not well, or another program: HTTP status 200")


def test_all_readers_at_one_address_of_ours_are_a_front_that_is_not_believed(
    installation: Installation, start: Start
) -> None:
    tracker = start("tracker")
    ring = KeyRing.load(installation.folder / "keys.toml")
    for number in range(25):
        engagement = Engagement(
            message_id=f"{number:020}",
            recipient=f"{number}@e.com",
            injected_at=1_460_989_500,
            expires_at=4_000_000_000,
            customer_id=1,
        )
        path = ring.seal(Claims(kind="click", engagement=engagement, target="https://e.com/"))
        connection = http.client.HTTPConnection("127.0.0.1", tracker.port, timeout=10)
        connection.request("GET", f"/{path}")
        assert connection.getresponse().status == 302
        connection.close()
    assert tracker.stop().code == 0
    _, findings = installation.check()
    (found,) = findings["readers"]
    assert found["state"] == "warning"
    assert found["found"] == "the newest 25 clicks and opens all come from 127.0.0.1"
    (of_log,) = findings["event log events.sqlite.d"]
    assert of_log["found"] == "everything in it is recorded and delivered"


def test_faults_of_the_configuration_are_told_and_nothing_is_asked(
    installation: Installation,
) -> None:
    installation.configure(more="exprired = 1")
    ended, findings = installation.check()
    assert ended.code == 1
    assert list(findings) == ["configuration msys-track.toml"]
    assert "exprired" in findings["configuration msys-track.toml"][0]["found"]


def test_a_file_that_is_not_there_is_wrong_usage(run: Run) -> None:
    ended = run("check", "--config", "nosuch.toml")
    assert ended.code == 2
    assert "nosuch.toml" in ended.errors


def test_a_terminal_gets_a_table(installation: Installation) -> None:
    own, terminal = pty.openpty()
    process = subprocess.Popen(  # noqa: S603 - our own command
        [COMMAND, "check"],
        cwd=installation.folder,
        stdout=terminal,
        env=environment({"TERM": "xterm", "NO_COLOR": "1"}),
    )
    os.close(terminal)
    shown = b""
    try:
        while piece := os.read(own, 65_536):
            shown += piece
    except OSError:  # the other end is closed, which is an error on Linux
        pass
    os.close(own)
    assert process.wait(PATIENCE_SECONDS) == 1
    text = shown.decode()
    assert f"proxy at 127.0.0.1:{installation.proxy}" in text
    assert "→ start it: msys-track serve" in text
    assert "faults: 3" in text


@pytest.mark.parametrize("option", ["--to", "--from"])
def test_an_address_of_the_probe_is_in_ascii(option: str) -> None:
    ended = CliRunner().invoke(main, ["check", option, "gr\u00fcn@example.com"])
    assert ended.exit_code == 2
    assert "'gr\u00fcn@example.com' is not in ASCII; give another one" in ended.stderr
