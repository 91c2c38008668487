"""The recorder's process: what workers log becomes events there, and goes on to the sinks.

Readers and mail come first: it has less of the processor where that is short. It opens no port,
and a fault of a sink is no reason for it to end.
"""

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final, Protocol

from msys_track import logs
from msys_track.errors import TrackingError
from msys_track.logs import event_logger
from msys_track.metrics import Counters, Figures
from msys_track.service.channel import Channel, Order

log = event_logger(__name__)

_BEAT_SECONDS: Final = 1.0
_NICENESS: Final = 10


class Recorder(Protocol):
    """What makes events of hits, and delivers them."""

    async def run(self) -> None:
        """Go on until cancelled; once `finish` was called, until all that is logged is done."""

    def finish(self) -> None:
        """Wait for nothing new any more."""

    def gauges(self) -> Mapping[str, float]:
        """Say how far it is behind (`metrics.TRACKER`)."""


def run_recorder(
    make: Callable[[Counters], Recorder], patience_seconds: float, control: socket.socket
) -> None:
    """Record until the supervisor, or SIGTERM, says to stop.

    It has a loop of asyncio's own: its work is on files, and most of what it waits for is time.

    Args:
        make: Makes the recorder; it counts what it does.
        patience_seconds: How long it may go on after that. What is left stands in the logs, and
            is recorded at the next start.
        control: The channel to the supervisor.

    Raises:
        TrackingError: it can't start, or ended unasked; the supervisor knows why.
    """
    with suppress(OSError):
        os.nice(_NICENESS)
    asyncio.run(_serve(make, patience_seconds, control))


async def _serve(
    make: Callable[[Counters], Recorder], patience_seconds: float, control: socket.socket
) -> None:
    loop = asyncio.get_running_loop()
    is_told = asyncio.Event()

    def obey(order: Order) -> None:
        if order != "reload":  # then there is another recorder soon
            is_told.set()

    channel = await Channel.open(control, obey)
    loop.add_signal_handler(signal.SIGTERM, is_told.set)
    counters = Counters()
    try:
        recorder = make(counters)
    except TrackingError as error:
        channel.report(failed=str(error))
        channel.close()
        raise

    def beat() -> None:
        counts = {**counters.snapshot(), "log.dropped": logs.count_dropped_lines()}
        channel.report(figures=Figures(counts, dict(recorder.gauges())).as_json())

    async def beat_on() -> None:
        while True:
            beat()
            await asyncio.sleep(_BEAT_SECONDS)

    running = loop.create_task(recorder.run(), name="recorder")
    telling = loop.create_task(is_told.wait())
    beating = loop.create_task(beat_on())
    channel.report(ready=True)
    try:
        await asyncio.wait((running, telling), return_when=asyncio.FIRST_COMPLETED)
        recorder.finish()
        await asyncio.wait((running,), timeout=patience_seconds)
        if running.done():
            running.result()
        else:
            log.warning(
                "recorder.unfinished", hint="goes on at the next start", **recorder.gauges()
            )
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        telling.cancel()
        beating.cancel()
        beat()  # with what it did last
        channel.close()
        await asyncio.sleep(0)
