"""What is measured, and the bars that it is held to."""

import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from benches.conftest import Report
from benches.hop import mails
from benches.hop.bars import Results, say
from benches.hop.client import TimedClient
from benches.hop.hops import (
    DIRECT,
    HAPROXY,
    PASSING,
    STOCK,
    TRACKING,
    Bench,
    Hop,
    Sink,
)
from benches.hop.load import Load, write_mail
from tests import process_tree

from msys_track.comparison.race import Race

_PILOT_MAILS = 100
_MIB = 1024 * 1024

# By size and connections: least speed of haproxy's, tracking on and off.
_SPEED_BARS = {
    ("3.8 KB", 10): (0.55, 0.7),
    ("3.8 KB", 50): (0.55, 0.7),
    ("40 KB", 10): (0.8, 0.95),
    ("40 KB", 50): (0.8, 0.95),
}
_STOCK_BAR = 10
_CPU_BAR = 2.6
_CPU_BAR_NEW_CONNECTIONS = 3
_ADDED_LATENCY_MS = 0.4
_TAIL_BAR = 3
_COPIES_BAR = 5
# "Flat" for a figure that two cores with neighbours blur.
_FLAT_BAR = 1.15
_TAIL_UNDER_LOAD_BAR = 10
_MEMORY_BAR = 1.05

_LATENCY_BATCHES = 20
_LATENCY_BATCH = 50
_BIG_CONNECTIONS = 50
_BIG_BYTES = 25_000_000
_BIG_BUDGET_MIB = 512
_RECIPIENTS = (1, 100, 1000)
_GROWING_KILOBYTES = (4, 16, 64, 256, 1024)
_GROWING_CONNECTIONS = (1, 10, 50, 200, 500)


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """Everything that a measure needs."""

    bench: Bench
    sink: Sink
    hops: Mapping[str, Hop]
    files: Mapping[str, Path]
    rounds: int
    slice_seconds: float
    memory_mails: int
    results: Results
    report: Report

    def load(self, hop: str, size: str, connections: int, **more: Any) -> Load:
        return Load(
            source=self.bench.programs.source,
            sink=self.sink,
            hop=self.hops[hop],
            mail=self.files[size],
            connections=connections,
            **more,
        )

    def race(self, loads: Mapping[str, Load], rounds: int | None = None) -> Race:
        """Let subjects take turns; each runs for about as long in a round."""
        times = {}
        for name, load in loads.items():
            pilot = max(load.connections, _PILOT_MAILS // load.copies, 2)
            load.seconds(pilot)  # opens pools, fills caches
            rate = pilot / load.seconds(pilot)
            times[name] = max(load.connections, int(rate * self.slice_seconds), 1)
            load.cpu_seconds.clear()
        race = Race(subjects=loads, times=times)
        for _ in range(rounds or self.rounds):
            race.round()
        return race


def measure_speed(side: Side) -> None:
    """Mails/s and CPU a mail, by size and connections."""
    rows = []
    for size in ("3.8 KB", "40 KB"):
        for connections in (1, 10, 50):
            say(f"{size}, {connections} connections")
            loads = {name: side.load(name, size, connections) for name in side.hops}
            race = side.race(loads)
            for name, load in loads.items():
                ratio = race.ratio(name, HAPROXY).median
                rows.append([size, str(connections), *_speed_row(race, name, load, ratio)])
            if bars := _SPEED_BARS.get((size, connections)):
                _hold_speed(side, race, loads, f"{size}, C={connections}", bars)
    head = ["size", "C", "hop", "mails/s", "of haproxy's", "CPU of the hop, µs a mail"]
    side.report.table("Mails over kept connections", head, rows)


def _speed_row(race: Race, name: str, load: Load, ratio: float) -> list[str]:
    cpu = "" if load.hop.pid is None else f"{median(load.cpu_seconds) * 1e6:,.0f}"
    return [name, f"{1 / race.seconds(name):,.0f}", f"{ratio:.2f}", cpu]


def _hold_speed(
    side: Side,
    race: Race,
    loads: Mapping[str, Load],
    where: str,
    bars: tuple[float, float],
) -> None:
    tracking, passing = bars
    hold = side.results.hold
    hold(f"speed of haproxy's, {where}", _ratios(race, TRACKING, HAPROXY), at_least=tracking)
    hold(
        f"speed of haproxy's, tracking off, {where}",
        _ratios(race, PASSING, HAPROXY),
        at_least=passing,
    )
    hold(f"speed of {STOCK}, {where}", _ratios(race, TRACKING, STOCK), at_least=_STOCK_BAR)
    hold(f"CPU of haproxy's, {where}", _cpu_ratios(loads), at_most=_CPU_BAR)


def _ratios(race: Race, ours: str, peer: str) -> list[float]:
    return [took[peer] / took[ours] for took in race.rounds]


def _cpu_ratios(loads: Mapping[str, Load]) -> list[float]:
    pairs = zip(loads[TRACKING].cpu_seconds, loads[HAPROXY].cpu_seconds, strict=True)
    return [ours / theirs for ours, theirs in pairs]


def measure_new_connections(side: Side) -> None:
    """A connection for each mail, as most applications send."""
    say("a connection for each mail")
    loads = {
        name: side.load(name, "3.8 KB", 10, keeps_connections=False)
        for name in (DIRECT, HAPROXY, TRACKING)
    }
    race = side.race(loads)
    side.report.table(
        "A connection for each mail: 3.8 KB, 10 at a time",
        ["hop", "mails/s", "of haproxy's", "CPU of the hop, µs a mail"],
        [
            _speed_row(race, name, load, race.ratio(name, HAPROXY).median)
            for name, load in loads.items()
        ],
    )
    side.results.hold(
        "CPU of haproxy's, a connection for each mail",
        _cpu_ratios(loads),
        at_most=_CPU_BAR_NEW_CONNECTIONS,
    )


def measure_latency(side: Side) -> None:
    """One mail at a time: the median and the 99th percentile of a transaction."""
    say("latency of one mail at a time")
    mail = mails.small()
    took: dict[str, list[float]] = {name: [] for name in (DIRECT, HAPROXY, TRACKING, PASSING)}
    for _ in range(_LATENCY_BATCHES):
        for name, times in took.items():
            with TimedClient(side.hops[name].port) as client:
                client.seconds(mail)
                times.extend(client.seconds(mail) for _ in range(_LATENCY_BATCH))
    rows = [[name, f"{_ms(times):.3f}", f"{_p99_ms(times):.3f}"] for name, times in took.items()]
    side.report.table(
        "A transaction of 3.8 KB at C = 1, from MAIL to the answer after the dot",
        ["hop", "median, ms", "p99, ms"],
        rows,
    )
    ours = took[TRACKING]
    added = _ms(ours) - _ms(took[HAPROXY])
    side.results.hold("added latency over haproxy's, ms", [added], at_most=_ADDED_LATENCY_MS)
    side.results.hold("p99 over the median", [_p99_ms(ours) / _ms(ours)], at_most=_TAIL_BAR)


def _ms(times: Sequence[float]) -> float:
    return median(times) * 1000


def _p99_ms(times: Sequence[float]) -> float:
    return quantiles(times, n=100)[-1] * 1000


def measure_recipients(side: Side) -> None:
    """Copies/s with one, a hundred and a thousand recipients in a transaction."""
    rows = []
    for size in ("3.8 KB", "40 KB"):
        say(f"recipients, {size}")
        loads = {
            f"{count} recipients": side.load(TRACKING, size, 1, recipients=count, copies=count)
            for count in _RECIPIENTS
        }
        one, hundred, thousand = loads
        race = side.race(loads)
        for (name, load), count in zip(loads.items(), _RECIPIENTS, strict=True):
            rows.append(
                [
                    size,
                    name,
                    f"{count / race.seconds(name):,.0f}",
                    f"{median(load.cpu_seconds) / count * 1e6:,.0f}",
                ]
            )
        copies = [100 * took[one] / took[hundred] for took in race.rounds]
        side.results.hold(
            f"copies/s, 100 recipients over 100 transactions, {size}",
            copies,
            at_least=_COPIES_BAR,
        )
        costs = zip(loads[thousand].cpu_seconds, loads[hundred].cpu_seconds, strict=True)
        side.results.hold(
            f"CPU a copy, 1,000 recipients over 100, {size}",
            [many / 10 / few for many, few in costs],
            at_most=_FLAT_BAR,
        )
    side.report.table(
        "Several recipients in a transaction, C = 1",
        ["size", "", "copies/s", "CPU of the hop, µs a copy"],
        rows,
    )


def measure_big_mails(side: Side) -> None:
    """Fifty connections with 25 MB each, while another client sends small mails."""
    say(f"{_BIG_CONNECTIONS} connections with {_BIG_BYTES // 1_000_000} MB each")
    # A proxy of its own: what the others left in its memory is not counted.
    budget = f"max_bytes_in_flight = {_BIG_BUDGET_MIB * _MIB}"
    hop = side.bench.start_proxy("big", side.sink.port, tracking=True, settings=[budget])
    assert hop.pid is not None
    mail = mails.small()
    with TimedClient(hop.port) as client:
        idle = [client.seconds(mail) for _ in range(_LATENCY_BATCH * 10)]
        resident = process_tree.resident_bytes(hop.pid)
        process_tree.forget_peak(hop.pid)
        arguments = (str(hop.port), str(_BIG_CONNECTIONS), str(_BIG_BYTES))
        started = time.perf_counter()
        with subprocess.Popen(  # noqa: S603 - our own
            [sys.executable, "-m", "benches.hop.big_client", *arguments], stdout=subprocess.PIPE
        ) as big:
            busy = []
            while big.poll() is None:
                busy.append(client.seconds(mail))
            took = time.perf_counter() - started
            assert big.stdout is not None
            answered = json.loads(big.stdout.read())
    assert answered["sent"] == _BIG_CONNECTIONS, answered
    grown = process_tree.peak_resident_bytes(hop.pid) - resident
    left = process_tree.resident_bytes(hop.pid) - resident
    side.report.table(
        f"{_BIG_CONNECTIONS} connections with {_BIG_BYTES // 1_000_000} MB each, a budget of "
        f"{_BIG_BUDGET_MIB} MiB, and a client with small mails",
        ["", "measured"],
        [
            ["seconds for all", f"{took:.1f}"],
            ["answers 4xx, tried again", f"{answered['refused']}"],
            ["most that memory grew, MiB", f"{grown / _MIB:,.0f}"],
            ["left afterwards, MiB", f"{left / _MIB:,.0f}"],
            ["small mails meanwhile", f"{len(busy)}"],
            ["median of a small mail, idle, ms", f"{_ms(idle):.2f}"],
            ["median of a small mail, meanwhile, ms", f"{_ms(busy):.2f}"],
            ["p99 of a small mail, idle, ms", f"{_p99_ms(idle):.2f}"],
            ["p99 of a small mail, meanwhile, ms", f"{_p99_ms(busy):.2f}"],
        ],
    )
    side.results.hold("memory over the byte budget", [grown / (_BIG_BUDGET_MIB * _MIB)], at_most=1)
    side.results.hold(
        "p99 of small mails beside large ones, over idle",
        [_p99_ms(busy) / _p99_ms(idle)],
        at_most=_TAIL_UNDER_LOAD_BAR,
    )


def measure_memory(side: Side) -> None:
    """Resident memory after so many mails, over that after a tenth of them."""
    count = side.memory_mails
    say(f"memory after {count:,} mails")
    hop = side.bench.start_proxy("memory", side.sink.port, tracking=True)
    assert hop.pid is not None
    load = Load(
        source=side.bench.programs.source,
        sink=side.sink,
        hop=hop,
        mail=side.files["3.8 KB"],
        connections=50,
    )
    load.seconds(count // 10)
    first = process_tree.resident_bytes(hop.pid)
    load.seconds(count - count // 10)
    last = process_tree.resident_bytes(hop.pid)
    side.report.table(
        f"Resident memory over {count:,} mails",
        ["after", "MiB"],
        [[f"{count // 10:,}", f"{first / _MIB:.1f}"], [f"{count:,}", f"{last / _MIB:.1f}"]],
    )
    side.results.hold(f"memory after {count:,} mails", [last / first], at_most=_MEMORY_BAR)


def measure_growth(side: Side) -> None:
    """CPU a mail by size and by connections; no bar."""
    rows = []
    for kilobytes in _GROWING_KILOBYTES:
        say(f"{kilobytes} KB of HTML")
        name = f"{kilobytes} KB"
        file = write_mail(side.files["40 KB"].with_name(name), mails.sized(kilobytes))
        rows.append(_growth_row(replace(side, files={**side.files, name: file}), name, 10))
    for connections in _GROWING_CONNECTIONS:
        say(f"3.8 KB, {connections} connections")
        rows.append(_growth_row(side, "3.8 KB", connections))
    names = (HAPROXY, PASSING, TRACKING)
    head = ["size", "C", *(f"{name}, µs CPU a mail" for name in names)]
    side.report.table("How the cost of a mail grows", head, rows)


def _growth_row(side: Side, size: str, connections: int) -> list[str]:
    loads = {name: side.load(name, size, connections) for name in (HAPROXY, PASSING, TRACKING)}
    side.race(loads, rounds=3)
    cpu = (f"{median(load.cpu_seconds) * 1e6:,.0f}" for load in loads.values())
    return [size, str(connections), *cpu]


def measure_workers(side: Side) -> None:
    """Two workers beside one; no bar, as generator and sink need the same two cores."""
    two = side.bench.start_proxy(
        "two workers", side.sink.port, tracking=True, settings=["workers = 2"]
    )
    both = replace(side, hops={**side.hops, two.name: two})
    rows = []
    for size in ("3.8 KB", "40 KB"):
        say(f"workers, {size}")
        loads = {name: both.load(name, size, 50) for name in (HAPROXY, TRACKING, two.name)}
        race = both.race(loads)
        for name, load in loads.items():
            ratio = race.ratio(name, HAPROXY).median
            rows.append([size, *_speed_row(race, name, load, ratio)])
    head = ["size", "hop", "mails/s", "of haproxy's", "CPU of the hop, µs a mail"]
    side.report.table("Two workers, C = 50", head, rows)


def check_mails(side: Side) -> None:
    """Send one mail through each of our proxies to a sink that looks into it."""
    for name, arrives in ((TRACKING, "tracked"), (PASSING, "untouched")):
        with subprocess.Popen(
            [sys.executable, "-m", "benches.smtp.sink"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as sink:
            assert sink.stdin is not None
            assert sink.stdout is not None
            hop = side.bench.start_proxy(
                f"check-{arrives}", int(sink.stdout.readline()), tracking=name == TRACKING
            )
            with TimedClient(hop.port) as client:
                client.seconds(mails.small())
            sink.stdin.write("\n")
            sink.stdin.flush()
            seen = json.loads(sink.stdout.readline())
            assert (seen["messages"], seen[arrives]) == (1, 1), f"{name}: {seen}"
            sink.stdin.close()
