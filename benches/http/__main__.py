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
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
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
STORED = "msys-track tracker, store filled meanwhile"

_PATIENCE_SECONDS = 600


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
        self.answered: Counter[str] = Counter()
        """Clicks by server, those of warming up included."""

    def load(self, server: Server, *, connection: str) -> Run:
        """Click for a slice of time."""
        before = server.cpu_seconds()
        told = subprocess.run(  # noqa: S603 - a program found by us
            [
                self._wrk.path, "--threads", "1", "--connections", str(_CONNECTIONS),
                "--duration", f"{self._seconds:g}s", "--script", str(_CLICKS_LUA),
                f"http://127.0.0.1:{server.port}/", "--", str(self._links), connection,
            ],
            check=True, capture_output=True, text=True, env=dict(self._wrk.environment),
        ).stdout.splitlines()[-1]  # fmt: skip
        used = server.cpu_seconds() - before
        brought = json.loads(told)
        # wrk counts an answer that ends its connection as read, and nothing of it as failed.
        assert brought["failed"] == 0, f"{server.name}: {told}"
        self.answered[server.name] += brought["requests"]
        return Run(
            per_second=brought["requests"] / brought["seconds"],
            cpu_us=1e6 * used / brought["requests"],
            p99_ms=brought["p99"] / 1e3,
        )

    def run_rounds(
        self, servers: Sequence[Server], rounds: int, connection: str = "keep-alive"
    ) -> "Rounds":
        """Let each server have its slice in each round, every time another one first."""
        runs: dict[str, list[Run]] = {each.name: [] for each in servers}
        for number in range(-1, rounds):
            first = number % len(servers)
            for server in [*servers[first:], *servers[:first]]:
                run = self.load(server, connection=connection)
                if number >= 0:  # the first round warms up
                    runs[server.name].append(run)
        return runs


Rounds = Mapping[str, list[Run]]


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
    head = ["", "clicks/s", "share of nginx", "CPU a click, µs", "99th percentile, ms"]
    report.table(title, head, rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """What every measure needs."""

    bench: Bench
    generator: Generator
    rounds: int
    peer: Server
    one: Server
    report: Report
    results: Results


def measure_clicks(side: Side) -> None:
    """Clicks on 50 connections that stay: with and without recording, and without the core."""
    say("clicks on 50 connections")
    deaf = side.bench.start_tracker(DEAF, "deaf")
    plain = side.bench.start_tracker(PYTHON, "python")
    runs = side.generator.run_rounds([side.peer, side.one, deaf, plain], side.rounds)
    table(side.report, "Clicks, 50 connections", runs)
    hold = side.results.hold
    hold("clicks, share of nginx's", ratios(runs, ONE), at_least=0.55)
    hold("CPU a click, µs", [run.cpu_us for run in runs[ONE]], at_most=18)
    hold("99th percentile, ms", [run.p99_ms for run in runs[ONE]], at_most=5)
    hold("clicks, share of those without recording", ratios(runs, ONE, DEAF), at_least=0.75)


def measure_connections(side: Side) -> None:
    """A connection for each click."""
    say("a connection for each click")
    runs = side.generator.run_rounds([side.peer, side.one], side.rounds, "close")
    table(side.report, "A connection for each click, 50 at a time", runs)
    what = "clicks with a connection each, share of nginx's"
    side.results.hold(what, ratios(runs, ONE), at_least=0.5)


def measure_workers(side: Side) -> None:
    """Two workers on one port."""
    say("two workers")
    two = side.bench.start_tracker(TWO, "recording", workers=2)
    runs = side.generator.run_rounds([side.peer, side.one, two], side.rounds)
    table(side.report, "Two workers", runs)
    side.results.hold("two workers, times one", ratios(runs, TWO, ONE), at_least=1.3)


def measure_product(side: Side) -> None:
    """The command with all its processes: every click that was answered gets into the store."""
    say("the product: every click in its store")
    product = side.bench.start_command(STORED)
    runs = side.generator.run_rounds([side.peer, product], max(1, side.rounds // 2))
    table(side.report, "With the store filled meanwhile by a recorder", runs)
    answered = side.generator.answered[STORED]
    started = time.monotonic()
    while (stored := product.stored_clicks()) < answered:
        assert time.monotonic() < started + _PATIENCE_SECONDS, f"{stored} of {answered} stored"
        time.sleep(1)
    took = time.monotonic() - started
    say(f"  {answered:,} clicks answered, {stored:,} stored {took:.0f} s after the last")


def measure_opening(side: Side, keys: KeyRing, links: Path) -> None:
    """How long a token takes to open, with the object that Python has of it."""
    paths = links.read_text("ascii").split()
    opened = keys.core.open
    took = []
    for _ in range(4 * side.rounds):
        started = time.thread_time()
        for path in paths:
            opened(path)
        took.append(1e6 * (time.thread_time() - started) / len(paths))
    side.results.hold("opening a token, µs of CPU", took, at_most=1)


MEASURES: Mapping[str, Callable[[Side], None]] = {
    "clicks": measure_clicks,
    "connections": measure_connections,
    "workers": measure_workers,
    "product": measure_product,
}


def main() -> int:
    arguments = _read_arguments()
    wrk, nginx = find_tool("wrk", "wrk"), find_tool("nginx", "nginx-light")
    if wrk is None or nginx is None:
        say("skipped: wrk and nginx are needed; scripts/mail-tools wrk nginx-light gets them")
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        create(str(folder / "keys.toml"))
        keys = KeyRing.load(str(folder / "keys.toml"))
        links = folder / "links.txt"
        write_links(links, keys, _LINKS)
        with Bench(folder, nginx) as bench:
            side = Side(
                bench=bench,
                generator=Generator(wrk, links, arguments.slice),
                rounds=arguments.rounds,
                peer=bench.start_nginx(),
                one=bench.start_tracker(ONE, "recording"),
                report=Report(),
                results=Results(),
            )
            if not arguments.only or "opening" in arguments.only:
                measure_opening(side, keys, links)
            for what, measure in MEASURES.items():
                if not arguments.only or what in arguments.only:
                    measure(side)
        counts = side.one.counts()
        say(f"  {ONE}: {counts}")
        assert counts["requests"] == counts["written"] == side.one.logged_lines(), counts
        assert counts["lost"] == counts["dropped"] == 0, counts
    head = ["", "bar", "measured", "middle half of the rounds", ""]
    side.report.table("Bars", head, side.results.table())
    print(side.report.text())  # noqa: T201 - what it is for
    for missed in side.results.missed:
        say(f"missed: {missed.what}: {missed.measured:.2f}, {missed.way} {missed.bar:g}")
    return 1 if side.results.missed else 0


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benches.http", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="interleaved rounds of each table")
    parser.add_argument("--slice", type=float, default=3, help="seconds that a server has of one")
    parser.add_argument("--only", nargs="*", choices=["opening", *MEASURES])
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
