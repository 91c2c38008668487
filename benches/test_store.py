"""The store of events: how fast it is filled, and read once it is large.

`--events 10000000` makes it as large as the figures of docs/performance.md: 14 GB, half an hour.
"""

import asyncio
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median

import orjson
from benches.conftest import Bar, Bars, Benchmark, Report
from benches.events import BEGIN, MAILS_A_DAY, make_lines

from msys_track.comparison.race import Race
from msys_track.report.period import Period
from msys_track.report.queries import (
    Dimension,
    read_campaigns,
    read_groups,
    read_links,
    read_series,
    read_totals,
)
from msys_track.report.searching import search
from msys_track.report.timelines import read_message, read_recipient
from msys_track.sinks.delivery import EventBatch
from msys_track.sinks.store.reading import Filter, Store, open_store
from msys_track.sinks.store.sink import SqliteSink
from msys_track.sinks.store.stats import read_stats

BATCH = 10_000
ROUNDS = 12
OURS = "msys-track's store"
BARE = "bare inserts of id and JSON"
ENOUGH_A_SECOND = 50_000
ENOUGH_MICROSECONDS = 200_000


class Ours:
    """The sink, which is given one batch after another."""

    def __init__(self, path: Path, lines: Iterator[bytes]) -> None:
        self._sink = SqliteSink(path)
        self._lines = lines

    def seconds(self, times: int) -> float:
        batches = [tuple(islice(self._lines, BATCH)) for _ in range(times)]

        async def write() -> float:
            started = time.perf_counter()
            for each in batches:
                await self._sink.write(EventBatch(each, 1))
            return time.perf_counter() - started

        return asyncio.run(write())


class Bare:
    """What SQLite can do at most: one table, one index, rows that are ready."""

    def __init__(self, path: Path, lines: Iterator[bytes]) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._lines = lines
        for statement in (
            "PRAGMA journal_mode = WAL",
            "PRAGMA synchronous = FULL",
            "CREATE TABLE events (sequence INTEGER PRIMARY KEY, event_id TEXT UNIQUE, event TEXT)",
        ):
            self._connection.execute(statement)

    def seconds(self, times: int) -> float:
        took = 0.0
        for _ in range(times):
            lines = islice(self._lines, BATCH)
            rows = [
                (orjson.loads(each)["msys"]["track_event"]["event_id"], each.decode())
                for each in lines
            ]
            started = time.perf_counter()
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany(
                "INSERT INTO events (event_id, event) VALUES (?, ?)", rows
            )
            self._connection.execute("COMMIT")
            took += time.perf_counter() - started
        return took


def test_writing(benchmark: Benchmark, report: Report, bars: Bars, tmp_path: Path) -> None:
    ours = Ours(tmp_path / "ours.sqlite", make_lines(0, 10_000_000))
    bare = Bare(tmp_path / "bare.sqlite", make_lines(0, 10_000_000))
    race = Race(subjects={OURS: ours, BARE: bare}, times={OURS: 1, BARE: 1})
    benchmark.pedantic(race.round, rounds=ROUNDS)
    rate = BATCH / race.seconds(OURS)
    rows = [
        [name, f"{BATCH / race.seconds(name):,.0f}", f"{race.ratio(name, BARE).median:.2f}"]
        for name in race.subjects
    ]
    report.table("Writing events, a batch of 10,000 at a time", ["", "events/s", "times"], rows)
    if rate < ENOUGH_A_SECOND:
        bars.hold(race, [Bar(OURS, 0.5, BARE)])


def test_a_large_store(
    benchmark: Benchmark, report: Report, bars: Bars, store_path: Path, events: int
) -> None:
    measure(benchmark, report, bars, store_path, events)


def measure(benchmark: Benchmark, report: Report, bars: Bars, path: Path, events: int) -> None:
    rates: list[float] = []
    benchmark.pedantic(lambda: fill(path, events, rates), rounds=1)
    tenth = max(1, len(rates) // 10)
    empty, full = median(rates[:tenth]), median(rates[-tenth:])
    with open_store(path) as store:
        took, asked = time_store(store), time_report(store)
    lines = list_all(path)
    rows = [
        ["written a second into an empty store", f"{empty:,.0f}"],
        ["written a second at the end", f"{full:,.0f}"],
        ["bytes of the file for each event", f"{path.stat().st_size / events:,.0f}"],
        *([what, f"{seconds * 1000:,.1f} ms"] for what, seconds in took.items()),
        ["`events list`, lines a second", f"{lines:,.0f}"],
    ]
    report.table(f"A store of {events:,} events", ["", ""], rows)
    report.table(
        f"What pages of a report ask of a store of {events:,} events",
        ["", ""],
        [[what, f"{seconds * 1000:,.1f} ms"] for what, seconds in asked.items()],
    )
    for what in ("stats of a campaign", "a recipient's history"):
        bars.at_most(what, took[what] * 1e6, ENOUGH_MICROSECONDS)
    for what, seconds in asked.items():
        bars.at_most(what, seconds * 1e6, ENOUGH_MICROSECONDS)
    bars.at_most("writing at the end, over an empty store's time", empty / full, 1 / 0.8, "times")
    bars.at_most("a line of `events list`", 1e6 / lines, 1e6 / 300_000)


def time_store(store: Store) -> dict[str, float]:
    newest = store.newest(Filter(), 1)[0][1]
    ((_, fields),) = orjson.loads(newest)["msys"].items()
    campaign, recipient = fields["campaign_id"], fields["rcpt_to"]
    hour = Filter(since=BEGIN + 3_600, until=BEGIN + 3_600 + MAILS_A_DAY // 90)
    return {
        "stats of a campaign": clock(lambda: read_stats(store, campaign=campaign)),
        "stats of all campaigns": clock(lambda: read_stats(store)),
        "a recipient's history": clock(lambda: list(store.pages(Filter(recipient=recipient)))),
        "a message's history": clock(
            lambda: list(store.pages(Filter(message=fields["message_id"])))
        ),
        "an hour of events": clock(lambda: list(store.pages(hour))),
    }


def time_report(store: Store) -> dict[str, float]:
    newest = store.newest(Filter(), 1)[0][1]
    ((_, fields),) = orjson.loads(newest)["msys"].items()
    last = datetime.fromtimestamp(int(fields["timestamp"]), UTC).date()
    month, day = Period.of_days(31, last), Period.of_days(1, last)
    campaign = read_campaigns(store, month)[0].key
    assert isinstance(campaign, str)
    return {
        "totals of a month": clock(lambda: read_totals(store, month)),
        "a month by day": clock(lambda: read_series(store, month)),
        "a day by hour": clock(lambda: read_series(store, day)),
        "campaigns of a month": clock(lambda: read_campaigns(store, month)),
        **{
            f"a month by {each}": clock(partial(read_groups, store, month, each))
            for each in (Dimension.TAG, Dimension.DOMAIN, Dimension.CLIENT, Dimension.COUNTRY)
        },
        "a campaign's totals": clock(lambda: read_totals(store, month, campaign)),
        "a campaign by domain": clock(
            lambda: read_groups(store, month, Dimension.DOMAIN, campaign)
        ),
        "a campaign's links": clock(lambda: read_links(store, campaign)),
        "a message's timeline": clock(lambda: read_message(store, fields["message_id"])),
        "a recipient's timeline": clock(lambda: read_recipient(store, fields["rcpt_to"])),
        "search for an address": clock(lambda: search(store, fields["rcpt_to"])),
        "search for how one begins": clock(lambda: search(store, fields["rcpt_to"][:8])),
        "search for a campaign": clock(lambda: search(store, "campaign 1")),
    }


def fill(path: Path, events: int, rates: list[float]) -> None:
    """Fill a store; note the rate of each batch."""
    ours = Ours(path, make_lines(0, events))
    for _ in range(events // BATCH):
        rates.append(BATCH / ours.seconds(1))  # noqa: PERF401 - what was done shows in a failure


def clock(call: Callable[[], object]) -> float:
    times = []
    for _ in range(5):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return median(times)


def list_all(path: Path) -> float:
    """Run `events list` as people do; return lines a second, without the start of Python."""
    script = Path(sys.executable).with_name("msys-track")
    command = [str(script), "events", "list", "--store", str(path)]
    took, lines = [], 0
    for more in (["--until", "2000-01-01"], []):
        started = time.perf_counter()
        with subprocess.Popen([*command, *more], stdout=subprocess.PIPE) as process:  # noqa: S603
            assert process.stdout is not None
            while chunk := process.stdout.read(1 << 20):
                lines += chunk.count(b"\n")
        took.append(time.perf_counter() - started)
    return lines / (took[1] - took[0])
