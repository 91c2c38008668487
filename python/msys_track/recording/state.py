"""What a recorder must know after a crash: how far it had read, and how far it had written."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from msys_track.errors import SinkError
from msys_track.eventlog.position import Position
from msys_track.private_files import make_folder, save_file


@dataclass(frozen=True, slots=True)
class State:
    """A moment at which all hits before the positions had become events before `sequence`.

    Attributes:
        sequence: Of the event that was to be written next.
        hits: Where each hit log is read next, by its name.
    """

    sequence: int = 1
    hits: Mapping[str, Position] = field(default_factory=dict)


class StateFile:
    """Keeps the state in a file, which is replaced as a whole."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> State:
        """Return what was kept last; the start of everything where nothing is.

        Raises:
            SinkError: the file can't be read, or holds something else.
        """
        try:
            known = json.loads(self._path.read_text("utf-8"))
            hits = {name: Position(**each) for name, each in known["hits"].items()}
            return State(int(known["sequence"]), hits)
        except FileNotFoundError:
            return State()
        except OSError as error:
            raise SinkError(f"{self._path}: can't be read: {error.strerror}") from error
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            advice = "delete it; hits whose events are in the log are found by their ids"
            raise SinkError(f"{self._path}: not a recorder's state; {advice}") from error

    def save(self, state: State) -> None:
        """Keep a state; it survives a power cut when this returns.

        Raises:
            SinkError: it could not be written.
        """
        text = json.dumps(
            {
                "sequence": state.sequence,
                "hits": {name: asdict(each) for name, each in state.hits.items()},
            }
        )
        try:
            make_folder(self._path.parent)
            save_file(self._path, text.encode())
        except OSError as error:
            raise SinkError(f"{self._path}: can't be written: {error.strerror}") from error
