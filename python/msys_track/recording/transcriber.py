"""Turns hits into events: every one once, whatever ends this process, and whenever.

One process of a machine does it, which holds the lock of the event log. Events are durable before
the positions of their hits are. After a crash some hits are read again, and the ids of the events
that are there already say which ones to leave out.
"""

import time
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from msys_track.errors import SinkError, TrackingError
from msys_track.eventlog.erasing import is_erased
from msys_track.eventlog.position import Position
from msys_track.eventlog.reader import LogReader
from msys_track.eventlog.retention import remove_old
from msys_track.eventlog.segments import list_segments
from msys_track.eventlog.writer import LogWriter
from msys_track.logs import event_logger
from msys_track.metrics import Counters
from msys_track.recording.first_seen import FirstSeen
from msys_track.recording.hits import Hit, HitReader
from msys_track.recording.maker import EventMaker, read_ids
from msys_track.recording.state import State, StateFile

log = event_logger(__name__)

_BATCH_LINES: Final = 2_000
_SAVE_SECONDS: Final = 1.0
_WARM_EVENTS: Final = 100_000
_MAX_MARKS: Final = 10_000


class Transcriber:
    """Reads hits, makes their events, and appends those to the event log; without a loop.

    Args:
        folder: That of the event log, with `hits`, `events` and `positions` in it.
        maker: Makes the events.
        first_seen: The maker's.
        segment_bytes: From this size on a new file of events is begun.
        counters: Count `recorder.recorded`, `recorder.damaged`: lines that are no hits, and
            `recorder.gone`: lines that somebody deleted before they were recorded.

    Attributes:
        next_sequence: Of the event that is written next.

    Raises:
        LogLockedError: another process records.
        SinkError: the folder can't be used.
    """

    def __init__(
        self,
        folder: Path,
        maker: EventMaker,
        first_seen: FirstSeen,
        counters: Counters,
        *,
        segment_bytes: int,
    ) -> None:
        self._folder = folder
        self._maker = maker
        self._counters = counters
        self._writer = LogWriter(folder / "events", segment_bytes=segment_bytes)
        try:
            self._state_file = StateFile(folder / "positions" / "recorder.json")
            state = self._state_file.load()
            self._hits = HitReader(folder / "hits", state.hits)
            self._known = self._read_back(state.sequence, first_seen)
        except SinkError:
            self._writer.close()
            raise
        self._waiting: list[bytes] = []
        self._is_recording = False
        self._saved = state
        self._saved_at = 0.0
        # When events were written: their first sequences, and Unix seconds.
        self._marks: deque[tuple[int, float]] = deque(maxlen=_MAX_MARKS)
        self._marks.append((1, time.time()))
        self.next_sequence = self._writer.next_sequence

    def record(self) -> int:
        """Record the next hits; return how many lines of hit logs were new.

        Raises:
            SinkError: the disk does not take the events; they wait for the next call.
        """
        self._is_recording = True
        count = self._record()
        self._is_recording = False
        return count

    def _record(self) -> int:
        count = 0
        if not self._waiting:
            lost = self._hits.lost
            hits = self._hits.read(_BATCH_LINES)
            if self._hits.lost > lost:
                self._counters.add("recorder.gone", self._hits.lost - lost)
            count = len(hits)
            if not hits:
                if not self._hits.has_errors:
                    # Nothing of what was read again is left.
                    self._known.clear()
                self._save()
                return 0
            self._waiting = list(self._make_lines(hits))
        if self._waiting:
            self._marks.append((self._writer.next_sequence, time.time()))
            self._writer.append(self._waiting)
            self._counters.add("recorder.recorded", len(self._waiting))
            self._waiting = []
            self.next_sequence = self._writer.next_sequence
        self._save()
        return count or 1

    def close(self) -> None:
        """Keep where it stands, and let the next recorder in."""
        try:
            if not self._waiting:
                self._saved_at = 0.0
                with suppress(SinkError):
                    self._save()
        finally:
            self._hits.close()
            self._writer.close()

    def remove_delivered(self, before_sequence: int, keep_seconds: float) -> None:
        """Remove segments of events that every sink has, and that are old enough.

        Args:
            before_sequence: The first event that a sink still has to get.
            keep_seconds: How long events stay in any case.
        """
        try:
            remove_old(self._writer, self._folder / "events", before_sequence, keep_seconds)
        except (OSError, SinkError) as error:
            log.warning("events.not_removed", error=str(error))

    def count_bytes_left(self) -> int:
        """Count the bytes of hits that are logged, but not recorded yet."""
        # What is under way is not counted there any more, and no event yet.
        return self._hits.count_bytes_left() + self._is_recording

    def find_time(self, sequence: int) -> float:
        """Return about when an event was written, in Unix seconds."""
        marks = list(self._marks)
        place = bisect_right([first for first, _ in marks], sequence) - 1
        return marks[max(place, 0)][1]

    def _make_lines(self, hits: Sequence[Hit]) -> list[bytes]:
        lines = []
        for line, members in hits:
            if is_erased(line):
                continue
            try:
                made = list(self._maker.make(line, members))
            except TrackingError:
                raise
            except Exception as error:  # noqa: BLE001 - all others would wait behind it for ever
                self._set_aside(line, error)
                continue
            for event_id, event in made:
                if event_id in self._known:
                    self._known.discard(event_id)
                else:
                    lines.append(event)
        return lines

    def _set_aside(self, line: bytes, error: Exception) -> None:
        """Keep a line that is no hit: somebody may be able to read it."""
        self._counters.add("recorder.damaged")
        path = self._folder / "dead" / "hits.ndjson"
        log.error("hits.damaged", kept_in=str(path), error=repr(error))
        with suppress(OSError):
            path.parent.mkdir(mode=0o700, exist_ok=True)
            with path.open("ab") as file:
                file.write(line + b"\n")

    def _read_back(self, sequence: int, first_seen: FirstSeen) -> set[str]:
        """Take in the last events; return the ids of those whose hits may be read again."""
        begin = max(1, min(sequence, self._writer.next_sequence - _WARM_EVENTS))
        folder = self._folder / "events"
        segments = list_segments(folder)
        if self._writer.next_sequence == 1 and first_seen.store is not None:
            # An older store may know events that this log has never had.
            first_seen.begin(int(time.time() * 1000))
        segment = max((each for each in segments if each <= begin), default=0)
        reader = LogReader(folder, Position(segment, 0, segment or 1))
        known: set[str] = set()
        first = self._writer.next_sequence
        try:
            while batch := reader.read():
                first = min(first, batch.first_sequence)
                for number, line in enumerate(batch.lines, batch.first_sequence):
                    if number >= sequence:
                        known.update(read_ids([line]))
                    elif number >= begin:
                        at = self._maker.remember(line)
                        if number > 1 and not first_seen.since:
                            first_seen.begin(at)
        finally:
            reader.close()
        if first > 1 and not first_seen.since:  # all that was before is removed
            first_seen.begin(int(time.time() * 1000))
        return known

    def _save(self) -> None:
        now = time.monotonic()
        if now - self._saved_at < _SAVE_SECONDS:
            return
        # Until all is read again, events behind the old sequence may be those of hits to come.
        sequence = self._saved.sequence if self._known else self._writer.next_sequence
        state = State(sequence, dict(self._hits.positions))
        if state != self._saved:
            self._state_file.save(state)
            self._saved = state
            self._hits.remove_read(state.hits)
        self._saved_at = now
