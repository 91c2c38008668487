"""How a server stops: first its workers, then the recorder, which reads what they wrote last."""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from msys_track.logs import event_logger
from msys_track.supervision.worker import Plan, Worker
from msys_track.supervision.workers import Workers

log = event_logger(__name__)

# Of the time in which a process is to end: what it needs for that once its work is over.
_END_SHARE: Final = 0.4
# A recorder that dies during the stop is begun again, so often in all.
_RECORDER_TRIES: Final = 3


class Stop:
    """Stops all workers of a server.

    Args:
        plan: What the server does.
        workers: All that there are.
        fork_recorder: Begins a recorder where none is left; raises OSError if the system has no
            room for it. None: nothing is to be recorded.
    """

    def __init__(
        self, plan: Plan, workers: Workers, fork_recorder: Callable[[], Worker] | None
    ) -> None:
        self._plan = plan
        self._workers = workers
        self._fork_recorder = fork_recorder
        self._began_at = time.monotonic()
        self._record_by: float | None = None
        self._recorder_deaths = 0
        self._last_recorder: int | None = None
        self._is_recorded = False

    def begin(self) -> None:
        """Tell all to end whose work others read, and the recorders if there are no others."""
        for worker in self._workers:
            if not worker.is_recorder:
                self._workers.stop(worker)
        self._stop_recorders()

    def note_end(self, worker: Worker, code: int) -> None:
        """Go on, as a worker has ended with this code."""
        if worker.is_recorder and code != 0:
            self._recorder_deaths += 1
        elif worker.pid == self._last_recorder and worker.plan is self._plan:
            self._is_recorded = True
        self._stop_recorders()

    def _stop_recorders(self) -> None:
        """Let recorders finish once nobody writes any more, one after the other.

        One that was retired may have looked for the last time before workers wrote their last
        hits, and holds the lock still: the next one would leave the rest to it.
        """
        recorders = list(self._workers)
        if not all(each.is_recorder for each in recorders):
            return
        plan, now = self._plan, time.monotonic()
        if self._record_by is None:
            self._record_by = (
                now + plan.record_seconds + plan.end_seconds
                if plan.stop_seconds is None
                else self._began_at + plan.stop_seconds
            )
        if any(each.ends_by is not None for each in recorders):
            for each in recorders:
                if each.ends_by is not None:
                    each.ends_by = min(each.ends_by, self._record_by)
        elif recorders:
            self._stop_recorder(recorders[0], self._record_by)
        elif self._fork_recorder is not None and not self._is_recorded:
            recorder = None
            if self._recorder_deaths < _RECORDER_TRIES and now < self._record_by:
                with suppress(OSError):  # there is no room for it, and nobody to wait for that
                    recorder = self._fork_recorder()
            if recorder is not None:
                self._stop_recorder(recorder, self._record_by)
            else:
                log.error(
                    "recorder.not_done",
                    hint="what is not recorded stands in the log of hits; the next start goes on",
                )

    def _stop_recorder(self, recorder: Worker, ends_by: float) -> None:
        self._last_recorder = recorder.pid
        by = ends_by - _END_SHARE * recorder.plan.end_seconds
        self._workers.order(recorder, f"stop {by}", ends_by)
