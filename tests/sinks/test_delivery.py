"""Events reach a sink in order, at least once each, whatever becomes of sink and log."""

import asyncio
from pathlib import Path

import pytest

from msys_track.errors import SinkError
from msys_track.eventlog.position import Position, PositionFile
from msys_track.eventlog.segments import segment_path
from msys_track.eventlog.writer import LogWriter
from msys_track.metrics import Counters
from msys_track.sinks.delivery import Delivery, EventBatch

EVENTS = [b'{"msys":{"track_event":{"n":%d}}}' % number for number in range(4)]


class ListSink:
    """Keeps events in memory; is down for so many writes."""

    name = "list.test"
    max_events = 2
    max_age_seconds = 0.01

    def __init__(self, failures: int = 0) -> None:
        self.lines: list[bytes] = []
        self._failures = failures

    async def open(self) -> None:
        """Nothing."""

    async def write(self, batch: EventBatch) -> None:
        if self._failures:
            self._failures -= 1
            raise SinkError("down")
        self.lines += batch.lines

    async def close(self) -> None:
        """Nothing."""


def deliver(folder: Path, sink: ListSink) -> Counters:
    """Deliver all that there is."""
    counters = Counters()
    position = PositionFile(folder / "positions" / "list.test.json")
    delivery = Delivery(folder / "events", position, sink, counters)
    delivery.finish()
    asyncio.run(delivery.run())
    return counters


def write_events(folder: Path) -> None:
    """A segment for each event."""
    with LogWriter(folder / "events", segment_bytes=1) as writer:
        for event in EVENTS:
            writer.append([event])


def test_a_sink_that_was_down_has_each_event_in_order(tmp_path: Path) -> None:
    write_events(tmp_path)
    sink = ListSink(failures=2)
    counters = deliver(tmp_path, sink)
    assert sink.lines == EVENTS
    assert counters.snapshot()["sinks.failed.list.test"] == 2


def test_a_delivery_goes_on_where_the_last_one_ended(tmp_path: Path) -> None:
    write_events(tmp_path)
    deliver(tmp_path, ListSink())
    with LogWriter(tmp_path / "events") as writer:
        writer.append([b"new"])
    sink = ListSink()
    deliver(tmp_path, sink)
    assert sink.lines == [b"new"]


def test_events_that_were_deleted_are_told_and_do_not_hold_up_later_ones(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_events(tmp_path)
    PositionFile(tmp_path / "positions" / "list.test.json").save(Position(2, 0, 2))
    for number in (2, 3):
        segment_path(tmp_path / "events", number).unlink()
    sink = ListSink()
    counters = deliver(tmp_path, sink)
    assert sink.lines == EVENTS[3:]
    assert counters.snapshot()["sinks.gone.list.test"] == 2
    (record,) = [each for each in caplog.records if "events_gone" in each.message]
    assert record.levelname == "CRITICAL"
