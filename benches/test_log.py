"""The log of hits: how fast lines become durable, and what a kill takes.

`make bench` runs it and asserts the bar. The disk is that of the temporary folder: a line is
counted when its `fdatasync` returned.
"""

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from threading import Event, Thread

from benches.conftest import Bars, Report
from benches.hits import CLAIMS, TIME, put_hits

from msys_track.eventlog.hits import HitLog, PlainHitLog, open_hit_log
from msys_track.eventlog.lines import write_hit
from msys_track.eventlog.reader import LogReader
from msys_track.eventlog.settings import EventsSettings
from msys_track.eventlog.writer import LogWriter

ROUNDS = 5
LINES = 400_000
MAX_MICROSECONDS = 2.0  # 500,000 lines a second
KILLS = 12
CHUNK_LINES = 6_000

LINE = write_hit(CLAIMS, 1_700_000_000_123, "192.0.2.7", "Mozilla/5.0", "de", None)


def test_lines_a_second(tmp_path: Path, report: Report, bars: Bars) -> None:
    ways: dict[str, Callable[[Path], float]] = {
        "the core's hit log": lambda folder: write_hits(open_hit_log(folder, SETTINGS), LINES),
        "the hit log in Python": lambda folder: write_hits(
            PlainHitLog(folder / "hits", SETTINGS), LINES // 10
        ),
        f"Python's writer, {CHUNK_LINES} ready lines a batch": write_ready,
        "bare writes of the same size, a sync each": write_bare,
    }
    rows = []
    for name, way in ways.items():
        taken = []
        for _ in range(ROUNDS):
            folder = tmp_path / "log"
            taken.append(way(folder))
            read = read_lines(folder)
            shutil.rmtree(folder)
        rows.append([name, f"{1e6 / median(taken):,.0f}", f"{median(taken):.2f} µs", read])
        if len(rows) == 1:
            best = median(taken)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    report.table(
        f"Log: lines of {len(LINE)} bytes and more, durable; at most {memory} MB in memory",
        ["", "lines a second", "a line", "read, lines a second"],
        rows,
    )
    bars.at_most("a hit put and durable", best, MAX_MICROSECONDS)


SETTINGS = EventsSettings(max_queued=1_000_000)


def write_hits(log: HitLog, count: int) -> float:
    """Return the microseconds that a line takes."""
    started = time.perf_counter()
    put_hits(log, count)
    assert log.flush(120)
    taken = time.perf_counter() - started
    assert log.close(10) == 0
    return taken / count * 1e6


def write_ready(folder: Path) -> float:
    lines = [LINE] * CHUNK_LINES
    with LogWriter(folder / "hits" / "0") as writer:
        started = time.perf_counter()
        for _ in range(LINES // CHUNK_LINES):
            writer.append(lines)
        return (time.perf_counter() - started) / (LINES // CHUNK_LINES * CHUNK_LINES) * 1e6


def write_bare(folder: Path) -> float:
    folder.mkdir()
    lines = (LINE + b"\n") * CHUNK_LINES
    file = os.open(folder / "x", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    started = time.perf_counter()
    for _ in range(LINES // CHUNK_LINES):
        os.write(file, lines)
        os.fdatasync(file)
    taken = time.perf_counter() - started
    os.close(file)
    return taken / (LINES // CHUNK_LINES * CHUNK_LINES) * 1e6


def read_lines(folder: Path) -> str:
    """Return how many lines a second a follower reads."""
    reader, count, started = LogReader(folder / "hits" / "0"), 0, time.perf_counter()
    while batch := reader.read():
        count += len(batch.lines)
    taken = time.perf_counter() - started
    reader.close()
    return f"{count / taken:,.0f}" if count else ""


def test_what_a_kill_takes(tmp_path: Path, report: Report) -> None:
    rows = []
    for rate in (1_000, 40_000):
        for is_loaded in (False, True):
            with ExitStack() as stack:
                if is_loaded:
                    stack.enter_context(load(tmp_path / "load"))
                ages = [oldest_lost(tmp_path / "log", rate, 0.8 + 0.05 * n) for n in range(KILLS)]
            loaded = "with both cores and the disk loaded" if is_loaded else "alone"
            name = f"{rate:,} hits a second, {loaded}"
            rows.append([name, f"{median(ages):.3f} s", f"{max(ages):.3f} s"])
    report.table(
        f"Log: the age of the oldest hit that a kill -9 took, {KILLS} kills each",
        ["", "median", "greatest"],
        rows,
    )


def oldest_lost(folder: Path, rate: int, seconds: float) -> float:
    """Kill a process that puts hits; return how old the oldest was that is not in its log."""
    folder.mkdir()
    command = [sys.executable, "-m", "benches.hits", str(folder), str(rate)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)  # noqa: S603 - our own
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    killed = time.monotonic()
    process.wait()
    process.stdout.close()
    reader, count = LogReader(folder / "hits" / "0"), 0
    while batch := reader.read(max_lines=10_000):
        count += len(batch.lines)
    reader.close()
    (put,) = TIME.unpack_from((folder / "times").read_bytes(), count * TIME.size)
    shutil.rmtree(folder)
    return killed - put if put else 0.0


@contextmanager
def load(folder: Path) -> Iterator[None]:
    """Keep the cores busy, and the disk with writes that are synced."""
    folder.mkdir()
    spin = "while True: pass"
    spinning = [
        subprocess.Popen([sys.executable, "-c", spin])  # noqa: S603 - our own
        for _ in range(os.cpu_count() or 1)
    ]
    ended = Event()

    def write() -> None:
        with (folder / "load").open("wb") as file:
            while not ended.is_set():
                file.seek(0)
                file.write(b"x" * (8 << 20))
                file.flush()
                os.fsync(file.fileno())

    writing = Thread(target=write)
    writing.start()
    try:
        yield
    finally:
        ended.set()
        writing.join()
        for process in spinning:
            process.kill()
            process.wait()
        shutil.rmtree(folder)
