"""The hops side by side, each in front of the same sink: how each is started and known ready."""

import os
import re
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from benches.hop import mails
from tests import process_tree
from tests.mail_tools import Tool, find_tool

DIRECT = "direct"
HAPROXY = "haproxy, TCP"
TRACKING = "msys-track"
PASSING = "msys-track, tracking off"
STOCK = "aiosmtpd + aiosmtplib"

_COMMAND = Path(sysconfig.get_path("scripts")) / "msys-track"
_PATIENCE_SECONDS = 20
_COUNTED = re.compile(rb"mesg=(\d+)")
_COUNT_BYTES = 256
_LOG_CHARACTERS = 2_000

_CONFIGURATION = """\
keys = "keys.toml"
[listener]
open_tracking_enabled = {tracking}
click_tracking_enabled = {tracking}
tracking_domain = "{domain}"
[proxy]
listen = "127.0.0.1:{port}"
upstream = "127.0.0.1:{upstream}"
"""
# One thread, as one worker of ours is.
_HAPROXY = """\
global
    nbthread 1
    maxconn 4000
defaults
    mode tcp
    timeout connect 10s
    timeout client 5m
    timeout server 5m
listen hop
    bind 127.0.0.1:{port}
    server sink 127.0.0.1:{upstream}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """What is not ours and is needed."""

    source: Tool
    sink: Tool
    haproxy: Tool


def find_programs() -> Programs | None:
    """Find them; None where one is missing."""
    source = find_tool("smtp-source", "postfix")
    sink = find_tool("smtp-sink", "postfix")
    haproxy = find_tool("haproxy", "haproxy")
    if source is None or sink is None or haproxy is None:
        return None
    return Programs(source=source, sink=sink, haproxy=haproxy)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One way from generator to sink; `pid` is None where there is no hop."""

    name: str
    port: int
    pid: int | None = None

    def cpu_seconds(self) -> float:
        return 0.0 if self.pid is None else process_tree.cpu_seconds(self.pid)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sink:
    """smtp-sink, which counts what it has taken."""

    port: int
    output: Path

    def messages(self) -> int:
        """How many it has taken so far."""
        with self.output.open("rb") as counts:
            counts.seek(max(0, counts.seek(0, os.SEEK_END) - _COUNT_BYTES))
            found = _COUNTED.findall(counts.read())
        return int(found[-1]) if found else 0


class Bench:
    """The processes of one run; all end with the block."""

    def __init__(self, folder: Path, programs: Programs) -> None:
        self.programs = programs
        self._folder = folder
        self._stack = ExitStack()
        self._run(str(_COMMAND), "keys", "new", str(folder / "keys.toml"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start_sink(self) -> Sink:
        """Start smtp-sink; as root it needs another user."""
        port = free_port()
        user = ("-u", "nobody") if os.geteuid() == 0 else ()
        sink = self.programs.sink
        self._start(
            "sink",
            (sink.path, "-c", "-m", "5000", *user, f"127.0.0.1:{port}", "1000"),
            port=port,
            environment=sink.environment,
        )
        return Sink(port=port, output=self._folder / "sink.out")

    def start_proxy(
        self,
        name: str,
        upstream: int,
        *,
        tracking: bool,
        settings: Sequence[str] = (),
        prefix: Sequence[str] = (),
    ) -> Hop:
        """Start our proxy with lines more in `[proxy]`, perhaps in a program that watches it."""
        port = free_port()
        file = self._folder / f"{name}.toml"
        text = _CONFIGURATION.format(
            tracking=str(tracking).lower(),
            domain=mails.TRACKING_DOMAIN,
            port=port,
            upstream=upstream,
        )
        file.write_text("\n".join([text, *settings, ""]), encoding="utf-8")
        command = (*prefix, str(_COMMAND), "proxy", "--config", str(file))
        pid = self._start(name, command, port=port)
        return Hop(name=name, port=port, pid=pid)

    def start_haproxy(self, upstream: int) -> Hop:
        port = free_port()
        haproxy = self.programs.haproxy
        file = self._folder / "haproxy.cfg"
        file.write_text(_HAPROXY.format(port=port, upstream=upstream), encoding="ascii")
        pid = self._start(
            "haproxy",
            (haproxy.path, "-db", "-q", "-f", str(file)),
            port=port,
            environment=haproxy.environment,
        )
        return Hop(name=HAPROXY, port=port, pid=pid)

    def start_stock(self, upstream: int) -> Hop:
        """Start aiosmtpd + aiosmtplib as their documentation shows; mail goes on untouched."""
        port = free_port()
        command = ("-m", "benches.smtp.stock_relay", "documented", str(upstream), str(port))
        pid = self._start(STOCK, (sys.executable, *command), port=port)
        return Hop(name=STOCK, port=port, pid=pid)

    def _start(
        self,
        name: str,
        command: Sequence[str],
        *,
        port: int,
        environment: Mapping[str, str] = os.environ,
    ) -> int:
        process = self._stack.enter_context(
            running(command, self._folder / name, environment=environment)
        )
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not is_listening(port):
            assert process.poll() is None, self._log(name)
            assert time.monotonic() < deadline, f"{name} does not listen: {self._log(name)}"
            time.sleep(0.02)
        return process.pid

    def _log(self, name: str) -> str:
        log = (self._folder / f"{name}.err").read_text(encoding="utf-8", errors="replace")
        return log[-_LOG_CHARACTERS:]

    def _run(self, *command: str) -> None:
        subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - our own


def free_port() -> int:
    """Find a port of loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def is_listening(port: int) -> bool:
    """Whether something answers on a port of loopback."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@contextmanager
def running(
    command: Sequence[str], base: Path, *, environment: Mapping[str, str] = os.environ
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command until the block ends; what it writes goes to `base`.out and `base`.err."""
    with (
        Path(f"{base}.out").open("wb") as output,
        Path(f"{base}.err").open("wb") as errors,
        subprocess.Popen(  # noqa: S603 - programs found by us
            command, stdin=subprocess.PIPE, stdout=output, stderr=errors, env=dict(environment)
        ) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(_PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
