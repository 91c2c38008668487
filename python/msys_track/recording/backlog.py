"""How much is logged that is no event yet, seen from outside of the recorder."""

from dataclasses import dataclass
from pathlib import Path

from msys_track.eventlog.position import Position, PositionFile
from msys_track.recording.hits import count_bytes_behind
from msys_track.recording.state import StateFile


@dataclass(frozen=True, slots=True)
class Backlog:
    """What a recorder and its sinks still have to do.

    Attributes:
        hit_bytes: Of hits that are logged, but not noted as recorded.
        noted_at: When the recorder last noted how far it is, in Unix seconds; 0: never.
        events: By each sink's name, how many events it has not noted as delivered.
    """

    hit_bytes: int
    noted_at: float
    events: dict[str, int]


def measure_backlog(folder: Path, sinks: tuple[str, ...]) -> Backlog:
    """Measure what is left in the folder of an event log; a recorder may work there meanwhile.

    Args:
        folder: The folder, with `hits`, `events` and `positions` in it.
        sinks: The names of the sinks that follow the log.

    Raises:
        SinkError: a file in it can't be used.
        OSError: the folder can't be read.
    """
    path = folder / "positions" / "recorder.json"
    state = StateFile(path).load()
    try:
        noted_at = path.stat().st_mtime
    except FileNotFoundError:
        noted_at = 0.0
    left = 0
    for log in sorted((folder / "hits").glob("*")):
        if log.name.isdecimal():
            left += count_bytes_behind(log, state.hits.get(log.name, Position()))
    events = {
        name: max(
            0,
            state.sequence
            - max(PositionFile(folder / "positions" / f"{name}.json").load().sequence, 1),
        )
        for name in sinks
    }
    return Backlog(left, noted_at, events)
