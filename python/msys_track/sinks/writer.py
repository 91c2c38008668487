"""Writes events to a sink without making the caller wait: a bounded queue, batches, and retries.

Events that wait are in memory only: a crash loses them, and so does an overflow.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from types import TracebackType
from typing import Annotated, Protocol, Self

from msys_track.errors import SinkError
from msys_track.events import Event
from msys_track.logs import event_logger
from msys_track.metrics import Counters
from msys_track.settings.key import Key, check_settings
from msys_track.settings.kinds import COUNT, SECONDS

log = event_logger(__name__)


class Sink(Protocol):
    """Where events go. `write` returns when they are durable, or raises `SinkError`.

    A batch may come again after an error: a sink takes an event it already has as stored.
    """

    async def write(self, events: Sequence[Event]) -> None:
        """Store the events, all or none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterSettings:
    """How many events wait, and for how long.

    Raises:
        SettingsError: a value that no writer could work with.
    """

    # Those being written included; more are dropped and counted. About 2 KB each.
    max_queued: Annotated[int, Key(COUNT, "events in memory")] = 100_000
    max_batch: Annotated[int, Key(COUNT, "events in one write")] = 1_000
    batch_seconds: Annotated[
        float, Key(SECONDS, "the longest an event waits for others before it is written")
    ] = 0.1
    first_retry_seconds: Annotated[
        float, Key(SECONDS, "pause after a failed write; doubled after each further one")
    ] = 0.1
    last_retry_seconds: Annotated[float, Key(SECONDS, "the longest such pause")] = 5.0
    flush_timeout_seconds: Annotated[
        float, Key(SECONDS, "how long `flush` and `close` wait for the sink")
    ] = 10.0

    def __post_init__(self) -> None:
        check_settings(self, "events: ")


class EventWriter:
    """Hands events to one sink in the order they came; lives on one event loop.

    `counters` holds how many events were `accepted`, `written` and `dropped`.

    ```python
    async with SqliteSink(path) as sink, EventWriter(sink) as writer:
        writer.put(event)
    ```
    """

    def __init__(self, sink: Sink, settings: WriterSettings | None = None) -> None:
        self._sink = sink
        self._settings = WriterSettings() if settings is None else settings
        self._queue: deque[Event] = deque()
        self.counters = Counters()
        self._task: asyncio.Task[None] | None = None
        self._arrived = asyncio.Event()
        self._hurry = asyncio.Event()
        self._progress = asyncio.Event()
        self._last_error: SinkError | None = None
        self._overflowing = False
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def put(self, event: Event) -> bool:
        """Take an event without waiting; return False if it was dropped.

        Call it on the event loop that `flush` and `close` are awaited on.
        """
        queue, settings = self._queue, self._settings
        if self._closed or len(queue) >= settings.max_queued:
            self.counters.add("dropped")
            if not self._overflowing:
                # A line when it begins and one when it ends: a line each would be a flood.
                log.error("events.dropping", waiting=len(queue))
                self._overflowing = True
            return False
        queue.append(event)
        self.counters.add("accepted")
        self._arrived.set()
        if len(queue) >= settings.max_batch:
            self._hurry.set()
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="event-writer")
            self._task.add_done_callback(self._report_end)
        return True

    async def flush(self) -> None:
        """Return when every event put so far is durable.

        Raises:
            SinkError: it took longer than `flush_timeout_seconds`; the events still wait, and
                the writer goes on trying.
        """
        goal = self.counters["accepted"]
        timeout_seconds = self._settings.flush_timeout_seconds
        try:
            async with asyncio.timeout(timeout_seconds):
                while self.counters["written"] < goal:
                    if self._task is None or self._task.done():
                        raise SinkError(f"{len(self._queue)} events wait: the writer has ended")
                    self._hurry.set()
                    self._progress.clear()
                    await self._progress.wait()
        except TimeoutError:
            raise SinkError(
                f"{len(self._queue)} events could not be stored within {timeout_seconds:g} s: "
                f"{self._last_error or 'sink is slow'}"
            ) from self._last_error

    async def close(self) -> None:
        """Store what waits, then stop; what the sink does not store in time is logged as lost."""
        self._closed = True
        try:
            await self.flush()
        except SinkError as error:
            log.error("events.lost", events=len(self._queue), error=str(error))  # noqa: TRY400
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        settings = self._settings
        pause = settings.first_retry_seconds
        while True:
            await self._arrived.wait()
            with suppress(TimeoutError):
                async with asyncio.timeout(settings.batch_seconds):
                    await self._hurry.wait()
            self._hurry.clear()
            batch = tuple(islice(self._queue, settings.max_batch))
            try:
                await self._sink.write(batch)
            except SinkError as error:
                if self._last_error is None:
                    log.warning("events.sink_failed", error=str(error), waiting=len(self._queue))
                self._last_error = error
                await asyncio.sleep(pause)
                pause = min(2 * pause, settings.last_retry_seconds)
            else:
                pause = settings.first_retry_seconds
                self._remove_written(len(batch))

    def _remove_written(self, count: int) -> None:
        """Take the oldest events off the queue, and wake the calls that wait for that."""
        queue = self._queue
        for _ in range(count):
            queue.popleft()
        self.counters.add("written", count)
        if self._last_error is not None:
            log.info("events.sink_recovered", waiting=len(queue))
        if self._overflowing:
            log.warning("events.dropped", dropped=self.counters["dropped"])
        self._last_error = None
        self._overflowing = False
        if not queue:
            self._arrived.clear()
        if len(queue) >= self._settings.max_batch:
            self._hurry.set()
        self._progress.set()

    def _report_end(self, task: asyncio.Task[None]) -> None:
        """Log a sink that broke its promise to raise nothing but `SinkError`."""
        if not task.cancelled():
            log.critical("events.writer_ended", exc_info=task.exception())
        self._progress.set()
