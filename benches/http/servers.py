"""The servers side by side: how each is started, watched, and asked what it has done."""

import json
import sys
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from benches.hop.hops import free_port, is_listening, running
from tests import process_tree
from tests.mail_tools import Tool

if TYPE_CHECKING:
    import subprocess

NGINX = "nginx, return 302"

_PATIENCE_SECONDS = 20
# One worker, as one of ours; what it does beside answering is off.
_CONFIGURATION = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log warn;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
    uwsgi_temp_path {folder}; scgi_temp_path {folder};
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        return 302 https://shop.example.com/products/123?utm_source=mail&utm_campaign=spring;
    }}
}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One subject; its folder has what it counted once it has ended."""

    name: str
    port: int
    pids: tuple[int, ...]
    folder: Path

    def cpu_seconds(self) -> float:
        """User and system time so far."""
        return sum(map(process_tree.cpu_seconds, self.pids))

    def counts(self) -> dict[str, int]:
        """What its workers have counted, once they have ended."""
        found: Counter[str] = Counter()
        for file in self.folder.glob("counts.*.json"):
            counts = json.loads(file.read_text("utf-8"))
            found.update({name: count for name, count in counts.items() if isinstance(count, int)})
        return dict.fromkeys(("requests", "written", "lost", "dropped"), 0) | dict(found)

    def logged_lines(self) -> int:
        """Lines in its logs of hits."""
        segments = (self.folder / "hits").glob("*/*.ndjson")
        return sum(file.read_bytes().count(b"\n") for file in segments)


class Bench:
    """Starts servers, and ends them all."""

    def __init__(self, folder: Path, nginx: Tool) -> None:
        self._folder = folder
        self._nginx = nginx
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start_nginx(self) -> Server:
        port, folder = free_port(), self._folder / "nginx"
        folder.mkdir()
        file = folder / "nginx.conf"
        file.write_text(_CONFIGURATION.format(folder=folder, port=port), encoding="ascii")
        process = self._stack.enter_context(
            running(
                (self._nginx.path, "-p", str(folder), "-c", str(file)),
                folder / "nginx",
                environment=self._nginx.environment,
            )
        )
        return self._await(
            Server(name=NGINX, port=port, pids=(process.pid,), folder=folder), process
        )

    def start_tracker(self, name: str, form: str, *, workers: int = 1) -> Server:
        port = free_port()
        folder = self._folder / name.replace(" ", "-").replace(",", "")
        folder.mkdir()
        (folder / "keys.toml").write_bytes((self._folder / "keys.toml").read_bytes())
        (folder / "keys.toml").chmod(0o600)
        command = (sys.executable, "-m", "benches.http.tracker", str(folder), str(port), form)
        processes = [
            self._stack.enter_context(running(command, folder / f"worker{number}"))
            for number in range(workers)
        ]
        pids = tuple(process.pid for process in processes)
        server = Server(name=name, port=port, pids=pids, folder=folder)
        return self._await(server, *processes)

    @staticmethod
    def _await(server: Server, *processes: "subprocess.Popen[bytes]") -> Server:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        time.sleep(0.5 * (len(processes) - 1))  # one that listens does not say that all do
        while not is_listening(server.port):
            assert all(process.poll() is None for process in processes), server.name
            assert time.monotonic() < deadline, f"{server.name} does not listen"
            time.sleep(0.02)
        return server
