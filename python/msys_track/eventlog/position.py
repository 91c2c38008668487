"""Where a reader of a log goes on: durable, so that it neither misses a line nor begins anew."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from msys_track.errors import SinkError
from msys_track.private_files import make_folder, save_file


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
        try:
            make_folder(self._path.parent)
            save_file(self._path, json.dumps(asdict(position)).encode())
        except OSError as error:
            raise SinkError(f"{self._path}: can't be written: {error.strerror}") from error
