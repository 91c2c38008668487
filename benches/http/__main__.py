"""The tracker beside nginx: `make bench-http`. Prints tables and which bars are missed.

All servers run at one time and take turns in interleaved rounds; what counts are ratios to nginx,
which answers the same requests with one constant redirect. Ends with 1 where a bar is missed.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benches.conftest import Report
from benches.hop.bars import Results, say
from benches.http.links import write_links
from benches.http.servers import NGINX, Bench, Server
from tests.mail_tools import Tool, find_tool

from msys_track.keys.file import create
from msys_track.keys.ring import KeyRing

_CLICKS_LUA = Path(__file__).with_name("clicks.lua")
_LINKS = 5_000
_CONNECTIONS = 50

ONE = "msys-track"
DEAF = "msys-track, recording left out"
PYTHON = "msys-track, all in Python"
TWO = "msys-track, two workers"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one slice of one server brought."""

    per_second: float
    cpu_us: float
    p99_ms: float


class Generator:
    """wrk with the links."""

    def __init__(self, wrk: Tool, links: Path, seconds: float) -> None:
        self._wrk = wrk
        self._links = links
        self._seconds = seconds

    def load(self, server: Server, *, connection: str = "keep-alive", threads: int = 1) -> Run:
        """Click for a slice of time."""
        before = server.cpu_seconds()
        told = subprocess.run(  # noqa: S603 - a program found by us
            [
                self._wrk.path, "--threads", str(threads), "--connections", str(_CONNECTIONS),
                "--duration", f"{self._seconds:g}s", "--script", str(_CLICKS_LUA),
                f"http://127.0.0.1:{server.port}/", "--", str(self._links), connection,
            ],
            check=True, capture_output=True, text=True, env=dict(self._wrk.environment),
        ).stdout.splitlines()[-1]  # fmt: skip
        used = server.cpu_seconds() - before
        brought = json.loads(told)
        # wrk counts an answer that ends its connection as read, and nothing of it as failed.
        assert brought["failed"] == 0, f"{server.name}: {told}"
        return Run(
            per_second=brought["requests"] / brought["seconds"],
            cpu_us=1e6 * used / brought["requests"],
            p99_ms=brought["p99"] / 1e3,
        )


Rounds = Mapping[str, list[Run]]


def run_rounds(
    generator: Generator, servers: Sequence[Server], rounds: int, connection: str
) -> Rounds:
    """Let each server have its slice in each round, every time another one first."""
    runs: dict[str, list[Run]] = {each.name: [] for each in servers}
    for number in range(-1, rounds):
        first = number % len(servers)
        for server in [*servers[first:], *servers[:first]]:
            run = generator.load(server, connection=connection)
            if number >= 0:  # the first round warms up
                runs[server.name].append(run)
    return runs


def ratios(runs: Rounds, name: str, peer: str = NGINX) -> list[float]:
    """How many times as many clicks a server answers as another one, in each round."""
    pairs = zip(runs[name], runs[peer], strict=True)
    return [own.per_second / other.per_second for own, other in pairs]


def table(report: Report, title: str, runs: Rounds) -> None:
    """Add what each server did, by medians."""
    rows = [
        [
            name,
            f"{median(run.per_second for run in own):,.0f}",
            f"{median(ratios(runs, name)):.2f}",
            f"{median(run.cpu_us for run in own):.1f}",
            f"{median(run.p99_ms for run in own):.1f}",
        ]
        for name, own in runs.items()
    ]
    head = ["", "clicks/s", "x nginx", "CPU a click, µs", "99th percentile, ms"]
    report.table(title, head, rows)


def measure_opening(keys: KeyRing, links: Path, rounds: int) -> list[float]:
    """Microseconds of a processor to open a token, with the object that Python has of it."""
    paths = links.read_text("ascii").split()
    opened = keys.core.open
    took = []
    for _ in range(rounds):
        started = time.thread_time()
        for path in paths:
            opened(path)
        took.append(1e6 * (time.thread_time() - started) / len(paths))
    return took


def main() -> int:
    arguments = _read_arguments()
    wrk, nginx = find_tool("wrk", "wrk"), find_tool("nginx", "nginx-light")
    if wrk is None or nginx is None:
        say("skipped: wrk and nginx are needed; scripts/mail-tools wrk nginx-light gets them")
        return 0
    report, results = Report(), Results()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        create(str(folder / "keys.toml"))
        keys = KeyRing.load(str(folder / "keys.toml"))
        links = folder / "links.txt"
        write_links(links, keys, _LINKS)
        generator = Generator(wrk, links, arguments.slice)
        with Bench(folder, nginx) as bench:
            peer = bench.start_nginx()
            one = bench.start_tracker(ONE, "recording")
            deaf = bench.start_tracker(DEAF, "deaf")
            plain = bench.start_tracker(PYTHON, "python")
            two = bench.start_tracker(TWO, "recording", workers=2)
            say("clicks on 50 connections")
            kept = run_rounds(generator, [peer, one, deaf, plain], arguments.rounds, "keep-alive")
            table(report, "Clicks, 50 connections", kept)
            results.hold("clicks x nginx", ratios(kept, ONE), at_least=0.55)
            results.hold("CPU a click, µs", [run.cpu_us for run in kept[ONE]], at_most=18)
            results.hold("99th percentile, ms", [run.p99_ms for run in kept[ONE]], at_most=5)
            recorded = ratios(kept, ONE, DEAF)
            results.hold("recording, share of the throughput left", recorded, at_least=0.75)
            say("a connection for each click")
            closed = run_rounds(generator, [peer, one], arguments.rounds, "close")
            table(report, "A connection for each click, 50 at a time", closed)
            results.hold("clicks x nginx, one a connection", ratios(closed, ONE), at_least=0.5)
            say("two workers")
            both = run_rounds(generator, [peer, one, two], arguments.rounds, "keep-alive")
            table(report, "Two workers", both)
            results.hold("two workers x one", ratios(both, TWO, ONE), at_least=1.3)
            opening = measure_opening(keys, links, arguments.rounds)
            results.hold("opening a token, µs", opening, at_most=1)
        for each in (one, two):
            counts = each.counts()
            say(f"  {each.name}: {counts}")
            assert counts["requests"] == counts["written"] == each.logged_lines(), counts
            assert counts["lost"] == counts["dropped"] == 0, counts
    head = ["", "bar", "measured", "middle half of the rounds", ""]
    report.table("Bars", head, results.table())
    print(report.text())  # noqa: T201 - what it is for
    for missed in results.missed:
        say(f"missed: {missed.what}: {missed.measured:.2f}, {missed.way} {missed.bar:g}")
    return 1 if results.missed else 0


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benches.http", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="interleaved rounds of each table")
    parser.add_argument("--slice", type=float, default=3, help="seconds that a server has of one")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
