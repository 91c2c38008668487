"""Records hits, and delivers their events to every sink, until it is told to stop."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final

from msys_track.errors import SinkError
from msys_track.eventlog.position import PositionFile
from msys_track.eventlog.settings import EventsSettings
from msys_track.eventlog.writer import LogLockedError
from msys_track.logs import event_logger
from msys_track.metrics import Counters
from msys_track.recording.first_seen import FirstSeen, Remembers
from msys_track.recording.maker import EventMaker
from msys_track.recording.source import Source
from msys_track.recording.transcriber import Transcriber
from msys_track.sinks.delivery import Delivery, Sink
from msys_track.tracking.classify.classifier import Classifier
from msys_track.tracking.classify.networks import Networks
from msys_track.tracking.classify.settings import ClassificationSettings
from msys_track.tracking.classify.windows import Windows

log = event_logger(__name__)

_POLL_SECONDS: Final = 0.05
_LOCK_POLL_SECONDS: Final = 0.1
_RETENTION_SECONDS: Final = 60.0
_FIRST_RETRY_SECONDS: Final = 0.1
_LAST_RETRY_SECONDS: Final = 5.0
_RESTART_SECONDS: Final = 5.0
# Of the time that sinks may take at the end: what recording leaves to them.
_SINKS_SHARE: Final = 0.5
# Of the same time: what sinks have for closing in any case.
_CLOSING_SHARE: Final = 0.1
_DAY_SECONDS: Final = 86_400
_MEAN_LINE_BYTES: Final = 700


async def run_recorder(  # noqa: PLR0913 - what service knows, and this room can't
    folder: Path,
    sinks: Sequence[Sink],
    *,
    events: EventsSettings,
    classification: ClassificationSettings,
    also_click: bool,
    counters: Counters,
    stop: asyncio.Event,
    on_ready: Callable[[], None] = lambda: None,
    on_started: Callable[["Recorder"], None] | None = None,
    find_end: Callable[[], float | None] = lambda: None,
) -> None:
    """Record and deliver until `stop` is set, and all that is logged is recorded and delivered.

    Another recorder of the same folder is waited for. What can't be done within
    `events.close_timeout_seconds` after `stop` stays in the logs, for the next start; recording
    may take longer where `find_end` allows it.

    Args:
        folder: That of the event log.
        sinks: Where events go; each follows the log from a position of its own.
        events: The log's limits.
        classification: The rules.
        also_click: A link that unsubscribes makes a `click` as well.
        counters: Count what is recorded and delivered.
        stop: Ends it.
        on_ready: Is called once the files of the rules are read.
        on_started: Is called with what records now.
        find_end: Is called once `stop` is set; tells when all is to be done, in seconds of
            `time.monotonic`, or None.

    Raises:
        SettingsError: a file of the rules can't be used.
        SinkError: the folder can't be used.
    """
    maker, first_seen = make_event_maker(classification, sinks, also_click=also_click)
    on_ready()
    while True:
        try:
            transcriber = Transcriber(
                folder, maker, first_seen, counters, segment_bytes=events.segment_bytes
            )
        except LogLockedError:
            if stop.is_set():  # the other one does what is left
                return
            await _wait(stop, _LOCK_POLL_SECONDS)
            continue
        recorder = Recorder(folder, transcriber, sinks, events, counters, find_end)
        if on_started is not None:
            on_started(recorder)
        await recorder.run(stop)
        return


def make_event_maker(
    classification: ClassificationSettings, sinks: Sequence[Sink] = (), *, also_click: bool = False
) -> tuple[EventMaker, FirstSeen]:
    """Make what makes events, with the memory that it needs.

    Args:
        classification: The rules.
        sinks: One of them may know older events.
        also_click: A link that unsubscribes makes a `click` as well.

    Raises:
        SettingsError: a file of the rules can't be used.
    """
    files = (
        classification.networks,
        classification.apple_egress,
        classification.asn_database,
        classification.geo_ip,
    )
    networks = Networks(*files) if any(files) else None
    windows = Windows(classification)
    store = next((sink for sink in sinks if isinstance(sink, Remembers)), None)
    first_seen = FirstSeen(classification.max_first_seen, store)
    maker = EventMaker(
        Classifier(classification, networks, windows),
        windows,
        first_seen,
        also_click=also_click,
        infer_opens=classification.infer_opens,
    )
    return maker, first_seen


class Recorder:
    """Records and delivers; it holds the lock of the event log."""

    def __init__(  # noqa: PLR0913, PLR0917 - its parts
        self,
        folder: Path,
        transcriber: Source,
        sinks: Sequence[Sink],
        events: EventsSettings,
        counters: Counters,
        find_end: Callable[[], float | None] = lambda: None,
    ) -> None:
        self._folder = folder
        self._transcriber = transcriber
        self._sinks = sinks
        self._settings = events
        self._counters = counters
        self._find_end = find_end
        self._deliveries: dict[str, Delivery] = {}
        self._is_ending = False
        # One thread: hits are recorded beside the deliveries, and in their order.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="recorder")

    def gauges(self) -> dict[str, float]:
        """Say how far it is behind (`metrics.TRACKER`)."""
        now = time.time()
        left = self._transcriber.count_bytes_left()
        found = {"recorder.lag_events": float(left // _MEAN_LINE_BYTES + bool(left))}
        for name, delivery in self._deliveries.items():
            sequence = max(delivery.position.sequence, 1)
            lag = max(0, self._transcriber.next_sequence - sequence)
            found[f"sinks.lag_events.{name}"] = float(lag)
            seconds = now - self._transcriber.find_time(sequence) if lag else 0.0
            found[f"sinks.lag_seconds.{name}"] = max(0.0, seconds)
        return found

    async def run(self, stop: asyncio.Event) -> None:
        """Record and deliver until `stop` is set, then finish what is there."""
        delivering = [
            asyncio.create_task(self._deliver(sink), name=f"sink-{sink.name}")
            for sink in self._sinks
        ]
        ends_at = 0.0
        try:
            ends_at = await self._record_until(stop)
            self._is_ending = True
            for delivery in self._deliveries.values():
                delivery.finish()
            await _wait_for(delivering, self._find_rest(ends_at))
        finally:
            for task in delivering:
                task.cancel()
            least = _CLOSING_SHARE * self._settings.close_timeout_seconds
            await _wait_for(delivering, max(least, self._find_rest(ends_at)))
            for task in delivering:  # one that waits for a lock or a broker even then
                task.cancel()
            self._tell_what_is_left()
            self._thread.shutdown()
            self._transcriber.close()

    def _find_rest(self, ends_at: float) -> float:
        """Find how many seconds sinks have now."""
        rest = min(ends_at - time.monotonic(), self._settings.close_timeout_seconds)
        return max(0.0, rest)

    async def _record_until(self, stop: asyncio.Event) -> float:
        """Record; once `stop` is set, what is logged is recorded still, and sinks are left time.

        Returns:
            When the whole time is over, in seconds of `time.monotonic`.
        """
        loop = asyncio.get_running_loop()
        pause = _FIRST_RETRY_SECONDS
        error_text = ""
        retention_due = 0.0
        last = ends_at = float("inf")
        while time.monotonic() < last:
            # What was logged until then: a look that began earlier may have missed the last of it.
            is_stopping = stop.is_set()
            if is_stopping and ends_at == float("inf"):
                now, patience = time.monotonic(), self._settings.close_timeout_seconds
                end = self._find_end()
                ends_at = now + patience if end is None else end
                last = ends_at - _SINKS_SHARE * min(patience, ends_at - now)
            try:
                count = await loop.run_in_executor(self._thread, self._transcriber.record)
            except SinkError as error:
                if not error_text:
                    log.error("events.not_recorded", error=str(error))  # noqa: TRY400
                error_text = str(error)
                await asyncio.sleep(min(pause, max(0.0, last - time.monotonic())))
                pause = min(2 * pause, _LAST_RETRY_SECONDS)
                continue
            if error_text:
                log.info("events.recorded_again")
                error_text, pause = "", _FIRST_RETRY_SECONDS
            if time.monotonic() >= retention_due:
                retention_due = time.monotonic() + _RETENTION_SECONDS
                await loop.run_in_executor(self._thread, self._remove_old)
            if not count:
                if is_stopping:
                    return ends_at
                await _wait(stop, _POLL_SECONDS)
        # The time is over. (Where workers go on, hits come all the time, and are no backlog.)
        if left := self._transcriber.count_bytes_left():
            hits = left // _MEAN_LINE_BYTES + 1
            log.warning("recorder.behind", hits=hits, hint="about so many; the next one goes on")
        return ends_at

    async def _deliver(self, sink: Sink) -> None:
        """Deliver to one sink; what its code or its position's file does wrong harms no other."""
        position_file = PositionFile(self._folder / "positions" / f"{sink.name}.json")
        while True:
            try:
                delivery = Delivery(self._folder / "events", position_file, sink, self._counters)
                self._deliveries[sink.name] = delivery
                if self._is_ending:
                    delivery.finish()
                await delivery.run()
            except SinkError as error:
                log.critical("sink.stopped", sink=sink.name, error=str(error))
            except Exception:
                log.critical("sink.stopped", sink=sink.name, exc_info=True)
            else:
                return
            await asyncio.sleep(_RESTART_SECONDS)

    def _remove_old(self) -> None:
        positions = [each.position.sequence for each in list(self._deliveries.values())]
        if len(positions) == len(self._sinks):
            before = min(positions, default=self._transcriber.next_sequence)
            self._transcriber.remove_delivered(before, self._settings.keep_days * _DAY_SECONDS)

    def _tell_what_is_left(self) -> None:
        for name, delivery in self._deliveries.items():
            left = self._transcriber.next_sequence - max(delivery.position.sequence, 1)
            if left > 0:
                log.warning("sink.behind", sink=name, events=left)


async def _wait_for(tasks: Sequence[asyncio.Task[None]], seconds: float) -> None:
    """Wait until all have ended, or time is over; `gather` would wait for cancelled ones too."""
    if tasks:
        await asyncio.wait(tasks, timeout=seconds)


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    """Wait for some time, or until `stop` is set."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
