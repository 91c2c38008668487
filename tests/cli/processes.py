"""Commands as users have them: real processes, their streams as bytes, servers on loopback."""

import os
import re
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

COMMAND = Path(sys.executable).with_name("msys-track")
PATIENCE_SECONDS = 20
HTML = (
    b"Subject: x\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
    b"<body><a href='http://e.com/?a=1&amp;b=2'>x</a> <a href='mailto:a@b.c'>y</a></body>\r\n"
)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    code: int
    output: bytes
    errors: str


@dataclass(frozen=True, slots=True)
class Server:
    """A server process that listens."""

    process: subprocess.Popen[bytes]
    said: str
    """Its line on standard output."""
    port: int

    def stop(self, number: int = signal.SIGTERM) -> Ended:
        """Send a signal and wait for the end, which shows no stack trace."""
        self.process.send_signal(number)
        return end_of(self.process)


class Run(Protocol):
    """Runs a command to its end."""

    def __call__(
        self,
        *arguments: str | Path,
        given: bytes = b"",
        env: Mapping[str, str] | None = None,
    ) -> Ended: ...


class Start(Protocol):
    """Starts a server and waits until it listens."""

    def __call__(self, *arguments: str | Path) -> Server: ...


def environment(variables: Mapping[str, str] | None = None) -> dict[str, str]:
    """Give the environment of the tests without what would set our options."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name == "PYTHONPATH" or not name.startswith(("MSYS_TRACK_", "PYTHON"))
    }
    return kept | dict(variables or {})


def run(
    folder: Path,
    *arguments: str | Path,
    given: bytes = b"",
    env: Mapping[str, str] | None = None,
) -> Ended:
    """Run a command to its end, which shows no stack trace."""
    done = subprocess.run(  # noqa: S603 - our own command
        [COMMAND, *arguments],
        input=given,
        capture_output=True,
        cwd=folder,
        env=environment(env),
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    return _ended(done.returncode, done.stdout, done.stderr)


def shell(folder: Path, line: str) -> Ended:
    """Let a shell run a line in which `msys-track` is our command."""
    done = subprocess.run(  # noqa: S603
        ["/bin/sh", "-c", line],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        cwd=folder,
        env=environment(_with_our_command_on_path()),
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    return _ended(done.returncode, done.stdout, done.stderr)


def start_in_shell(folder: Path, line: str, errors: IO[bytes]) -> subprocess.Popen[bytes]:
    """Let a shell start a line that goes on; standard error goes to a file."""
    return subprocess.Popen(  # noqa: S603
        ["/bin/sh", "-c", line],
        stdin=subprocess.DEVNULL,
        stderr=errors,
        cwd=folder,
        env=environment(_with_our_command_on_path()),
    )


def start(
    folder: Path,
    *arguments: str | Path,
    env: Mapping[str, str] | None = None,
    under: Sequence[str] = (),
) -> subprocess.Popen[bytes]:
    """Start a command that goes on until it is told to stop; `under` runs it where given."""
    return subprocess.Popen(  # noqa: S603 - our own command
        [*under, COMMAND, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=folder,
        env=environment(env),
    )


def listening(process: subprocess.Popen[bytes]) -> Server:
    """Wait until a server says where it listens."""
    said = _first_line(process)
    found = re.search(r"listens on \S+:(\d+)", said)
    assert found is not None, said + end_of(process).errors
    return Server(process, said, int(found[1]))


def end_of(process: subprocess.Popen[bytes]) -> Ended:
    """Wait for a process to end, which shows no stack trace."""
    output, errors = process.communicate(timeout=PATIENCE_SECONDS)
    return _ended(process.returncode, output, errors)


def _with_our_command_on_path() -> dict[str, str]:
    return {"PATH": f"{COMMAND.parent}{os.pathsep}{os.environ['PATH']}"}


def _ended(code: int, output: bytes, errors: bytes) -> Ended:
    text = errors.decode("utf-8")
    assert "Traceback" not in text
    return Ended(code, output, text)


def _first_line(process: subprocess.Popen[bytes]) -> str:
    """Read a line of standard output, or all of it where the process ends before."""
    assert process.stdout is not None
    line, deadline = b"", time.monotonic() + PATIENCE_SECONDS
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while not line.endswith(b"\n") and selector.select(deadline - time.monotonic()):
            piece = os.read(process.stdout.fileno(), 1)
            if not piece:
                break
            line += piece
    return line.decode("utf-8")
