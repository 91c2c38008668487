"""How fast a webhook drains the log: from its files to a receiver on loopback, positions kept."""

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import pytest
from benches.conftest import Bars, Report
from tests.sinks.webhook.conftest import make_delivery, make_event, make_settings, write_log

EVENTS = 200_000
MOST_MICROSECONDS = 50.0
"""For an event: 20,000 a second."""


@pytest.mark.parametrize("types", [(), ("click", "open")], ids=["all types", "two types"])
def test_webhook(tmp_path: Path, report: Report, bars: Bars, types: tuple[str, ...]) -> None:
    for start in range(0, EVENTS, 1_000):
        write_log(tmp_path, [make_event(number) for number in range(start, start + 1_000)])
    command = (sys.executable, "-m", "benches.webhook_receiver", str(EVENTS))
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as receiver:  # noqa: S603
        assert receiver.stdout is not None
        port = int(receiver.stdout.readline())
        settings = make_settings(f"http://127.0.0.1:{port}/", types=types)
        delivery = make_delivery(tmp_path, settings)
        delivery.finish()
        started_at, cpu = time.perf_counter(), time.process_time()
        asyncio.run(delivery.run())
        seconds, cpu = time.perf_counter() - started_at, time.process_time() - cpu
        assert receiver.stdout.readline() == f"done {EVENTS}\n"
    row = [f"{EVENTS / seconds:,.0f}", f"{cpu / EVENTS * 1e6:.1f}", f"{settings.max_events:,}"]
    report.table(
        "Webhook to a receiver on loopback",
        ["", "events/s", "µs of CPU an event", "events a batch"],
        [["all types" if not types else "two types", *row]],
    )
    bars.at_most("an event to a webhook", seconds / EVENTS * 1e6, MOST_MICROSECONDS)
