"""A proxy with several workers, as real processes."""

import smtplib
import time
from collections.abc import Callable
from pathlib import Path

from tests.processes import PATIENCE_SECONDS, Server

from msys_track.keys.file import create
from msys_track.testing.mailbox import MailServer

MAIL = b"Subject: x\r\n\r\nx\r\n"


class Proxy:
    """A proxy with several workers, its files and its upstream."""

    server: Server

    def __init__(self, folder: Path, mailbox: MailServer) -> None:
        self.folder = folder
        self.mailbox = mailbox
        create(folder / "keys.toml")
        self.configure()

    def configure(
        self, workers: int = 2, more: str = "", upstream: int | None = None, listen: int = 0
    ) -> None:
        self._worker_count = workers
        (self.folder / "msys-track.toml").write_text(
            f'keys = "keys.toml"\n[proxy]\nlisten = "127.0.0.1:{listen}"\nworkers = {workers}\n'
            f'upstream = "127.0.0.1:{upstream or self.mailbox.port}"\n{more}',
            encoding="utf-8",
        )

    def start(self, **settings: object) -> Server:
        self.server = Server(self.folder, "proxy", **settings)  # type: ignore[arg-type]
        self.server.event("worker.ready", self._worker_count)
        return self.server.listening()

    @property
    def workers(self) -> list[int]:
        """Process numbers of all workers that were ever ready."""
        return [each["pid"] for each in self.server.logged if each["event"] == "worker.ready"]

    def inject_mail(self) -> None:
        with smtplib.SMTP("127.0.0.1", self.server.port, timeout=PATIENCE_SECONDS) as client:
            client.sendmail("sender@e.com", ["jo@e.com"], MAIL)


def is_running(pid: int) -> bool:
    """Whether a process is there and no mere remains of one that its parent has not seen."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def wait_until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)
