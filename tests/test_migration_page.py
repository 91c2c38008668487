"""docs/migration.md is followed: a tracking domain moves, and its old links go on to work."""

import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path

import pytest
from tests.certificates import make_certificate
from tests.mail_tools import need_tool
from tests.ports import find_free_ports
from tests.processes import COMMAND, PATIENCE_SECONDS, Server, shell
from tests.rewriting import plans
from tests.service.running_proxy import wait_until
from tests.shown import Block, fits, read_blocks

from msys_track import Claims, KeyRing

OLD_NAME = "https://old-click.example.com"
DOMAIN = "https://click.example.com"
TARGET = "https://shop.example.com/"
BLOCKS = list(read_blocks("migration.md"))
RECIPE = [each for each in BLOCKS if each.section == "Move a tracking domain"]
MANUAL = [each for each in BLOCKS if each.section == "What the manual says"]


class OldTracker(BaseHTTPRequestHandler):
    """A made-up tracker: links of its form lead to the shop, others nowhere."""

    def do_GET(self) -> None:
        is_known = self.path.startswith("/f/a/5TmBPmvTqjKFBk5dO3l0_w~~/AAAAARA~/RgRl")
        self.send_response(302 if is_known else 404)
        if is_known:
            self.send_header("Location", TARGET)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def old_tracker() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), OldTracker) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class Move:
    """Someone who follows the page, on one machine where DNS has nothing to say."""

    def __init__(self, folder: Path, old: str) -> None:
        (port,) = find_free_ports(1)
        self.folder = folder
        self.names = {
            OLD_NAME: old, "127.0.0.1:8080": f"127.0.0.1:{port}",
            f'"{DOMAIN}': f'"http://127.0.0.1:{port}',
        }  # fmt: skip
        self.tracker: Server | None = None
        self.beginning = ""

    def here(self, text: str) -> str:
        """A text of the page with the addresses that there are on this machine."""
        for name, address in self.names.items():
            text = text.replace(name, address)
        return text

    def follow(self, block: Block) -> str:
        """Do what a block says; what is printed."""
        text = self.here(block.text)
        if block.language == "toml":
            (self.folder / block.role).write_text(text, encoding="utf-8")
        elif "where()" in text:
            self.beginning = text
        elif text.startswith("msys-track tracker "):
            self.start(text)
        elif block.language == "sh":
            ended = shell(self.folder, self.beginning + text)
            # 47: curl stops where it was told to, at the second redirect of step 5.
            assert ended.code in (0, 47), ended.errors
            if "refuse" in text:  # the page lets the tracker start again
                self.restart()
            return ended.output.decode()
        return ""

    def start(self, command: str) -> None:
        self.command = command.split()[1:]
        self.tracker = Server(self.folder, *self.command).listening()

    def restart(self) -> None:
        assert self.tracker is not None
        self.tracker.stop()
        closed = self.tracker.event("tracker.closed")
        assert closed["handed_on"] == 2  # steps 3 and 5
        self.start(" ".join(["msys-track", *self.command]))


@pytest.mark.skipif(shutil.which("curl") is None, reason="the page's commands need curl")
def test_a_domain_is_moved_as_the_page_says(tmp_path: Path, old_tracker: str) -> None:
    move = Move(tmp_path, old_tracker)
    printed = ""
    shown = 0
    try:
        for block in RECIPE:
            if block.language == "text":
                lines = [line.rstrip() for line in printed.splitlines()]
                assert lines == move.here(block.text).splitlines(), block.heading
                shown += 1
            else:
                printed = move.follow(block)
    finally:
        if move.tracker is not None:
            move.tracker.kill()
    assert shown == 6


def fits_all(shown: Sequence[str], printed: str) -> bool:
    """Tell whether what was printed is what is shown, line by line."""
    lines = [line.rstrip() for line in printed.splitlines()]
    return len(lines) == len(shown) and all(map(fits, shown, lines))


class Trial:
    """Someone who tries the statements of the page: three servers and a shell."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        ports = find_free_ports(3)
        shown = ("127.0.0.1:2525", "127.0.0.1:2526", "127.0.0.1:8080")
        self.names = {name: f"127.0.0.1:{port}" for name, port in zip(shown, ports, strict=True)}
        self.servers: dict[str, Server] = {}
        self.beginning = ""

    def here(self, text: str) -> str:
        """A text of the page with the ports that are free on this machine."""
        for name, address in self.names.items():
            text = text.replace(name, address)
        return text

    def write_files(self) -> None:
        for block in MANUAL:
            if block.role:
                (self.folder / block.role).write_text(self.here(block.text), encoding="utf-8")

    def follow(self, text: str, shown: Sequence[str]) -> str:
        """Do what a block says; what is printed, which is what is shown if that comes in time."""
        text = self.here(text)
        if text.startswith("python "):
            self.start("python", text, (sys.executable,))
            self.await_upstream()
        elif text.startswith(("msys-track proxy ", "msys-track tracker ")):
            self.start(text.split()[1], text, (COMMAND,)).listening()
        elif "explain() {" in text:
            self.beginning = text
        else:
            before, pause, after = text.rpartition("sleep 1\n")
            printed = self.shell(before + pause) if pause else ""
            result = printed + self.shell(after)
            # A busy machine takes longer for what the page waits for.
            deadline = time.monotonic() + PATIENCE_SECONDS
            while pause and not fits_all(shown, result) and time.monotonic() < deadline:
                result = printed + self.shell(after)
            return result
        return ""

    def shell(self, text: str) -> str:
        ended = shell(self.folder, self.beginning + text)
        assert ended.errors == ""
        return ended.output.decode()

    def await_upstream(self) -> None:
        """Wait until the page's mail server takes connections, of which it prints nothing."""
        host, _, port = self.names["127.0.0.1:2526"].partition(":")
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                socket.create_connection((host, int(port))).close()
            except ConnectionRefusedError:
                assert time.monotonic() < deadline, "the mail server does not start"
                time.sleep(0.02)
            else:
                return

    def start(self, name: str, text: str, command: Sequence[str]) -> Server:
        """Start a server; one that runs already under another configuration ends."""
        if name in self.servers:
            self.servers[name].stop()
        self.servers[name] = Server(self.folder, *text.split()[1:], command=command)
        return self.servers[name]


@pytest.mark.skipif(shutil.which("curl") is None, reason="the page's commands need curl")
@pytest.mark.timeout(240)  # a hundred commands, each a process of its own
def test_the_manual_s_statements_hold_as_the_page_shows(tmp_path: Path) -> None:
    trial = Trial(tmp_path)
    trial.write_files()
    printed = ""
    faults = []
    try:
        for block, following in pairwise([*MANUAL, MANUAL[-1]]):
            if block.language == "sh":
                printed = trial.follow(block.text, trial.here(following.text).splitlines())
            elif block.language == "text" and not block.role:
                shown = trial.here(block.text).splitlines()
                if not fits_all(shown, printed):
                    faults.append(f"{block.heading}: shown\n{block.text}\nbut printed\n{printed}")
    finally:
        for server in trial.servers.values():
            server.kill()
    assert not faults, "\n\n".join(faults)


class Named(BaseHTTPRequestHandler):
    """Answers with its own port, so that it shows where a front server has passed a request.

    Behind the port is what it was told of the reader: the name that they asked for, and where
    they are.
    """

    def do_POST(self) -> None:
        port = self.connection.getsockname()[1]
        told = f"{port} {self.headers['Host']} {self.headers['X-Forwarded-For']}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def named_server(tls: ssl.SSLContext | None = None) -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Named) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def refuse_nameless(_: ssl.SSLObject, name: str | None, __: ssl.SSLContext) -> int | None:
    """As hosts of many names do, which have no certificate for a client that names none."""
    return None if name else ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME


def test_the_front_server_passes_the_old_tracker_s_unsubscriptions_and_not_ours(
    tmp_path: Path,
) -> None:
    tool = need_tool("nginx", "nginx-light")
    (text,) = (block.text for block in RECIPE if block.language == "nginx")
    (port,) = find_free_ports(1)
    paths = "".join(
        f"{name}_temp_path {tmp_path}/{name};\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    made = make_certificate(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(made.certificate, made.key)
    tls.sni_callback = refuse_nameless
    # Another name of the front server is another server of it.
    others = f"server {{ listen 127.0.0.1:{port} default_server; return 421; }}\n"
    with named_server(tls) as old, named_server() as ours:
        text = text.replace("listen 443 ssl;", f"listen 127.0.0.1:{port};")
        text = text.replace(OLD_NAME, f"https://localhost:{old}")
        text = text.replace("127.0.0.1:8080", f"127.0.0.1:{ours}")
        (tmp_path / "nginx.conf").write_text(
            f"daemon off;\npid {tmp_path}/nginx.pid;\nevents {{}}\n"
            f"http {{\naccess_log off;\n{paths}{others}{text}}}\n"
        )
        front = subprocess.Popen(  # noqa: S603 - what need_tool found
            [tool.path, "-p", tmp_path, "-c", tmp_path / "nginx.conf", "-e", "stderr"],
            env=dict(tool.environment),
        )
        try:
            wait_until(lambda: accepts(port))
            old_path = "/u/5TmBPmvTqjKFBk5dO3l0_w~~/AAAAARA~/RgRl"
            assert post(port, old_path).split()[0] == str(old)
            keys = KeyRing.temporary()
            claims = Claims(kind="list_unsubscribe", engagement=plans.engagement())
            passed_to_ours = f"{ours} click.example.com 127.0.0.1"
            assert post(port, f"/{keys.seal(claims)}") == passed_to_ours
            assert post(port, "/f/a/5TmBPmvTqjKFBk5dO3l0_w~~/AAAAARA~/RgRl") == passed_to_ours
        finally:
            front.terminate()
            front.wait()


def post(port: int, path: str) -> str:
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    try:
        connection.request(
            "POST",
            path,
            body=b"List-Unsubscribe=One-Click",
            headers={"Host": DOMAIN.removeprefix("https://")},
        )
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def accepts(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
