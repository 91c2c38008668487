"""The hit log of one worker, and its reports: figures, failures, and what was lost."""

from contextlib import suppress
from pathlib import Path
from typing import Final

from msys_track.config.configuration import Configuration
from msys_track.errors import SettingsError
from msys_track.eventlog.hits import HitLogWatch, open_hit_log
from msys_track.logs import event_logger

log = event_logger(__name__)

_FOLDER_MODE: Final = 0o700
_COUNTERS: Final = ("accepted", "written", "dropped", "failures")


class WorkerHits:
    """Opens the log; call `look` now and then, and `close` at the end.

    Attributes:
        log: Takes hits.
        has_room: Whether it would take one now.
    """

    def __init__(self, read: Configuration) -> None:
        """Open it.

        Raises:
            SettingsError: nothing names a folder.
            SinkError: the folder can't be used.
        """
        self.log = open_hit_log(find_events_folder(read), read.events)
        self._watch = HitLogWatch(self.log)
        self._max_queued = read.events.max_queued
        self.has_room = True

    def look(self) -> tuple[dict[str, int], dict[str, float]]:
        """Log what has changed; return counters and gauges (`metrics.TRACKER`)."""
        self._watch.look()
        figures = self.log.figures()
        self.has_room = figures["waiting"] < self._max_queued
        counts = {f"hits.{name}": int(figures[name]) for name in _COUNTERS}
        return counts, {"hits.waiting": float(figures["waiting"])}

    def close(self, patience_seconds: float) -> None:
        """Write down what waits, and say what could not be."""
        if lost := self.log.close(patience_seconds):
            log.error("hits.lost", hits=lost, error=self.log.figures()["last_error"])


def find_events_folder(read: Configuration) -> Path:
    """Find where events are logged; a folder that is made is its owner's alone.

    Raises:
        SettingsError: nothing names a folder.
    """
    folder = read.events_folder
    if folder is None:
        raise SettingsError(f"{read.path}: events.folder: missing; name a folder for the log")
    with suppress(OSError):  # whoever writes there says why it can't be used
        folder.mkdir(mode=_FOLDER_MODE, exist_ok=True)
    return folder
