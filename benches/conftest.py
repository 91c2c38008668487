"""What every bench shares: one report at the end of the run, and bars that a run may assert."""

import datetime as dt
import os
import platform
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple, Protocol

import pytest

from msys_track.comparison.machine import name_cpu
from msys_track.comparison.race import Race

REPORT = pytest.StashKey["Report"]()
ROOT = Path(__file__).resolve().parents[1]
PEERS = ("pytracking", "lxml", "cryptography", "python-lolhtml", "aiosmtpd", "aiosmtplib")


class Benchmark(Protocol):
    """What is used of pytest-benchmark's fixture."""

    extra_info: dict[str, object]

    def pedantic(self, target: Callable[[], object], *, rounds: int) -> object: ...


class Report:
    """What a run measured, in the Markdown that stands in docs/performance.md."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._load = os.getloadavg()[0]
        self._started = time.monotonic()

    def table(self, title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Add a table; the first column is text, the others stand on the right."""
        ruler = ["---", *["---:"] * (len(head) - 1)]
        lines = [f"| {' | '.join(cells)} |" for cells in (head, ruler, *rows)]
        self._parts.append("\n".join([f"### {title}", "", *lines]))

    def text(self) -> str:
        """Everything, headed by where and when it was measured; empty if nothing was."""
        if not self._parts:
            return ""
        return "\n\n".join([self._circumstances(), *self._parts])

    def _circumstances(self) -> str:
        took = time.monotonic() - self._started
        today = dt.datetime.now(dt.UTC).date()
        rows = {
            "date": f"{today}, {took:.0f} s",
            "commit": _run_command("git", "describe", "--always", "--dirty", "--abbrev=10"),
            "CPU": f"{name_cpu()}, {os.cpu_count()} cores, {platform.machine()}",
            "kernel": f"{platform.system()} {platform.release()}",
            "load average": f"{self._load:.1f} before, {os.getloadavg()[0]:.1f} after",
            "Python": f"{platform.python_implementation()} {platform.python_version()}",
            "Rust": _run_command("rustc", "--version").removeprefix("rustc ").partition(" ")[0],
            "peers": ", ".join(filter(None, map(_name_version, PEERS))),
        }
        return "\n".join(["| | |", "| --- | --- |", *[f"| {k} | {v} |" for k, v in rows.items()]])


class Bar(NamedTuple):
    """`ours` must be `least` times as fast as `peer`."""

    ours: str
    least: float
    peer: str


class Bars:
    """What must hold. A test with `--bars` fails at its end, with all that it missed."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self.missed: list[str] = []

    def hold(self, race: Race, bars: Sequence[Bar]) -> None:
        """Report each bar, and note those that are missed."""
        rows = []
        for bar in bars:
            ratio = race.ratio(bar.ours, bar.peer)
            what = f"{bar.ours}, against {bar.peer}"
            holds = ratio.median >= bar.least
            if not holds:
                self.missed.append(f"{what}: {ratio.median:.2f}, the bar is {bar.least}")
            rows.append(
                [
                    what,
                    f"{bar.least}",
                    f"{ratio.median:.2f}",
                    f"{ratio.low:.2f} to {ratio.high:.2f}",
                    "yes" if holds else "NO",
                ]
            )
        title = f"Bars: times as fast, median of {len(race.rounds)} interleaved rounds"
        head = ["", "at least", "measured", "middle half of the rounds", "held"]
        self._report.table(title, head, rows)

    def at_most(self, what: str, measured: float, most: float, unit: str = "µs") -> None:
        """Note where something took more than it may."""
        if measured > most:
            self.missed.append(f"{what}: {measured:.2f} {unit}, the bar is {most:g} {unit}")


def _name_version(peer: str) -> str:
    try:
        return f"{peer} {version(peer)}"
    except PackageNotFoundError:  # `python -m benches.hop` needs only two of them
        return ""


def _run_command(*command: str) -> str:
    try:
        said = subprocess.run(  # noqa: S603 - two commands, both above
            command, cwd=ROOT, capture_output=True, check=True, text=True
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return said.stdout.strip()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--bars", action="store_true", help="fail where a bar is missed")
    parser.addoption("--events", type=int, default=300_000, help="how large a large store is")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[REPORT] = Report()


@pytest.fixture
def store_path(tmp_path: Path) -> Iterator[Path]:
    """Where a large store may be made; it is removed, as pytest would keep 14 GB."""
    path = tmp_path / "events.sqlite"
    yield path
    for each in tmp_path.glob(f"{path.name}*"):
        each.unlink()


@pytest.fixture(scope="session")
def report(request: pytest.FixtureRequest) -> Report:
    return request.config.stash[REPORT]


@pytest.fixture(scope="session")
def events(request: pytest.FixtureRequest) -> int:
    """How many events a large store has."""
    return int(request.config.getoption("--events"))


@pytest.fixture
def bars(request: pytest.FixtureRequest, report: Report) -> Iterator[Bars]:
    bars = Bars(report)
    yield bars
    if bars.missed and request.config.getoption("--bars"):
        pytest.fail("\n".join(["missed:", *bars.missed]), pytrace=False)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if text := config.stash[REPORT].text():
        terminalreporter.section("benches, for docs/performance.md")
        terminalreporter.write(f"\n{text}\n\n")
