"""Both hit logs by their names, and what they wrote."""

from collections.abc import Callable, Mapping
from pathlib import Path

from msys_track.eventlog.hits import HitLog, PlainHitLog, open_hit_log
from msys_track.eventlog.reader import LogReader
from msys_track.eventlog.settings import EventsSettings


def open_plain(folder: Path, settings: EventsSettings) -> HitLog:
    return PlainHitLog(folder / "hits", settings)


OPENERS: Mapping[str, Callable[[Path, EventsSettings], HitLog]] = {
    "core": open_hit_log,
    "plain": open_plain,
}


def read_hits(folder: Path, number: int = 0) -> list[bytes]:
    """All lines of one hit log; each follows the one before it."""
    reader, lines = LogReader(folder / "hits" / str(number)), list[bytes]()
    while batch := reader.read():
        assert not lines or batch.first_sequence == len(lines) + 1
        lines += batch.lines
    reader.close()
    return lines
