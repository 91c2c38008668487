"""Reads the hit logs of all writing processes as one stream.

Each process has a log of its own, so that none waits for another one. Here their lines come
together again, about in the order in which they were written.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from msys_track.errors import SinkError
from msys_track.eventlog.position import Position
from msys_track.eventlog.reader import Batch, LinesGoneError, LogReader
from msys_track.eventlog.retention import remove_segments
from msys_track.eventlog.segments import list_segments, segment_path
from msys_track.logs import event_logger

log = event_logger(__name__)


class Hit(NamedTuple):
    """A line of a hit log.

    Attributes:
        line: As it stands there.
        members: What it says; empty where it is no JSON object.
    """

    line: bytes
    members: Mapping[str, Any]


class HitReader:
    """Follows every hit log below a folder, those of later processes included.

    Attributes:
        lost: How many lines were deleted before they were read.
    """

    def __init__(self, folder: Path, positions: Mapping[str, Position]) -> None:
        """Go on at positions by the names of the logs; new ones are read from their start."""
        self.lost = 0
        self._folder = folder
        self._positions = dict(positions)
        self._readers: dict[str, LogReader] = {}
        self._errors: dict[str, str] = {}

    @property
    def positions(self) -> Mapping[str, Position]:
        """Where each log is read next, by its name."""
        return self._positions | {name: each.position for name, each in self._readers.items()}

    @property
    def has_errors(self) -> bool:
        """Whether a log could not be read the last time."""
        return bool(self._errors)

    def read(self, max_lines: int) -> list[Hit]:
        """Return what is new, at most so many lines of each log.

        A log that can't be read is left for later, and does not hold up the others.

        Raises:
            SinkError: the folder of the logs can't be read.
        """
        found: list[list[tuple[int, Hit]]] = []
        for name, reader in self._find_readers():
            try:
                batch = self._read_log(name, reader, max_lines)
            except SinkError as error:
                if self._errors.get(name) != str(error):
                    log.error("hits.not_read", log=name, error=str(error))  # noqa: TRY400
                self._errors[name] = str(error)
                continue
            self._errors.pop(name, None)
            if batch is not None:
                found.append(list(_parse(batch.lines)))
        if len(found) == 1:
            return [hit for _, hit in found[0]]
        # Stable, so each log keeps its order.
        merged = sorted((each for one in found for each in one), key=lambda each: each[0])
        return [hit for _, hit in merged]

    def _read_log(self, name: str, reader: LogReader, max_lines: int) -> Batch | None:
        try:
            return reader.read(max_lines=max_lines)
        except LinesGoneError as error:
            # Somebody deleted them; what came later is there.
            lines = reader.skip_gone()
            self.lost += lines
            log.critical("hits.gone", log=name, lines=lines, error=str(error))
            return reader.read(max_lines=max_lines)

    def count_bytes_left(self) -> int:
        """Count the bytes that are logged, but not read yet."""
        left = 0
        for name, position in self.positions.items():
            left += count_bytes_behind(self._folder / name, position)
        return left

    def remove_read(self, positions: Mapping[str, Position]) -> None:
        """Remove segments that are behind positions which survive a crash."""
        for name, position in positions.items():
            try:
                remove_segments(
                    self._folder / name, position.sequence, written_before=float("inf")
                )
            except OSError as error:
                log.warning("hits.not_removed", log=name, error=str(error))

    def close(self) -> None:
        """Close the files."""
        for reader in self._readers.values():
            reader.close()

    def _find_readers(self) -> Iterator[tuple[str, LogReader]]:
        try:
            names = sorted(each.name for each in self._folder.iterdir())
        except FileNotFoundError:
            return
        except OSError as error:
            raise SinkError(f"{self._folder}: can't be read: {error.strerror}") from error
        for name in names:
            if name not in self._readers and name.isdecimal():
                self._readers[name] = LogReader(self._folder / name, self._positions.get(name))
        yield from self._readers.items()


def count_bytes_behind(log: Path, position: Position) -> int:
    """Count the bytes of one log that are not read yet at a position; it may be in use."""
    left = 0
    for segment in list_segments(log):
        if segment < position.segment:
            continue
        try:
            size = segment_path(log, segment).stat().st_size
        except FileNotFoundError:  # it was recorded, and removed
            continue
        left += max(0, size - (position.offset if segment == position.segment else 0))
    return left


def _parse(lines: tuple[bytes, ...]) -> Iterator[tuple[int, Hit]]:
    """Yield each line behind the time that it is sorted by, which never goes back in one log."""
    latest = 0
    for line in lines:
        try:
            members = orjson.loads(line)
        except ValueError:
            members = {}
        if not isinstance(members, dict):
            members = {}
        if isinstance(at := members.get("at"), int):
            latest = max(latest, at)
        yield latest, Hit(line, members)
