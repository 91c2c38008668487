"""Runs of smtp-source through one hop, each held to what the sink counted."""

import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from benches.hop import mails
from benches.hop.hops import Hop, Sink
from tests.mail_tools import Tool

_RUN_SECONDS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """So many connections with one kind of mail through one hop: a subject of `Race`."""

    source: Tool
    sink: Sink
    hop: Hop
    mail: Path
    connections: int
    keeps_connections: bool = True
    recipients: int = 1
    copies: int = 1
    """What the sink gets of each mail."""
    cpu_seconds: list[float] = field(default_factory=list)
    """Of the hop for each mail, one figure a run."""

    def seconds(self, times: int) -> float:
        """Send so many mails; return the seconds for all, connecting included."""
        arrived, cpu = self.sink.messages(), self.hop.cpu_seconds()
        started = time.perf_counter()
        self._send(times)
        took = time.perf_counter() - started
        self.cpu_seconds.append((self.hop.cpu_seconds() - cpu) / times)
        arrived = self.sink.messages() - arrived
        assert arrived == times * self.copies, (
            f"{self.hop.name}: {times} mails sent, {arrived} of {times * self.copies} arrived"
        )
        return took

    def _send(self, times: int) -> None:
        done = subprocess.run(  # noqa: S603 - a program found by us
            [
                self.source.path,
                *(["-d"] if self.keeps_connections else []),
                *("-s", str(min(self.connections, times)), "-m", str(times)),
                *("-r", str(self.recipients), "-F", str(self.mail)),
                *("-f", mails.SENDER, "-t", mails.RECIPIENT, "-M", "bench.example"),
                f"127.0.0.1:{self.hop.port}",
            ],
            env=dict(self.source.environment),
            capture_output=True,
            timeout=_RUN_SECONDS,
            check=False,
        )
        # It goes on after a refusal and ends with 0: what it says is what counts.
        assert done.returncode == 0, f"{self.hop.name}: {done.stderr.decode()[-1000:]}"
        assert not done.stderr, f"{self.hop.name}: {done.stderr.decode()[-1000:]}"


def write_mail(file: Path, mail: bytes) -> Path:
    """Write a mail as smtp-source reads it: lines without CR."""
    file.write_bytes(mail.replace(b"\r\n", b"\n"))
    return file
