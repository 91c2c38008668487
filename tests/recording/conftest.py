"""Recording in tests: real folders, a sink that keeps what it gets."""

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.event_schema import find_faults
from tests.thoroughness import some_of

from msys_track.eventlog.reader import LogReader
from msys_track.eventlog.settings import EventsSettings
from msys_track.eventlog.writer import LogWriter
from msys_track.metrics import Counters
from msys_track.recording.recorder import run_recorder
from msys_track.sinks.delivery import Sink
from msys_track.tracking.classify.settings import ClassificationSettings

Fields = dict[str, Any]
_JUDGED = 200


def write_hits(folder: Path, lines: Sequence[bytes], number: int = 0) -> None:
    """Append to a hit log, as a worker does."""
    with LogWriter(folder / "hits" / str(number)) as writer:
        writer.append(lines)


def read_events(folder: Path) -> list[Fields]:
    """Return the fields of all events in a log, which are as the schema has them."""
    reader = LogReader(folder / "events")
    lines: list[bytes] = []
    while batch := reader.read():
        lines += batch.lines
    reader.close()
    events = [json.loads(line) for line in lines]
    # Judging an event takes longer than recording it; of many that are alike some are judged.
    judged = some_of(events, max(1, len(events) // _JUDGED))
    assert [fault for event in judged for fault in find_faults(event)] == []
    return [next(iter(event["msys"].values()), {}) for event in events]


def record(
    folder: Path,
    sinks: Sequence[Sink] = (),
    *,
    also_click: bool = False,
    counters: Counters | None = None,
    **settings: Any,
) -> list[Fields]:
    """Record what is in the hit logs of a folder, and return all events."""

    async def run() -> None:
        stop = asyncio.Event()
        stop.set()
        await run_recorder(
            folder,
            sinks,
            events=EventsSettings(close_timeout_seconds=60),  # a loaded machine takes long
            classification=ClassificationSettings(**settings),
            also_click=also_click,
            counters=counters or Counters(),
            stop=stop,
        )

    asyncio.run(run())
    return read_events(folder)


@contextmanager
def unwritable(folder: Path) -> Iterator[None]:
    """Put a file in the place of a folder meanwhile."""
    aside = folder.with_name("aside")
    folder.rename(aside)
    folder.touch()
    try:
        yield
    finally:
        folder.unlink()
        aside.rename(folder)


@pytest.fixture
def recorded(tmp_path: Path) -> Callable[..., list[Fields]]:
    """Write hits, record them, and return the events of these and all earlier ones."""

    def write_and_record(*lines: bytes, **settings: Any) -> list[Fields]:
        write_hits(tmp_path, lines)
        return record(tmp_path, **settings)

    return write_and_record
