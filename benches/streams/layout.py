"""A layout of several machines on this one: trackers' logs, a topic, consumers, their stores.

Each tracker is a process that delivers a full log to the topic, as a recorder does. Each consumer
is `msys-track events consume` with a store of its own; all are in one group. What is counted in
the stores must be every event once.
"""

import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benches.streams.events import make_events, write_log

_TRACKER: Final = """
import sys
from pathlib import Path
from benches.streams.layout import run_tracker
run_tracker(Path(sys.argv[1]), sys.argv[2])
"""
_CONSUMER: Final = "from msys_track.cli import main; main()"
_PATIENCE_SECONDS: Final = 600.0
_LOOK_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a layout did.

    Attributes:
        events: All that the trackers had logged.
        stored: Those in the stores, each counted once.
        shares: Of the stores, in events.
        sending_seconds: Until the topic had all.
        storing_seconds: Until the stores had all; both begin together.
    """

    events: int
    stored: int
    shares: tuple[int, ...]
    sending_seconds: float
    storing_seconds: float


def run_tracker(folder: Path, servers: str) -> None:
    """Deliver one tracker's log to the topic, in a process of its own."""
    import asyncio  # noqa: PLC0415 - this is another process

    from benches.streams.sinks import make_kafka_sink  # noqa: PLC0415

    from msys_track.eventlog.position import PositionFile  # noqa: PLC0415
    from msys_track.metrics import Counters  # noqa: PLC0415
    from msys_track.sinks.delivery import Delivery  # noqa: PLC0415

    sink = make_kafka_sink(folder, servers, "msys-track-events")
    positions = PositionFile(folder / "positions" / "kafka.json")
    delivery = Delivery(folder / "events", positions, sink, Counters())
    delivery.finish()
    asyncio.run(delivery.run())


def run_layout(folder: Path, servers: str, trackers: int, consumers: int, each: int) -> Outcome:
    """Run a layout to its end.

    Args:
        folder: For logs and stores.
        servers: Of the broker.
        trackers: How many there are.
        consumers: How many there are.
        each: Events of a tracker.
    """
    homes = [folder / f"tracker-{number}" for number in range(trackers)]
    for number, home in enumerate(homes):
        write_log(home, make_events(number, each))
    stores = [folder / f"store-{number}.sqlite" for number in range(consumers)]
    configuration = folder / "consumer.toml"
    configuration.write_text(f'[kafka.main]\nservers = ["{servers}"]\n', encoding="utf-8")
    reading = [_start_consumer(configuration, store) for store in stores]
    try:
        for process in reading:
            assert process.stdout is not None
            process.stdout.readline()  # it says that it reads
        begin = time.perf_counter()
        sending = [_start(_TRACKER, str(home), servers) for home in homes]
        for process in sending:
            assert process.wait(_PATIENCE_SECONDS) == 0
        sent_at = time.perf_counter()
        wanted = trackers * each
        while sum(map(count_events, stores)) < wanted:
            assert time.perf_counter() < begin + _PATIENCE_SECONDS
            time.sleep(_LOOK_SECONDS)  # counting costs the stores something
        stored_at = time.perf_counter()
    finally:
        for process in reading:
            process.terminate()
            process.wait()
    shares = tuple(map(count_events, stores))
    return Outcome(
        events=wanted,
        stored=sum(shares),
        shares=shares,
        sending_seconds=sent_at - begin,
        storing_seconds=stored_at - begin,
    )


def count_events(store: Path) -> int:
    """Count the events in a store; 0 before there is one."""
    if not store.exists():
        return 0
    with closing(sqlite3.connect(store)) as connection:
        try:
            return int(connection.execute("SELECT count(*) FROM events").fetchone()[0])
        except sqlite3.OperationalError:
            return 0


def _start_consumer(configuration: Path, store: Path) -> subprocess.Popen[bytes]:
    words = ("events", "consume", "main", "--config", str(configuration), "--store", str(store))
    return _start(_CONSUMER, *words)


def _start(code: str, *words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - ours
        [sys.executable, "-c", code, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
