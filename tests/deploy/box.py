"""MTAs of Debian, run from their unpacked packages in a root of their own (`box.sh`)."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.mail_tools import tools_folder

_SCRIPT = Path(__file__).with_name("box.sh")
_PATIENCE_SECONDS = 60
_NO_MOUNT = 77
"""What box.sh ends with where it may not mount."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A package's server: how it is made ready, and its command, which stays in the foreground."""

    package: str
    prepare: str
    command: str


@contextmanager
def running(
    server: Server, folder: Path, files: Mapping[str, str], ports: tuple[int, ...]
) -> Iterator[Path]:
    """Run a server until the block ends; gives its log. Skips the test where that can't be.

    `files` are what its root has besides the package, by path.
    """
    package = tools_folder() / server.package
    if not package.exists():
        pytest.skip(f"{server.package} was not found; scripts/mail-tools unpacks it")
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("a root of its own for an MTA needs root and unshare (util-linux)")
    (folder / "work").mkdir()
    for path, text in files.items():
        file = folder / "files" / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    log = folder / "log"
    with (
        log.open("wb") as output,
        subprocess.Popen(  # noqa: S603 - unshare, and files of ours
            [
                *("unshare", "--mount", "--pid", "--fork", "--kill-child"),
                *("sh", str(_SCRIPT), str(folder / "work"), str(package)),
                *(str(folder / "files"), server.prepare, server.command),
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        ) as process,
    ):
        try:
            _wait_for(ports, process, log)
            yield log
        finally:
            process.send_signal(signal.SIGKILL)  # and with it all in its PID namespace
            process.wait()


def _wait_for(ports: tuple[int, ...], process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    for port in ports:
        while not _greets(port):
            written = log.read_text(encoding="utf-8", errors="replace")[-4000:]
            if process.poll() == _NO_MOUNT:
                pytest.skip(f"a root of its own for an MTA needs mounts: {written}")
            assert process.poll() is None, written
            assert time.monotonic() < deadline, written
            time.sleep(0.05)


def _greets(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
            return client.recv(4) == b"220 "
    except OSError:
        return False
