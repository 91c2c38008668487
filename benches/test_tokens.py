"""Tokens beside the crate of their cipher: same claims, same process, same rounds.

`make bench` runs it and asserts the bar. What is timed is Rust alone (`benches/tokens.rs`).
"""

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from benches.conftest import Bar, Bars, Benchmark, Report

from msys_track.comparison.race import Race

ROUNDS = 100
LINKS = 26

OURS = "msys-track, the links of a copy"
CRATE = "aes-gcm-siv 0.12 and base64's scalar engine, one by one"

BARS = (Bar(OURS, 2.5, CRATE),)


@dataclass(frozen=True, slots=True)
class Way:
    """One way of `benches/tokens.rs`, which stays up and times itself."""

    process: subprocess.Popen[str]
    name: str

    def seconds(self, times: int) -> float:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{self.name} {times}\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline()) / 1e9


@pytest.fixture
def process() -> Iterator[subprocess.Popen[str]]:
    """The Rust bench; cargo builds it if `make bench` has not."""
    cargo = shutil.which("cargo") or pytest.skip("cargo is not on PATH")
    command = [cargo, "bench", "--quiet", "--locked", "--profile", "release", "--bench", "tokens"]
    running = subprocess.Popen(  # noqa: S603 - our own bench
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    yield running
    running.communicate()


def test_tokens_of_400_bytes(
    benchmark: Benchmark, report: Report, bars: Bars, process: subprocess.Popen[str]
) -> None:
    race = Race(subjects={OURS: Way(process, "ours"), CRATE: Way(process, "crate")})
    race.warm_up()
    benchmark.pedantic(race.round, rounds=ROUNDS)
    rows = []
    for name in race.subjects:
        nanoseconds = race.seconds(name) / LINKS * 1e9
        ratio = race.ratio(name, CRATE)
        rows.append([name, f"{nanoseconds:.0f} ns", f"{ratio.median:.2f}"])
    head = ["400 bytes of claims, sealed and encoded", "a token", "times as fast"]
    report.table(f"Tokens: {LINKS} links of a copy", head, rows)
    bars.hold(race, BARS)
