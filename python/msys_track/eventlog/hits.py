"""Hit logs: what faces write down without waiting, for the recorder to make events of.

Each writing process has a log of its own. A thread appends what waits in batches, so that a slow
disk delays no reader and no mail.
"""

import threading
import time
from collections import deque
from itertools import islice
from pathlib import Path
from typing import Any, Final, Protocol

from msys_track.errors import SinkError
from msys_track.eventlog.lines import write_hit
from msys_track.eventlog.settings import EventsSettings
from msys_track.eventlog.writer import LogLockedError, LogWriter
from msys_track.keys.ring import Claims
from msys_track.logs import event_logger

log = event_logger(__name__)

_MAX_WRITERS: Final = 1_000
_MAX_BATCH: Final = 10_000
_FIRST_RETRY_SECONDS: Final = 0.1
_LAST_RETRY_SECONDS: Final = 5.0


class HitLog(Protocol):
    """A hit log that is open for writing. Threads may share it."""

    def put_hit(  # noqa: PLR0913, PLR0917 - what is known of a hit
        self,
        claims: Claims,
        at: int,
        address: str | None = None,
        agent: str | None = None,
        language: str | None = None,
        request: str | None = None,
    ) -> bool:
        """Take a hit without waiting; return False if it was dropped. See `write_hit`."""

    def put_line(self, line: bytes) -> bool:
        """Take a JSON object on one line, such as an event that is ready; False if dropped."""

    def flush(self, timeout_seconds: float) -> bool:
        """Return whether everything put so far became durable in time."""

    def close(self, timeout_seconds: float) -> int:
        """Write what waits, as far as time allows; return how many lines were lost."""

    def figures(self) -> dict[str, Any]:
        """Return `accepted`, `written`, `dropped`, `failures`, `waiting`, `last_error`."""


def open_hit_log(folder: Path, settings: EventsSettings) -> HitLog:
    """Open the first hit log below a folder that no other process writes.

    Args:
        folder: That of the event log.
        settings: The limits.

    Raises:
        SinkError: the folder can't be used.
    """
    for number in range(_MAX_WRITERS):
        try:
            return PlainHitLog(folder / "hits" / str(number), settings)
        except LogLockedError:
            continue
    raise SinkError(f"{folder}: {_MAX_WRITERS} processes write hits there; end some")


class PlainHitLog:
    """A hit log in Python."""

    def __init__(self, folder: Path, settings: EventsSettings) -> None:
        self._writer = LogWriter(folder, segment_bytes=settings.segment_bytes)
        self._settings = settings
        self._queue: deque[bytes] = deque()
        self._counts = {"accepted": 0, "written": 0, "dropped": 0, "failures": 0}
        self._last_error: str | None = None
        self._is_closing = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="hit-log", daemon=True)
        self._thread.start()

    def put_hit(  # noqa: PLR0913, PLR0917 - what is known of a hit
        self,
        claims: Claims,
        at: int,
        address: str | None = None,
        agent: str | None = None,
        language: str | None = None,
        request: str | None = None,
    ) -> bool:
        """Take a hit without waiting; return False if it was dropped."""
        return self.put_line(write_hit(claims, at, address, agent, language, request))

    def put_line(self, line: bytes) -> bool:
        """Take a line without waiting; return False if it was dropped."""
        with self._changed:
            if self._is_closing or len(self._queue) >= self._settings.max_queued:
                self._counts["dropped"] += 1
                return False
            self._queue.append(line)
            self._counts["accepted"] += 1
            if len(self._queue) == 1:
                self._changed.notify_all()
        return True

    def flush(self, timeout_seconds: float) -> bool:
        """Return whether everything put so far became durable in time."""
        with self._changed:
            goal = self._counts["accepted"]
            return self._changed.wait_for(lambda: self._counts["written"] >= goal, timeout_seconds)

    def close(self, timeout_seconds: float) -> int:
        """Write what waits, as far as time allows; return how many lines were lost."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        self._thread.join(timeout_seconds)
        if not self._thread.is_alive():
            self._writer.close()
        return len(self._queue)

    def figures(self) -> dict[str, Any]:
        """Return what was counted, how many lines wait, and the last error if it lasts."""
        return {**self._counts, "waiting": len(self._queue), "last_error": self._last_error}

    def _run(self) -> None:
        pause = _FIRST_RETRY_SECONDS
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._is_closing)
                if not self._queue:
                    return
                if not self._is_closing:
                    self._changed.wait_for(
                        lambda: self._is_closing, self._settings.batch_seconds / 2
                    )
                batch = list(islice(self._queue, _MAX_BATCH))
            try:
                self._writer.append(batch)
            except SinkError as error:
                self._note_failure(error)
                time.sleep(pause)
                pause = min(2 * pause, _LAST_RETRY_SECONDS)
            else:
                pause = _FIRST_RETRY_SECONDS
                self._note_written(len(batch))

    def _note_failure(self, error: SinkError) -> None:
        if self._last_error is None:
            log.error("hits.not_written", error=str(error), waiting=len(self._queue))
        with self._changed:
            self._counts["failures"] += 1
            self._last_error = str(error)

    def _note_written(self, count: int) -> None:
        with self._changed:
            for _ in range(count):
                self._queue.popleft()
            self._counts["written"] += count
            recovered, self._last_error = self._last_error is not None, None
            self._changed.notify_all()
        if recovered:
            log.info("hits.written_again", dropped=self._counts["dropped"])
