"""The processes of the SMTP bench: starts them, sends them lines, reads their CPU time, ends
them."""

import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests import process_tree

_PORT = re.compile(r"(?:.*listens on [^ ]*:)?(\d+)")
_ENDING_SECONDS = 10
_LOG_CHARACTERS = 2_000


class Process:
    """A child that answers lines on its standard input by lines; its log goes to a file."""

    def __init__(self, popen: subprocess.Popen[str], log: Path) -> None:
        self._popen = popen
        self._log = log

    def port(self) -> int:
        """Read the line in which a server says where it listens."""
        line = self._line()
        said = _PORT.match(line)
        assert said, line
        return int(said[1])

    def ask(self, line: str) -> str:
        """Send a line and return the answer."""
        assert self._popen.stdin is not None
        self._popen.stdin.write(f"{line}\n")
        self._popen.stdin.flush()
        return self._line()

    def cpu_seconds(self) -> float | None:
        """User and system time so far, workers included; None where the system does not say it."""
        try:
            return process_tree.cpu_seconds(self._popen.pid)
        except (AttributeError, OSError):
            return None

    def _line(self) -> str:
        assert self._popen.stdout is not None
        line = self._popen.stdout.readline()
        if not line:
            log = self._log.read_text(encoding="utf-8")[-_LOG_CHARACTERS:]
            raise AssertionError(f"{self._log.stem} ended: {log}")
        return line.strip()


@contextmanager
def running(command: Sequence[str], log: Path) -> Iterator[Process]:
    """Run a command until the block ends; what it writes to standard error goes to `log`."""
    with (
        log.open("w", encoding="utf-8") as errors,
        subprocess.Popen(  # noqa: S603 - our own programs
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as popen,
    ):
        try:
            yield Process(popen, log)
        finally:
            popen.terminate()
            try:
                popen.wait(_ENDING_SECONDS)
            except subprocess.TimeoutExpired:
                popen.kill()
                raise
