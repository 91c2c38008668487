"""What live numbers cost: the report's process while events arrive and people watch.

`make bench` runs it and asserts the bar: 10 % of a core at 1,000 events a second.
"""

import asyncio
import http.client
import multiprocessing
import re
import socket
import sys
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Final

import psutil
from benches.conftest import Bars, Report
from benches.events import make_lines
from tests.service.test_report import Report as RunningReport

from msys_track.sinks.delivery import EventBatch
from msys_track.sinks.store.sink import SqliteSink

SECONDS: Final = 20
STORED: Final = 200_000
BATCHES_A_SECOND: Final = 10
MAX_SHARE: Final = 0.10
ROUNDS: Final = ((0, 1), (1_000, 1), (1_000, 10), (1_000, 50), (5_000, 10))
"""Events a second, and who watches."""

_TIMESTAMP: Final = re.compile(rb'"timestamp":"\d+"')


def test_live_numbers_at_a_thousand_events_a_second(
    tmp_path: Path, report: Report, bars: Bars
) -> None:
    path = tmp_path / "events.sqlite"
    asyncio.run(fill(path, 1, STORED))
    rows, next_event = [], STORED + 1
    running = RunningReport(tmp_path).start()
    try:
        for rate, watchers in ROUNDS:
            share, told, counted = measure(running, path, next_event, rate, watchers)
            next_event += rate * (SECONDS + 5) + BATCHES_A_SECOND
            rows.append(
                [f"{rate:,}", f"{watchers}", f"{share:.1%}", f"{told:.2f}", f"{counted:,}"]
            )
            if rate == 1_000:
                bars.at_most(f"live at {rate}, {watchers} watch", share * 1e6, MAX_SHARE * 1e6)
                assert counted > 0
    finally:
        running.server.kill()
    head = ["events a second", "watch", "CPU of the report, of a core", "told a second", "counted"]
    report.table(f"Live numbers: {SECONDS} s each, {STORED:,} events before", head, rows)
    sys.stdout.write(f"{head}\n{rows}\n")


def measure(
    running: RunningReport, path: Path, first: int, rate: int, watchers: int
) -> tuple[float, float, int]:
    """Measure the share of a core, messages a second and watcher, and the last count of clicks."""
    worker = psutil.Process(running.server.event("worker.ready")["pid"])
    writer = multiprocessing.get_context("spawn").Process(
        target=write_steadily, args=(path, first, rate, SECONDS + 5)
    )
    with ExitStack() as ends:
        running.cookies.clear()
        assert running.log_in() == 303
        streams = [ends.enter_context(closing(open_stream(running))) for _ in range(watchers)]
        if rate:
            writer.start()
            ends.callback(writer.join)
        time.sleep(3)  # until it writes, and what logging in took is over
        for each in streams:
            each.setblocking(False)  # noqa: FBT003 - the standard library's
            drain(each)
        began, before = time.monotonic(), sum(worker.cpu_times()[:2])
        time.sleep(SECONDS)
        cpu, wall = sum(worker.cpu_times()[:2]) - before, time.monotonic() - began
        said = [drain(each) for each in streams]
    told = sum(each.count(b"data: ") for each in said) / wall / watchers
    counts = re.findall(rb'"click.all": (\d+)', said[0])
    return cpu / wall, told, int(counts[-1])


def open_stream(running: RunningReport) -> socket.socket:
    """Ask for the stream, and return its socket."""
    client = http.client.HTTPConnection("127.0.0.1", running.port, timeout=20)
    cookie = f"msys-track={running.cookies['msys-track']}"
    client.request("GET", "/live", headers={"Cookie": cookie})
    return client.sock


def drain(stream: socket.socket) -> bytes:
    """Read all that has come."""
    said = b""
    while True:
        try:
            data = stream.recv(1 << 16)
        except BlockingIOError:
            return said
        assert data
        said += data


def write_steadily(path: Path, first: int, rate: int, seconds: int) -> None:
    """Store so many events a second, as they come from the log: some ten batches a second."""
    asyncio.run(_write_steadily(path, first, rate // BATCHES_A_SECOND, seconds))


async def _write_steadily(path: Path, first: int, count: int, seconds: int) -> None:
    async with SqliteSink(path) as sink:
        began = time.monotonic()
        for number in range(seconds * BATCHES_A_SECOND):
            now = b'"timestamp":"%d"' % time.time()
            start = first + number * count
            lines = [_TIMESTAMP.sub(now, each) for each in make_lines(start, count)]
            await sink.write(EventBatch(tuple(lines), start))
            pause = began + (number + 1) / BATCHES_A_SECOND - time.monotonic()
            await asyncio.sleep(max(0.0, pause))


async def fill(path: Path, first: int, count: int) -> None:
    async with SqliteSink(path) as sink:
        for start in range(first, first + count, 10_000):
            await sink.write(EventBatch(tuple(make_lines(start, 10_000)), start))
