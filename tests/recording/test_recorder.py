"""Recording: every hit becomes an event once, in every sink."""

import asyncio
import json
from pathlib import Path
from typing import Any

from msys_track.eventlog.reader import LogReader
from msys_track.eventlog.settings import EventsSettings
from msys_track.eventlog.writer import LogWriter
from msys_track.metrics import Counters
from msys_track.recording.recorder import run_recorder
from msys_track.sinks.delivery import EventBatch
from msys_track.tracking.classify.settings import ClassificationSettings
from tests.recording.hits import make_hit_line


class ListSink:
    name = "list"
    max_events = 100
    max_age_seconds = 0.01

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    async def open(self) -> None: ...
    async def write(self, batch: EventBatch) -> None:
        self.lines += batch.lines

    async def close(self) -> None: ...


def record_all(folder: Path, sink: ListSink, **settings: Any) -> Counters:
    counters = Counters()

    async def run() -> None:
        stop = asyncio.Event()
        stop_soon = asyncio.get_running_loop().call_later(0.3, stop.set)
        await run_recorder(
            folder,
            [sink],
            events=EventsSettings(),
            classification=ClassificationSettings(**settings),
            also_click=False,
            counters=counters,
            stop=stop,
        )
        stop_soon.cancel()

    asyncio.run(run())
    return counters


def test_hits_of_every_log_reach_the_sink_as_events(tmp_path: Path) -> None:
    for number in range(2):
        with LogWriter(tmp_path / "hits" / str(number)) as writer:
            writer.append(
                [
                    make_hit_line(at=1_000 * each + number, message_id=f"{number}{each}")
                    for each in range(1, 4)
                ]
            )
    sink = ListSink()
    record_all(tmp_path, sink)
    events = [json.loads(line)["msys"]["track_event"] for line in sink.lines]
    assert len({each["event_id"] for each in events}) == 6
    assert [each["timestamp"] for each in events] == ["1", "1", "2", "2", "3", "3"]
