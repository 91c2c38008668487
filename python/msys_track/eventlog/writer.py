"""Appends lines to a log: durable when it returns, and one writer at a time."""

import fcntl
import os
import re
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from msys_track.errors import SinkError
from msys_track.eventlog.segments import list_segments, lock_path, publish_end, segment_path
from msys_track.private_files import make_folder, sync_folder

SEGMENT_BYTES: Final = 64 << 20
_FILE_MODE: Final = 0o600
_READ_BYTES: Final = 1 << 20
# Lines that are events have their time in Unix seconds near their beginning.
_TIME: Final = re.compile(rb'"timestamp":"([0-9]{1,11})"')


class LogLockedError(SinkError):
    """Another process writes this log."""


class LogWriter:
    """Writes one log, and holds its lock until it is closed.

    Attributes:
        next_sequence: The number of the line that is appended next.
    """

    def __init__(self, folder: Path, *, segment_bytes: int = SEGMENT_BYTES) -> None:
        """Open a log; make it if it does not exist.

        A line that a crash has cut off is dropped: nobody was told that it is durable.

        Raises:
            LogLockedError: another process writes it.
            SinkError: the folder can't be used.
        """
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._segment = 0
        self._file = self._lock = -1
        self._length = 0
        # When the newest segment got its first line, in Unix seconds.
        self._begun_at = 0.0
        self._is_dirty = False
        self.next_sequence = 1
        try:
            self._open()
        except OSError as error:
            self.close()
            raise SinkError(f"{folder}: can't be written: {error.strerror}") from error
        except LogLockedError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def append(self, lines: Sequence[bytes]) -> int:
        """Append lines, one at least, without line ends; return the sequence of the first.

        They survive a power cut when this returns.

        Raises:
            SinkError: none was written; the same lines can be tried again.
        """
        first = self.next_sequence
        data = b"\n".join(lines) + b"\n"
        try:
            self._prepare()
            self._is_dirty = True
            # Room is made first, so that no reader sees a part of what then does not fit.
            os.posix_fallocate(self._file, self._length, len(data))
            _write_all(self._file, data, self._length)
            os.fdatasync(self._file)
        except OSError as error:
            with suppress(OSError):  # it is tried again before the next line
                self._drop_torn()
            raise SinkError(f"{self._folder}: can't be written: {error.strerror}") from error
        self._is_dirty = False
        if not self._length:
            self._begun_at = time.time()
        self._length += len(data)
        self.next_sequence += len(lines)
        publish_end(self._lock, self._segment, self._length)
        return first

    def begin_segment(self, *, begun_before: float) -> None:
        """Begin a new segment if the newest has lines and is old, so that it can be removed.

        Args:
            begun_before: Unix seconds; a segment that got its first line later goes on.

        Raises:
            SinkError: it can't be made; the newest goes on.
        """
        try:
            self._prepare()
            if self._length and self._begun_at <= begun_before:
                self._open_segment(self.next_sequence)
                publish_end(self._lock, self._segment, 0)
        except OSError as error:
            raise SinkError(f"{self._folder}: can't be written: {error.strerror}") from error

    def close(self) -> None:
        """Let the next writer in."""
        for descriptor in (self._file, self._lock):
            if descriptor >= 0:
                os.close(descriptor)
        self._file = self._lock = -1

    def _open(self) -> None:
        """Take the lock, and go on behind the last whole line of the newest segment."""
        make_folder(self._folder)
        self._lock = os.open(lock_path(self._folder), os.O_RDWR | os.O_CREAT, _FILE_MODE)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LogLockedError(f"{self._folder}: another process writes this log") from error
        segments = list_segments(self._folder)
        first = segments[-1] if segments else self.next_sequence
        self._open_segment(first)
        self._length, lines = _count_lines(self._file)
        self._is_dirty = True
        self._drop_torn()
        os.fdatasync(self._file)
        self._begun_at = _find_begin(self._file)
        publish_end(self._lock, first, self._length)
        if first + lines >= self.next_sequence:
            self.next_sequence = first + lines
        else:  # the folder was deleted meanwhile
            self._open_segment(self.next_sequence)

    def _open_segment(self, first_sequence: int) -> None:
        path = segment_path(self._folder, first_sequence)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, _FILE_MODE)
        if self._file >= 0:
            os.close(self._file)
        self._file, self._segment, self._length = descriptor, first_sequence, 0
        sync_folder(self._folder)

    def _prepare(self) -> None:
        if not self._is_in_place():
            self.close()
            self._open()
        self._drop_torn()
        if self._length >= self._segment_bytes:
            self._open_segment(self.next_sequence)

    def _is_in_place(self) -> bool:
        """Whether the file still has its name: without it, it takes lines that nobody reads."""
        if self._file < 0:
            return False
        try:
            named = segment_path(self._folder, self._segment).stat()
        except FileNotFoundError:
            return False
        return os.path.samestat(named, os.fstat(self._file))

    def _drop_torn(self) -> None:
        """Drop what stands behind the last whole batch."""
        if self._is_dirty:
            # To the length that it has would make the file younger.
            if os.fstat(self._file).st_size != self._length:
                os.ftruncate(self._file, self._length)
            self._is_dirty = False


def _write_all(descriptor: int, data: bytes, offset: int) -> None:
    rest = memoryview(data)
    while rest:
        written = os.pwrite(descriptor, rest, offset)
        rest, offset = rest[written:], offset + written


def _count_lines(descriptor: int) -> tuple[int, int]:
    """The length and the number of a file's whole lines.

    A power cut can leave bytes of zero where something was to be written.
    """
    length = lines = read = 0
    while chunk := os.pread(descriptor, _READ_BYTES, read):
        good, zero, _ = chunk.partition(b"\0")
        if end := good.rfind(b"\n") + 1:
            length = read + end
            lines += good.count(b"\n")
        if zero:
            break
        read += len(chunk)
    return length, lines


def _find_begin(descriptor: int) -> float:
    """Find when a file got its first line: by the time of an event, or else of the last line."""
    found = _TIME.search(os.pread(descriptor, _READ_BYTES, 0))
    return int(found[1]) if found else os.fstat(descriptor).st_mtime
