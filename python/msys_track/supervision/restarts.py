"""When a worker that died is begun again: at once if it was there for long, else after a pause."""

import time
from collections import Counter
from typing import Final

from msys_track.supervision.worker import Worker

START_SECONDS: Final = 60.0
"""How long a worker may need until it is ready."""

# A worker that was there for so long is replaced at once; others after a pause that doubles.
# Connections that the kernel gives to its socket wait meanwhile, so that the pause stays short.
_STABLE_SECONDS: Final = 10.0
_FIRST_PAUSE_SECONDS: Final = 0.5
_LONGEST_PAUSE_SECONDS: Final = 5.0
# A first worker that a signal ends before all are ready is begun again, so often in all. One that
# exits has found a fault that the next one would find too.
_START_TRIES: Final = 5


class Restarts:
    """Knows which slots wait for a worker, and until when."""

    def __init__(self) -> None:
        self._due: dict[int, float] = {}
        self._pauses: dict[int, float] = {}
        self._early_deaths: Counter[int] = Counter()

    def note_death(self, worker: Worker) -> None:
        """Plan the successor of a worker that died."""
        now = time.monotonic()
        pause = self._pauses.get(worker.slot, 0.0)
        if now - worker.started_at >= _STABLE_SECONDS:
            pause = 0.0
        self._due[worker.slot] = now + pause
        self._pauses[worker.slot] = min(
            max(_FIRST_PAUSE_SECONDS, 2 * pause), _LONGEST_PAUSE_SECONDS
        )

    def postpone(self, slot: int) -> None:
        """Plan another try, as the system had no room for a worker."""
        self._due[slot] = time.monotonic() + _LONGEST_PAUSE_SECONDS

    def allow_start(self, worker: Worker, code: int) -> bool:
        """Whether another worker may do what this first one could not: get ready."""
        if code >= 0 or time.monotonic() - worker.started_at > START_SECONDS:
            return False  # it has found a fault, or hung until it was killed
        self._early_deaths[worker.slot] += 1
        return self._early_deaths[worker.slot] < _START_TRIES

    def find_pause(self, longest: float) -> float:
        """Return for how many seconds no slot is due, at most `longest`."""
        now = time.monotonic()
        return max(0.0, min([longest, *(due - now for due in self._due.values())]))

    def take_due(self) -> list[int]:
        """Take the slots whose time has come."""
        now = time.monotonic()
        slots = [slot for slot, due in self._due.items() if due <= now]
        for slot in slots:
            del self._due[slot]
        return slots

    def clear(self) -> None:
        """Forget all that wait, as workers of another plan are there."""
        self._due.clear()
