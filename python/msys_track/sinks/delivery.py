"""Carries events from the log to one sink, from a position of its own: at least once each."""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from msys_track.errors import SinkError
from msys_track.eventlog.erasing import is_erased
from msys_track.eventlog.position import Position, PositionFile
from msys_track.eventlog.reader import Batch, LinesGoneError, LogReader
from msys_track.logs import event_logger
from msys_track.metrics import Counters

log = event_logger(__name__)

_POLL_SECONDS: Final = 0.1
_FIRST_RETRY_SECONDS: Final = 0.1
_LAST_RETRY_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class EventBatch:
    """Events that follow each other in the log.

    Attributes:
        lines: JSON as a webhook has it, an event each: `{"msys": {"track_event": {…}}}`.
        first_sequence: The number of the first one in the log.
    """

    lines: tuple[bytes, ...]
    first_sequence: int


class Sink(Protocol):
    """A place that events go to.

    Attributes:
        name: Names its position and its counters.
        max_events: A batch has at most so many.
        max_age_seconds: A batch waits at most so long for more of them.
    """

    name: str
    max_events: int
    max_age_seconds: float

    async def open(self) -> None:
        """Prepare; raises `SinkError` where that has to be tried again."""

    async def write(self, batch: EventBatch) -> None:
        """Return when the events are durable there; raises `SinkError` to have them again.

        A batch may come again after a crash: a sink takes an event that it has as stored.
        """

    async def close(self) -> None:
        """End; nothing is written afterwards."""


class EmptiedError(SinkError):
    """The sink has lost what it was given: it needs all that the log still has."""


class Delivery:
    """Follows the log for one sink.

    Attributes:
        position: The next event that the sink gets.
        last_error: Why the sink does not take events now; None while it does.
    """

    def __init__(
        self, folder: Path, position_file: PositionFile, sink: Sink, counters: Counters
    ) -> None:
        self._reader = LogReader(folder, position_file.load())
        self._position_file = position_file
        self._sink = sink
        self._counters = counters
        self._is_ending = False
        self.position = self._reader.position
        self.last_error: SinkError | None = None

    async def run(self) -> None:
        """Deliver until cancelled, or until all is delivered once `finish` was called."""
        pause = _FIRST_RETRY_SECONDS
        is_open = False
        try:
            while True:
                try:
                    if not is_open:
                        await self._sink.open()
                        is_open = True
                    batch = await self._collect()
                    if batch is None:
                        return
                    if batch.lines:
                        await self._sink.write(batch)
                    self.position = self._reader.position
                    self._position_file.save(self.position)
                except SinkError as error:
                    self._note_failure(error)
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, _LAST_RETRY_SECONDS)
                    if isinstance(error, EmptiedError):
                        self.position = Position()
                        self._position_file.save(self.position)
                    self._reader.close()
                    self._reader.position = self.position
                else:
                    pause = _FIRST_RETRY_SECONDS
                    self._counters.add(f"sinks.delivered.{self._sink.name}", len(batch.lines))
                    if self.last_error is not None:
                        log.info("sink.recovered", sink=self._sink.name)
                        self.last_error = None
        finally:
            self._reader.close()
            if is_open:
                with suppress(SinkError):
                    await self._sink.close()

    def finish(self) -> None:
        """Deliver what is in the log, without waiting for more, and end then."""
        self._is_ending = True

    async def _collect(self) -> EventBatch | None:
        """Gather a batch, without what was erased; None at the end."""
        sink, lines, first = self._sink, list[bytes](), 0
        due = None
        while len(lines) < sink.max_events:
            part = self._read(sink.max_events - len(lines))
            if part is not None:
                first = first or part.first_sequence
                lines += [each for each in part.lines if not is_erased(each)]
                due = due or time.monotonic() + sink.max_age_seconds
            elif self._is_ending or (due is not None and time.monotonic() >= due):
                break
            else:
                await asyncio.sleep(_POLL_SECONDS)
        return EventBatch(tuple(lines), first) if first else None

    def _read(self, max_lines: int) -> Batch | None:
        try:
            return self._reader.read(max_lines=max_lines)
        except LinesGoneError as error:
            # Somebody deleted them; waiting would not bring them back, and later ones are there.
            gone = self._reader.skip_gone()
            self._counters.add(f"sinks.gone.{self._sink.name}", gone)
            log.critical("sink.events_gone", sink=self._sink.name, count=gone, error=str(error))
            return self._reader.read(max_lines=max_lines)

    def _note_failure(self, error: SinkError) -> None:
        self._counters.add(f"sinks.failed.{self._sink.name}")
        if self.last_error is None:
            log.warning("sink.failed", sink=self._sink.name, error=str(error))
        self.last_error = error
