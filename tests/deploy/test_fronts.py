"""Front servers as docs/deploy/fronts has them: real ones on other ports, before a tracker."""

import json
import os
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from tests.certificates import Certificate, make_certificate
from tests.mail_tools import Tool, need_tool
from tests.ports import find_free_ports
from tests.processes import PATIENCE_SECONDS, Server, run
from tests.service.running_proxy import wait_until
from tests.service.running_tracker import TARGET

from msys_track.keys.file import create
from msys_track.keys.ring import Claims, Engagement, KeyRing

_FRONTS = Path(__file__).parents[2] / "docs" / "deploy" / "fronts"
_PORTS = ("443", "8080", "8443", "9464")
_HOST = "click.example.com"
# An address of this machine that is none of the front's.
_READER = "127.0.0.9"


@dataclass(kw_only=True)
class Front:
    """A front server and the tracker behind it, on ports of their own."""

    folder: Path
    certificate: Certificate
    path: str
    ports: dict[str, int] = field(
        default_factory=lambda: dict(zip(_PORTS, find_free_ports(len(_PORTS)), strict=True))
    )

    def read(self, file: str) -> str:
        """Read a file of docs/deploy/fronts with ports and files of the test's."""
        text = (_FRONTS / file).read_text(encoding="utf-8")
        text = re.sub(
            r"(?<=[ :])(443|8080|8443|9464)\b", lambda found: str(self.ports[found[1]]), text
        )
        for name in ("fullchain.pem", "privkey.pem", "click.pem"):
            text = re.sub(rf'(?<=[ "])(/[\w/]+/)?{name}', str(self.folder / name), text)
        return text

    def ask(self, path: str, *options: str, host: str = _HOST) -> tuple[int, str]:
        """Ask the front as a reader of another address does, over HTTP/2 unless told otherwise."""
        told = subprocess.run(  # noqa: S603 - curl, found below
            [
                _need_curl(), "--silent", "--show-error", "--insecure", "--path-as-is",
                "--interface", _READER, "--max-time", "10",
                "--resolve", f"{host}:{self.ports['443']}:127.0.0.1",
                "--user-agent", "Mozilla/5.0 (a reader)", "--header", "Accept-Language: de",
                "--output", os.devnull,
                "--write-out", "%{http_code} %{http_version} %{redirect_url}",
                *options, f"https://{host}:{self.ports['443']}{path}",
            ],
            capture_output=True, text=True, check=True, timeout=PATIENCE_SECONDS,
        )  # fmt: skip
        code, version, where = told.stdout.split(" ")
        return int(code), f"{version} {where}".strip()

    def events(self) -> list[dict[str, Any]]:
        """Read what is stored."""
        printed = run(self.folder, "events", "--store", "events.sqlite").output
        return [next(iter(json.loads(line)["msys"].values())) for line in printed.splitlines()]


Start: TypeAlias = Callable[..., Front]


def _need_curl() -> str:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl was not found")
    return curl


@pytest.fixture
def front(tmp_path: Path) -> Front:
    create(tmp_path / "keys.toml")
    made = make_certificate(tmp_path, _HOST)
    chain, key = made.certificate.read_text(), made.key.read_text()
    (tmp_path / "fullchain.pem").write_text(chain)
    (tmp_path / "privkey.pem").write_text(key)
    (tmp_path / "click.pem").write_text(chain + key)
    engagement = Engagement(
        message_id="000443ee14578172be22",
        recipient="jo@example.com",
        injected_at=1_460_989_500,
        expires_at=4_000_000_000,
        customer_id=1,
    )
    ring = KeyRing.load(tmp_path / "keys.toml")
    path = "/" + ring.seal(Claims(kind="click", engagement=engagement, target=TARGET))
    return Front(folder=tmp_path, certificate=made, path=path)


@pytest.fixture
def start(front: Front) -> Iterator[Start]:
    """Start a front with its tracker; both end with the test."""
    with ExitStack() as ends:

        def start_one(command: list[str], tool: Tool, tracker: str = "msys-track.toml") -> Front:
            (front.folder / "msys-track.toml").write_text(front.read(tracker), encoding="utf-8")
            behind = Server(front.folder, "tracker")
            ends.callback(behind.kill)
            behind.listening()
            log = ends.enter_context((front.folder / "front.log").open("wb"))
            variables = {"HOME": str(front.folder), "XDG_DATA_HOME": str(front.folder)}
            process = subprocess.Popen(  # noqa: S603 - a program of another project
                [tool.path, *command],
                env={**tool.environment, **variables},
                cwd=front.folder,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            ends.callback(process.wait)
            ends.callback(process.terminate)
            wait_until(lambda: process.poll() is not None or _listens(front.ports["443"]))
            told = (front.folder / "front.log").read_text(errors="replace")
            assert process.poll() is None, told
            return front

        yield start_one


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@pytest.fixture
def nginx(front: Front) -> Callable[[str], list[str]]:
    """Write the configuration around ours, and name what starts it."""

    def write(text: str) -> list[str]:
        root = need_tool("nginx", "nginx-light").root
        modules = (root or Path("/")) / "usr/lib/nginx/modules"
        load = f"load_module {modules}/ngx_stream_module.so;\n" if "stream {" in text else ""
        paths = "".join(
            f"{name}_temp_path {front.folder}/{name};\n"
            for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        around = text if load else f"http {{\n{paths}{text}\n}}\n"
        (front.folder / "nginx.conf").write_text(
            f"{load}daemon off;\npid {front.folder}/nginx.pid;\nerror_log stderr notice;\n"
            f"user {_user()};\nevents {{}}\n{around}",
            encoding="utf-8",
        )
        return ["-p", str(front.folder), "-c", str(front.folder / "nginx.conf")]

    return write


def _user() -> str:
    return "root" if os.geteuid() == 0 else os.environ.get("USER", "nobody")


def assert_a_reader_comes_through(front: Front, http_version: str) -> None:
    """Click in several ways; the event has the reader's address and headers."""
    code, told = front.ask(front.path)
    assert (code, told) == (302, f"{http_version} {TARGET}")
    # Escapes, dots and slashes reach the tracker as they are.
    escaped = front.path.replace("/f/a/A", "/f/a/%41")
    assert front.ask(escaped)[0] == 302
    assert front.ask(f"{front.path}//..%2F?x=%0d")[0] in {302, 404}
    assert front.ask(front.path, "--http1.1")[1] == f"1.1 {TARGET}"
    assert front.ask(front.path, "--head")[0] == 302
    assert front.ask("/f/forged")[0] == 404
    assert front.ask("/q/forged")[0] == 200
    wait_until(lambda: len(front.events()) >= 3)
    for event in front.events():
        assert event["ip_address"] == _READER
        assert event["user_agent"] == "Mozilla/5.0 (a reader)"
        assert event["accept_language"] == "de"


def test_nginx_ends_tls_and_http_2(front: Front, start: Start, nginx: Any) -> None:
    tool = need_tool("nginx", "nginx-light")
    start(nginx(front.read("nginx.conf")), tool)
    assert_a_reader_comes_through(front, "2")


def test_nginx_hands_on_connections_as_they_are(front: Front, start: Start, nginx: Any) -> None:
    tool = need_tool("nginx", "nginx-light")
    if tool.root and not (tool.root / "usr/lib/nginx/modules/ngx_stream_module.so").exists():
        pytest.skip("nginx has no stream module; scripts/mail-tools unpacks it (nginx-light)")
    command = nginx(front.read("nginx-stream.conf"))
    start(command, tool, tracker="msys-track-proxy-protocol.toml")
    assert_a_reader_comes_through(front, "1.1")


def test_haproxy_ends_tls_and_http_2(front: Front, start: Start) -> None:
    tool = need_tool("haproxy", "haproxy")
    (front.folder / "haproxy.cfg").write_text(front.read("haproxy.cfg"), encoding="utf-8")
    start(["-f", "haproxy.cfg"], tool)
    assert_a_reader_comes_through(front, "2")


def test_haproxy_hands_on_connections_as_they_are(front: Front, start: Start) -> None:
    tool = need_tool("haproxy", "haproxy")
    text = front.read("haproxy-proxy-protocol.cfg")
    (front.folder / "haproxy.cfg").write_text(text, encoding="utf-8")
    start(["-f", "haproxy.cfg"], tool, tracker="msys-track-proxy-protocol.toml")
    assert_a_reader_comes_through(front, "1.1")


def test_caddy_has_a_certificate_issued_for_our_hosts_only(front: Front, start: Start) -> None:
    tool = need_tool("caddy", "caddy")
    (unused,) = find_free_ports(1)
    # Its own authority stands for one of the world's; the ports are the test's.
    for_test = (
        f"admin off\n\tlocal_certs\n\tskip_install_trust\n\thttps_port {front.ports['443']}\n"
        f"\thttp_port {unused}\n\tauto_https disable_redirects\n\ton_demand_tls {{"
    )
    text = front.read("Caddyfile").replace("on_demand_tls {", for_test)
    (front.folder / "Caddyfile").write_text(text, encoding="utf-8")
    start(["run", "--config", "Caddyfile", "--adapter", "caddyfile"], tool)
    assert_a_reader_comes_through(front, "2")
    assert _shake_hands(front, _HOST)
    assert not _shake_hands(front, "stranger.example.com")


def _shake_hands(front: Front, host: str) -> bool:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", front.ports["443"]), timeout=10) as raw:
        try:
            context.wrap_socket(raw, server_hostname=host).close()
        except ssl.SSLError:
            return False
    return True
