"""Appends lines to a log: durable when it returns, and one writer at a time."""

import fcntl
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from msys_track.errors import SinkError
from msys_track.eventlog.position import sync_folder
from msys_track.eventlog.segments import list_segments, segment_path

SEGMENT_BYTES: Final = 64 << 20
_FILE_MODE: Final = 0o600
_FOLDER_MODE: Final = 0o700
_READ_BYTES: Final = 1 << 20


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
        self._file = -1
        self._length = 0
        self._lock = -1
        try:
            folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
            self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, _FILE_MODE)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            segments = list_segments(folder)
            self.next_sequence = segments[-1] if segments else 1
            self._open_segment()
            self._recover()
        except BlockingIOError as error:
            self.close()
            raise LogLockedError(f"{folder}: another process writes this log") from error
        except OSError as error:
            self.close()
            raise SinkError(f"{folder}: can't be written: {error.strerror}") from error

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
        """Append lines without line ends; return the sequence of the first.

        They survive a power cut when this returns.

        Raises:
            SinkError: none was written; the same lines can be tried again.
        """
        first = self.next_sequence
        if not lines:
            return first
        try:
            if self._length >= self._segment_bytes:
                self._open_segment()
            data = b"\n".join(lines) + b"\n"
            _write_all(self._file, data)
            os.fdatasync(self._file)
        except OSError as error:
            self._undo()
            raise SinkError(f"{self._folder}: can't be written: {error.strerror}") from error
        self._length += len(data)
        self.next_sequence += len(lines)
        return first

    def close(self) -> None:
        """Let the next writer in."""
        for descriptor in (self._file, self._lock):
            if descriptor >= 0:
                os.close(descriptor)
        self._file = self._lock = -1

    def _open_segment(self) -> None:
        path = segment_path(self._folder, self.next_sequence)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, _FILE_MODE)
        if self._file >= 0:
            os.close(self._file)
        self._file, self._length = descriptor, 0
        sync_folder(self._folder)

    def _recover(self) -> None:
        """Count the lines of the newest segment, and drop one that was cut off."""
        while chunk := os.pread(self._file, _READ_BYTES, self._length):
            end = chunk.rfind(b"\n") + 1
            if not end:
                break
            self.next_sequence += chunk.count(b"\n")
            self._length += end
        self._undo()

    def _undo(self) -> None:
        """Drop what stands behind the last whole batch."""
        if self._file >= 0:
            os.ftruncate(self._file, self._length)


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
