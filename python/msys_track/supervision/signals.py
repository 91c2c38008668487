"""What SIGTERM and SIGINT mean to a program with one process."""

import asyncio
import signal

from msys_track.logs import event_logger

log = event_logger(__name__)


def catch_stop_signals() -> asyncio.Event:
    """Make an event that SIGTERM or SIGINT sets; the same signal again then ends us at once."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()

    def on_signal() -> None:
        log.info("server.stopping")
        stop.set()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)
    return stop
