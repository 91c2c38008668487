"""Copies of one message: by themselves, in a batch, encoded, by two threads, and their memory.

`make bench` runs it and asserts the bars; what each subject is stands in docs/performance.md.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from benches.conftest import ROOT, Bar, Bars, Benchmark, Report
from benches.corpus import newsletter

from msys_track import KeyRing, TrackingOptions, rewrite
from msys_track.comparison.race import Called, Race, Subject
from msys_track.dispatch.copies import Copy
from msys_track.dispatch.dispatcher import Dispatcher

ROUNDS = 60
NOW = 1_795_510_800
RECIPIENT = "jo.reader@example.org"
BATCH = 100
THREADS = 2
# Threads that wake up share a core for some 3 ms, until the system gives each its own: what a
# server's threads never wait for. So theirs is this many times the share of a round.
SHARES = 10
MEGABYTES = 25
# Times the message's own size that a process may need for it, the message included.
MOST_MEMORY = 4
KEYS = KeyRing.temporary()
OPTIONS = TrackingOptions(
    open_tracking=True,
    click_tracking=True,
    open_tracking_scheme="https",
    click_tracking_scheme="https",
    tracking_domain="click.shop.example",
)

FIRST = "first recipient"
NEXT = "next recipient"
FIRST_BASE64 = "first recipient, base64"
NEXT_BASE64 = "next recipient, base64"
BATCH_KEPT = f"{BATCH} next recipients in one call, copies kept"
MEMCPY_KEPT = f"{BATCH} `bytes` copies, kept"
MEMCPY_SENT = f"{BATCH} `bytes` copies, let go"
IN_THREADS = f"first recipient, {THREADS} threads"

# Bytes of HTML a second, which a machine's memory has its part in.
NEXT_BYTES_PER_SECOND = 3.5e9
BATCH_BYTES_PER_SECOND = 5e9

BARS = (
    Bar(FIRST_BASE64, 0.556, FIRST),
    Bar(NEXT_BASE64, 0.556, NEXT),
    Bar(BATCH_KEPT, 0.25, MEMCPY_KEPT),
)


@dataclass(frozen=True, slots=True)
class InThreads:
    """A call that several threads make at the same time."""

    call: Callable[[], object]
    pool: ThreadPoolExecutor

    def seconds(self, times: int) -> float:
        """Run for long in all threads together; the seconds for `times` of these runs."""
        started = time.perf_counter()
        for done in [self.pool.submit(self._repeat, times * SHARES) for _ in range(THREADS)]:
            done.result()
        return (time.perf_counter() - started) / (SHARES * THREADS)

    def _repeat(self, times: int) -> None:
        for _ in range(times):
            self.call()


def opened_copy(message: bytes) -> tuple[Callable[[], Copy], Copy]:
    rewriter = Dispatcher(keys=KEYS, options=OPTIONS)
    opened = rewriter.open(message)
    return (lambda: rewriter.copy_for(RECIPIENT, opened, now=NOW)), rewriter.copy_for(
        RECIPIENT, opened, now=NOW
    )


def first(message: bytes) -> Callable[[], bytes]:
    return lambda: rewrite(message, recipient=RECIPIENT, keys=KEYS, options=OPTIONS, now=NOW)


def batches(message: bytes) -> dict[str, Subject]:
    """Render many copies by the engine in one call, and copy as many bytes."""
    rewriter = Dispatcher(keys=KEYS, options=OPTIONS)
    readers = [f"reader{number}@example.org" for number in range(BATCH)]
    sizes = [len(copy.message) for copy in rewriter.copies(message, readers, now=NOW)]
    decision = rewriter.decide(message, readers)
    size = memoryview(bytes(max(sizes)))

    def let_go() -> None:
        for _ in range(BATCH):
            bytes(size)

    return {
        BATCH_KEPT: Called(lambda: rewriter.render(decision, now=NOW)),
        MEMCPY_KEPT: Called(lambda: [bytes(size) for _ in range(BATCH)]),
        MEMCPY_SENT: Called(let_go),
    }


def test_copies_of_a_newsletter_of_80_kb(benchmark: Benchmark, report: Report, bars: Bars) -> None:
    body = newsletter.html(80)
    plain, encoded = newsletter.message(body, "8bit"), newsletter.message(body, "base64")
    (next_plain, copy), (next_encoded, other) = opened_copy(plain), opened_copy(encoded)
    links = newsletter.links(body)
    assert copy.wrapped_links == other.wrapped_links == links > 0
    subjects: dict[str, Subject] = {
        FIRST: Called(first(plain)),
        NEXT: Called(next_plain),
        FIRST_BASE64: Called(first(encoded)),
        NEXT_BASE64: Called(next_encoded),
        **batches(plain),
    }
    held = list(BARS)
    with ThreadPoolExecutor(THREADS) as pool:
        if (os.cpu_count() or 1) >= THREADS:
            subjects[IN_THREADS] = InThreads(first(plain), pool)
            held.append(Bar(IN_THREADS, 1.7, FIRST))
        race = Race(subjects=subjects)
        race.warm_up()
        benchmark.pedantic(race.round, rounds=ROUNDS)
    rows = []
    for name in subjects:
        each = race.seconds(name) / (BATCH if name.startswith(f"{BATCH} ") else 1)
        rows.append([name, f"{each * 1e6:,.1f}", f"{len(body) / each / 1e9:.2f}"])
    title = f"Copies of HTML of {len(body) / 1000:.0f} KB, {links} links"
    report.table(title, ["", "µs for each", "GB/s of HTML"], rows)
    bars.hold(race, held)
    for name, copies, speed in (
        (NEXT, 1, NEXT_BYTES_PER_SECOND),
        (BATCH_KEPT, BATCH, BATCH_BYTES_PER_SECOND),
    ):
        bars.at_most(name, race.seconds(name) * 1e6, copies * len(body) / speed * 1e6)


@pytest.mark.parametrize("encoding", ["8bit", "quoted-printable", "base64"])
def test_memory_for_a_message_of_25_mb(report: Report, encoding: str) -> None:
    process = subprocess.run(  # noqa: S603 - this module
        [sys.executable, "-m", "benches.test_copies", encoding],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    size, grown = map(int, process.stdout.split())
    times = grown / size
    report.table(
        f"Memory for a message of {size / 1e6:.0f} MB in {encoding}, one copy made",
        ["", "MB", "times the message"],
        [
            [
                "most that the process grew by, the message included",
                f"{grown / 1e6:.0f}",
                f"{times:.1f}",
            ]
        ],
    )
    assert times <= MOST_MEMORY


def _measure(encoding: newsletter.TransferEncoding) -> tuple[int, int]:
    html = newsletter.html(80)
    body = newsletter.encode_for_transfer(html, encoding)
    if encoding == "base64":  # in whole groups, so that the pieces are one text
        body = newsletter.encode_for_transfer(html[: len(html) // 57 * 57], encoding)
    head = newsletter.message(html, encoding).partition(b"\r\n\r\n")[0]
    before = _memory("VmRSS")
    message = b"%b\r\n\r\n" % head + body * (MEGABYTES * 1_000_000 // len(body))
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    rewrite(message, recipient=RECIPIENT, keys=KEYS, options=OPTIONS, now=NOW)
    return len(message), _memory("VmHWM") - before


def _memory(name: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


if __name__ == "__main__":
    sys.stdout.write("{} {}".format(*_measure(sys.argv[1])))  # type: ignore[arg-type]
