"""Reads a log from a position on, while it is written; no line is read before its end is there."""

import os
from dataclasses import dataclass
from pathlib import Path

from msys_track.errors import SinkError
from msys_track.eventlog.position import Position
from msys_track.eventlog.segments import list_segments, read_end, segment_path

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


class LinesGoneError(SinkError):
    """The lines at a position are not there any more; `LogReader.skip_gone` goes on."""


class LogReader:
    """Follows one log.

    Attributes:
        position: The next line to read; the caller keeps it where that is to be durable.
    """

    __slots__ = ("_durable", "_file", "_folder", "position")

    def __init__(self, folder: Path, position: Position | None = None) -> None:
        self._folder = folder
        self._file = -1
        self._durable = 0
        self.position = position or Position()

    def read(self, max_lines: int = 1_000, max_bytes: int = _READ_BYTES) -> Batch | None:
        """Return the next lines and go on behind them; None where there are none yet.

        They are durable. A line longer than `max_bytes` is returned alone.

        Raises:
            LinesGoneError: there are later lines, but not those at the position.
            SinkError: the log can't be read.
        """
        try:
            while self._file >= 0 or self._open():
                if batch := self._read_segment(max_lines, max_bytes):
                    self.position = batch.after
                    return batch
                if self._has_next():
                    self.close()
                    following = self.position.sequence
                    self.position = Position(following, 0, following)
                    continue
                if read_end(self._folder)[0] <= self.position.segment:
                    return None
                # It was finished meanwhile: all of its lines are there now, or never.
                if batch := self._read_segment(max_lines, max_bytes):
                    self.position = batch.after
                    return batch
                if not self._has_next():
                    self.close()
                    raise self._gone("is damaged or gone")
        except OSError as error:
            raise SinkError(f"{self._folder}: can't be read: {error.strerror}") from error
        return None

    def skip_gone(self) -> int:
        """Go to the oldest line that there is, and is not read; return how many are left out.

        The number is that of the lines between, and 0 where the log begins with 1 again.

        Raises:
            SinkError: the log can't be read.
        """
        self.close()
        wanted = self.position.sequence
        try:
            segments = list_segments(self._folder)
        except OSError as error:
            raise SinkError(f"{self._folder}: can't be read: {error.strerror}") from error
        later = [each for each in segments if each >= wanted]
        first = (later or segments or [wanted])[0]
        self.position = Position(first, 0, first)
        return max(0, first - wanted)

    def close(self) -> None:
        """Close the file; `read` opens it again."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _open(self) -> bool:
        position = self.position
        if position.segment == 0:
            segments = list_segments(self._folder)
            if not segments:
                return False
            self.position = position = Position(segments[0], 0, segments[0])
        try:
            self._file = os.open(segment_path(self._folder, position.segment), os.O_RDONLY)
        except FileNotFoundError:
            return self._open_next()
        self._durable = 0
        if position.offset:
            # A line ends there, or the file is not the one that was read.
            before = os.pread(self._file, 1, position.offset - 1)
            if before != b"\n":
                self.close()
                raise self._gone("is not what it was")
        return True

    def _open_next(self) -> bool:
        """Go on behind a segment that was read and removed."""
        following = self.position.sequence
        if self.position.segment != following and self._exists(following):
            self.position = Position(following, 0, following)
            return self._open()
        if list_segments(self._folder):
            raise self._gone("is gone")
        return False

    def _has_next(self) -> bool:
        """Whether there is a segment that begins with the next line: then this one is finished."""
        position = self.position
        if position.segment != position.sequence and self._exists(position.sequence):
            return True
        if os.fstat(self._file).st_nlink == 0 and list_segments(self._folder):
            self.close()
            raise self._gone("was deleted")
        return False

    def _exists(self, first_sequence: int) -> bool:
        return segment_path(self._folder, first_sequence).exists()

    def _gone(self, what: str) -> LinesGoneError:
        return LinesGoneError(
            f"{self._folder}: the segment of line {self.position.sequence} {what}; "
            "delete the reader's position to go on with the oldest line that there is"
        )

    def _read_segment(self, max_lines: int, max_bytes: int) -> Batch | None:
        position = self.position
        size = max_bytes
        data = self._read_bytes(size)
        while b"\n" not in data and len(data) == size:
            size, max_lines = 2 * size, 1
            data = self._read_bytes(size)
        lines = data.split(b"\n", max_lines)
        lines.pop()
        if not lines:
            return None
        length = sum(map(len, lines)) + len(lines)
        after = Position(
            position.segment, position.offset + length, position.sequence + len(lines)
        )
        self._make_durable(after.offset)
        return Batch(tuple(lines), position.sequence, after)

    def _read_bytes(self, size: int) -> bytes:
        """Read on, up to where the writer has made room but not written yet: zeros stand there."""
        return os.pread(self._file, size, self.position.offset).partition(b"\0")[0]

    def _make_durable(self, end: int) -> None:
        """Sync what the writer perhaps has not yet.

        Otherwise a power cut could take back lines that were read, and others would stand there
        afterwards.
        """
        if end <= self._durable:
            return
        size = os.fstat(self._file).st_size
        segment, length = read_end(self._folder)
        if segment > self.position.segment:
            self._durable = size
        elif segment == self.position.segment and length >= end:
            self._durable = length
        else:
            os.fdatasync(self._file)
            self._durable = size
