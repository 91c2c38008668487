"""The recorder's process: what workers log becomes events there, and goes on to the sinks.

Readers and mail come first: it has less of the processor where that is short. It opens no port,
and a fault of a sink is no reason for it to end.
"""

import asyncio
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Final, Protocol, TypeAlias

from msys_track import logs
from msys_track.config.configuration import Configuration
from msys_track.errors import TrackingError
from msys_track.metrics import Counters, Figures
from msys_track.recording.recorder import run_recorder
from msys_track.service.hits import find_events_folder
from msys_track.service.sinks import make_sinks
from msys_track.supervision.channel import Channel, Order

_BEAT_SECONDS: Final = 1.0
_NICENESS: Final = 10


class Recorder(Protocol):
    """What makes events of hits, and delivers them."""

    def gauges(self) -> Mapping[str, float]:
        """Say how far it is behind (`metrics.TRACKER`)."""


class Reporter:
    """What a recorder tells its supervisor.

    Attributes:
        counters: Count what it does.
        stop: Is set when it is to finish.
    """

    def __init__(self, channel: Channel, stop: asyncio.Event) -> None:
        self.counters = Counters()
        self.stop = stop
        self._channel = channel
        self._recorder: Recorder | None = None

    @property
    def stop_by(self) -> float | None:
        """When all is to be done, in seconds of `time.monotonic`; None where nobody said."""
        return self._channel.stop_by

    def note_ready(self) -> None:
        """Say that it can record, or could as soon as another one lets it."""
        self._channel.report(ready=True)

    def note_started(self, recorder: Recorder) -> None:
        """Report the gauges of what has begun to record."""
        self._recorder = recorder

    def report_figures(self) -> None:
        """Report what was counted so far; it is a sign of life as well."""
        counts = {**self.counters.snapshot(), "log.dropped": logs.count_dropped_lines()}
        gauges = {} if self._recorder is None else dict(self._recorder.gauges())
        self._channel.report(figures=Figures(counts, gauges).as_json())


Record: TypeAlias = Callable[[Reporter], Awaitable[None]]
"""Records until `Reporter.stop` is set and what is logged is done."""


def make_recorder(read: Configuration, patience_seconds: float) -> Record:
    """Make what records as a configuration says.

    Args:
        read: The configuration.
        patience_seconds: How long sinks may take once it is to stop; where the supervisor does
            not say when all is to be done, what is logged becomes events in that time too.

    Raises:
        SettingsError: a sink can't be what it is to be; nothing is opened yet.
    """
    folder = find_events_folder(read)
    make_sinks(read, folder, Counters())  # their faults are told before there are workers
    events = replace(read.events, close_timeout_seconds=patience_seconds)

    async def record(reporter: Reporter) -> None:
        await run_recorder(
            folder,
            make_sinks(read, folder, reporter.counters),
            events=events,
            classification=read.classification,
            also_click=read.tracker is not None and read.tracker.unsubscribe_also_click,
            counters=reporter.counters,
            stop=reporter.stop,
            on_ready=reporter.note_ready,
            on_started=reporter.note_started,
            find_end=lambda: reporter.stop_by,
        )

    return record


def serve_recorder(record: Record, control: socket.socket) -> None:
    """Record until the supervisor says to stop, or is gone, and all that is logged is done.

    A SIGTERM to all processes of a server is none to it: the workers still log what they do.

    Args:
        record: Does it; it bounds its own end.
        control: The channel to the supervisor.

    Raises:
        TrackingError: it can't start; the supervisor knows why.
    """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with suppress(OSError):
        os.nice(_NICENESS)
    # asyncio's own loop does: the work is on files, and most of what is waited for is time.
    asyncio.run(_serve(record, control))


async def _serve(record: Record, control: socket.socket) -> None:
    stop = asyncio.Event()

    def obey(order: Order) -> None:
        if order != "reload":  # for that another recorder takes its place
            stop.set()

    channel = await Channel.open(control, obey)
    reporter = Reporter(channel, stop)

    async def beat() -> None:
        while True:
            reporter.report_figures()
            await asyncio.sleep(_BEAT_SECONDS)

    beating = asyncio.create_task(beat())
    try:
        await record(reporter)
    except TrackingError as error:
        channel.report(failed=str(error))
        raise
    finally:
        beating.cancel()
        reporter.report_figures()  # with what it did last
        channel.close()
        await asyncio.sleep(0)
