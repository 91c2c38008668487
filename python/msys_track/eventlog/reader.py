"""Reads a log from a position on, while it is written; no line is read before its end is there."""

import os
from dataclasses import dataclass
from pathlib import Path

from msys_track.errors import SinkError
from msys_track.eventlog.position import Position
from msys_track.eventlog.segments import list_segments, segment_path

_READ_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Batch:
    """Lines that follow each other.

    Attributes:
        lines: Without their line ends.
        first_sequence: The number of the first line.
        after: The position behind the last one.
    """

    lines: tuple[bytes, ...]
    first_sequence: int
    after: Position


class LogReader:
    """Follows one log.

    Attributes:
        position: The next line to read; the caller keeps it where that is to be durable.
    """

    __slots__ = ("_file", "_folder", "_segment", "position")

    def __init__(self, folder: Path, position: Position | None = None) -> None:
        self._folder = folder
        self._file = -1
        self._segment = 0
        self.position = position or Position()

    def read(self, max_lines: int = 1_000, max_bytes: int = _READ_BYTES) -> Batch | None:
        """Return the next lines and go on behind them; None where there are none yet.

        A line longer than `max_bytes` is returned alone.

        Raises:
            SinkError: the log can't be read, or lacks the lines at the position.
        """
        try:
            while True:
                if self._file < 0 and not self._open():
                    return None
                if batch := self._read_segment(max_lines, max_bytes):
                    self.position = batch.after
                    return batch
                if not self._find_next():
                    return None
                # It was finished before the next one was begun, but perhaps after it was read.
                if batch := self._read_segment(max_lines, max_bytes):
                    self.position = batch.after
                    return batch
                self.close()
                following = self._find_next()
                if not following:
                    return None
                self.position = Position(following, 0, following)
        except OSError as error:
            raise SinkError(f"{self._folder}: can't be read: {error.strerror}") from error

    def close(self) -> None:
        """Close the file; `read` opens it again."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _open(self) -> bool:
        segments = list_segments(self._folder)
        if not segments:
            return False
        position = self.position
        if position.segment == 0:
            self.position = position = Position(segments[0], 0, segments[0])
        if position.segment not in segments:
            raise SinkError(
                f"{self._folder}: the segment of line {position.sequence} is gone; "
                "delete the reader's position to go on with the oldest line that there is"
            )
        self._file = os.open(segment_path(self._folder, position.segment), os.O_RDONLY)
        self._segment = position.segment
        return True

    def _find_next(self) -> int:
        later = [each for each in list_segments(self._folder) if each > self._segment]
        return later[0] if later else 0

    def _read_segment(self, max_lines: int, max_bytes: int) -> Batch | None:
        position = self.position
        size = max_bytes
        data = os.pread(self._file, size, position.offset)
        while b"\n" not in data and len(data) == size:
            size *= 2
            data = os.pread(self._file, size, position.offset)
        lines = data.split(b"\n", max_lines)
        lines.pop()
        if not lines:
            return None
        length = sum(map(len, lines)) + len(lines)
        after = Position(
            position.segment, position.offset + length, position.sequence + len(lines)
        )
        return Batch(tuple(lines), position.sequence, after)
