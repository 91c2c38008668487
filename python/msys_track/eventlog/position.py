"""Where a reader of a log goes on: durable, so that it neither misses a line nor begins anew."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from msys_track.errors import SinkError
from msys_track.eventlog.folder import make_folder

_FILE_MODE = 0o600


@dataclass(frozen=True, slots=True)
class Position:
    """The next line of a log to read.

    Attributes:
        segment: The sequence of the first line of the segment that it stands in; 0: the oldest
            segment that there is.
        offset: Where it begins in that segment, in bytes.
        sequence: Its number in the log, from 1 on.
    """

    segment: int = 0
    offset: int = 0
    sequence: int = 1


class PositionFile:
    """Keeps one position in a file, which is replaced as a whole."""

    __slots__ = ("_path",)

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> Position:
        """Return the position kept last; the start of the log where none is kept yet.

        Raises:
            SinkError: the file can't be read, or holds something else.
        """
        try:
            text = self._path.read_text("utf-8")
        except FileNotFoundError:
            return Position()
        except OSError as error:
            raise SinkError(f"{self._path}: can't be read: {error.strerror}") from error
        try:
            known = json.loads(text)
            return Position(int(known["segment"]), int(known["offset"]), int(known["sequence"]))
        except (ValueError, TypeError, KeyError) as error:
            advice = "delete it to read the log from its oldest line on"
            raise SinkError(f"{self._path}: not a position of a log; {advice}") from error

    def save(self, position: Position) -> None:
        """Keep a position; it survives a power cut when this returns.

        Raises:
            SinkError: it could not be written.
        """
        new = self._path.with_suffix(".new")
        try:
            make_folder(self._path.parent)
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _FILE_MODE)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(asdict(position), file)
                file.flush()
                os.fdatasync(descriptor)
            new.replace(self._path)
            sync_folder(self._path.parent)
        except OSError as error:
            raise SinkError(f"{self._path}: can't be written: {error.strerror}") from error


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable.

    Raises:
        OSError: it can't be opened or synced.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
