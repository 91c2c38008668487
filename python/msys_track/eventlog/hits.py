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
from msys_track.eventlog.segments import SEGMENT_SECONDS
from msys_track.eventlog.settings import EventsSettings
from msys_track.eventlog.writer import LogLockedError, LogWriter
from msys_track.keys.ring import Claims
from msys_track.logs import event_logger

try:
    from msys_track._core import HitLog as _CoreHitLog
    from msys_track._core import HitLogLockedError as _CoreLockedError
except ModuleNotFoundError:  # a package without the compiled core
    _CoreHitLog = None  # type: ignore[assignment, misc]

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

    def put_line(self, line: bytes, /) -> bool:
        """Take a JSON object on one line, such as an event that is ready; False if dropped.

        Raises:
            ValueError: it is empty, or not one line.
        """

    def flush(self, timeout_seconds: float) -> bool:
        """Return whether everything put so far became durable in time."""

    def close(self, timeout_seconds: float) -> int:
        """Write what waits, as far as time allows; return how many lines were lost."""

    def figures(self) -> dict[str, Any]:
        """Return `accepted`, `written`, `dropped`, `failures`, `waiting`, `last_error`."""


def open_hit_log(folder: Path, settings: EventsSettings) -> HitLog:
    """Open the first hit log below a folder that no other process writes.

    A process that forks opens it afterwards: its thread would stay behind.

    Args:
        folder: That of the event log.
        settings: The limits.

    Raises:
        SinkError: the folder can't be used.
    """
    logs = folder / "hits"
    if _CoreHitLog is None:
        return PlainHitLog(logs, settings)
    try:
        return _CoreHitLog(
            logs,
            max_queued=settings.max_queued,
            batch_seconds=settings.batch_seconds,
            segment_bytes=settings.segment_bytes,
        )
    except _CoreLockedError as error:
        raise _all_locked(logs) from error
    except OSError as error:
        raise SinkError(f"{logs}: can't be written: {error.strerror}") from error


class PlainHitLog:
    """A hit log in Python."""

    def __init__(self, logs: Path, settings: EventsSettings) -> None:
        """Open the first log below a folder that no other process writes, and start its thread.

        Raises:
            SinkError: the folder can't be used.
        """
        self._logs = logs
        self._settings = settings
        self._writer = self._open_free()
        self._queue: deque[bytes] = deque()
        self._counts = {"accepted": 0, "written": 0, "dropped": 0, "failures": 0}
        self._last_error: str | None = None
        self._oldest = self._taken_at = 0.0
        self._is_urgent = self._has_ended = False
        self._deadline: float | None = None
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

    def put_line(self, line: bytes, /) -> bool:
        """Take a line without waiting; return False if it was dropped."""
        if not line or b"\n" in line:
            raise ValueError("a line is not empty and has no line end in it")
        with self._changed:
            if self._deadline is not None or len(self._queue) >= self._settings.max_queued:
                self._counts["dropped"] += 1
                return False
            if not self._queue:
                self._oldest = time.monotonic()
            self._queue.append(line)
            self._counts["accepted"] += 1
            if len(self._queue) in {1, _MAX_BATCH}:
                self._changed.notify_all()
        return True

    def flush(self, timeout_seconds: float) -> bool:
        """Return whether everything put so far became durable in time."""
        with self._changed:
            goal = self._counts["accepted"]
            self._is_urgent = True
            self._changed.notify_all()
            self._changed.wait_for(
                lambda: self._counts["written"] >= goal or self._has_ended, timeout_seconds
            )
            return self._counts["written"] >= goal

    def close(self, timeout_seconds: float) -> int:
        """Write what waits, as far as time allows; return how many lines were lost."""
        with self._changed:
            self._deadline = time.monotonic() + timeout_seconds
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._has_ended, timeout_seconds)
            return len(self._queue)

    def figures(self) -> dict[str, Any]:
        """Return what was counted, how many lines wait, and the last error if it lasts."""
        return {**self._counts, "waiting": len(self._queue), "last_error": self._last_error}

    def _run(self) -> None:
        try:
            self._write_batches()
        finally:
            self._writer.close()
            with self._changed:
                self._has_ended = True
                self._changed.notify_all()

    def _write_batches(self) -> None:
        pause = _FIRST_RETRY_SECONDS
        while batch := self._take():
            try:
                self._append(batch)
            except SinkError as error:
                self._note_failure(error)
                if not self._wait(pause):
                    return
                pause = min(2 * pause, _LAST_RETRY_SECONDS)
            else:
                pause = _FIRST_RETRY_SECONDS
                self._note_written(len(batch))

    def _take(self) -> list[bytes]:
        """Wait for a batch and return it, without taking it off; empty at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._deadline is not None)
            # The other half is for the disk.
            due = self._oldest + self._settings.batch_seconds / 2
            self._changed.wait_for(
                lambda: (
                    self._deadline is not None or self._is_urgent or len(self._queue) >= _MAX_BATCH
                ),
                max(0.0, due - time.monotonic()),
            )
            self._is_urgent = False
            self._taken_at = time.monotonic()
            return list(islice(self._queue, _MAX_BATCH))

    def _append(self, batch: list[bytes]) -> None:
        try:
            self._writer.begin_segment(begun_before=time.time() - SEGMENT_SECONDS)
            self._writer.append(batch)
        except LogLockedError:  # it was deleted, and taken by another process
            self._writer = self._open_free()
            self._writer.append(batch)

    def _open_free(self) -> LogWriter:
        for number in range(_MAX_WRITERS):
            try:
                return LogWriter(
                    self._logs / str(number), segment_bytes=self._settings.segment_bytes
                )
            except LogLockedError:
                continue
        raise _all_locked(self._logs)

    def _wait(self, pause: float) -> bool:
        """Wait before a write is tried again, shorter when closing; False if time is up."""
        with self._changed:
            self._changed.wait_for(lambda: self._deadline is not None, pause)
            if self._deadline is None:
                return True
            rest = self._deadline - time.monotonic()
        time.sleep(max(0.0, min(rest, pause, _FIRST_RETRY_SECONDS)))
        return rest > 0

    def _note_failure(self, error: SinkError) -> None:
        with self._changed:
            self._counts["failures"] += 1
            self._last_error = str(error)

    def _note_written(self, count: int) -> None:
        with self._changed:
            for _ in range(count):
                self._queue.popleft()
            self._oldest = self._taken_at  # what is left was put later
            self._counts["written"] += count
            self._last_error = None
            self._changed.notify_all()


class HitLogWatch:
    """Says in the program's log when hits can't be written and when they can again.

    The thread that writes them has no interpreter, so that somebody has to look now and then.
    """

    __slots__ = ("_dropped", "_is_failing", "_log")

    def __init__(self, hit_log: HitLog) -> None:
        self._log = hit_log
        self._is_failing = False
        self._dropped = 0

    def look(self) -> None:
        """Log what changed since the last look: each beginning and each end once."""
        figures = self._log.figures()
        error, dropped = figures["last_error"], figures["dropped"]
        if error is not None and not self._is_failing:
            self._is_failing = True
            log.error("hits.not_written", error=error, waiting=figures["waiting"])
        if dropped > self._dropped:
            log.error("hits.dropped", count=dropped - self._dropped, waiting=figures["waiting"])
            self._dropped = dropped
        if error is None and self._is_failing:
            self._is_failing = False
            log.info("hits.written_again", waiting=figures["waiting"], dropped=dropped)


def _all_locked(logs: Path) -> SinkError:
    return SinkError(f"{logs}: {_MAX_WRITERS} processes write hits there; end some")
