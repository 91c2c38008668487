"""A tracker with several workers, as real processes."""

import http.client
import json
from pathlib import Path
from typing import Any

from tests.ports import find_free_ports
from tests.processes import PATIENCE_SECONDS, Server, run
from tests.service.clients import Clients

from msys_track.keys.file import create
from msys_track.keys.ring import Claims, Engagement, KeyRing

TARGET = "https://shop.test/sale"


class Tracker:
    """A tracker with several workers, its files and a link that it answers."""

    server: Server

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        create(folder / "keys.toml")
        self.port, self.status_port = find_free_ports(2)
        self.configure()
        self.path = self.make_path()

    def configure(self, workers: int = 2, more: str = "") -> None:
        self._worker_count = workers
        (self.folder / "msys-track.toml").write_text(
            f'keys = "keys.toml"\n[metrics]\nlisten = "127.0.0.1:{self.status_port}"\n'
            f'[tracker]\nlisten = "127.0.0.1:{self.port}"\nworkers = {workers}\n'
            f'store = "events.sqlite"\n{more}',
            encoding="utf-8",
        )

    def start(self, **settings: object) -> "Tracker":
        self.server = Server(self.folder, "tracker", **settings)  # type: ignore[arg-type]
        self.server.event("worker.ready", self._worker_count)
        self.server.listening()
        return self

    def make_path(self) -> str:
        engagement = Engagement(
            message_id="000443ee14578172be22",
            recipient="jo@example.com",
            injected_at=1_460_989_500,
            expires_at=4_000_000_000,
            customer_id=1,
        )
        ring = KeyRing.load(self.folder / "keys.toml")
        return "/" + ring.seal(Claims(kind="click", engagement=engagement, target=TARGET))

    @property
    def workers(self) -> list[int]:
        """Process numbers of all workers that were ever ready."""
        return [each["pid"] for each in self.server.logged if each["event"] == "worker.ready"]

    def click(self, path: str = "", host: str = "click.example.com") -> int:
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)
        client.request("GET", path or self.path, headers={"Host": host})
        answer = client.getresponse()
        answer.read()
        client.close()
        return answer.status

    def ask(self, path: str) -> tuple[int, str]:
        client = http.client.HTTPConnection("127.0.0.1", self.status_port, timeout=10)
        client.request("GET", path)
        answer = client.getresponse()
        text = answer.read().decode()
        client.close()
        return answer.status, text

    def count(self, name: str) -> int:
        code, text = self.ask("/figures")
        assert code == 200
        return int(json.loads(text)["counters"].get(name, 0))

    def gauge(self, name: str) -> float:
        code, text = self.ask("/figures")
        assert code == 200
        return float(json.loads(text)["gauges"].get(name, -1))

    @property
    def recorders(self) -> list[int]:
        """Process numbers of all recorders that were ever ready."""
        return [each["pid"] for each in self.server.logged if each["event"] == "recorder.ready"]

    def events(self) -> list[dict[str, Any]]:
        """Read what is in the store, as the command prints it."""
        printed = run(self.folder, "events", "--store", "events.sqlite")
        lines = [json.loads(line)["msys"] for line in printed.output.splitlines()]
        return [next(iter(each.values())) for each in lines]


class Readers(Clients):
    """Readers that click, on a connection each or on one that is kept; none may get no answer."""

    def __init__(self, tracker: Tracker, *, keeps: bool) -> None:
        super().__init__(3, uses=100)
        self._tracker = tracker
        self._keeps = keeps

    def _use_on_and_on(self) -> None:
        client = None
        while self._goes_on():
            try:
                client = client or http.client.HTTPConnection(
                    "127.0.0.1", self._tracker.port, timeout=PATIENCE_SECONDS
                )
                client.request("GET", self._tracker.path)
                answer = client.getresponse()
                answer.read()
            except Exception as error:  # noqa: BLE001 - told by the test
                self.failures.append(error)
                return
            if answer.status != http.client.FOUND:
                self.failures.append(answer.status)
            self.answered += 1
            if not self._keeps or answer.will_close:
                client.close()
                client = None
        if client is not None:
            client.close()
