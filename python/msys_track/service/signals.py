"""What SIGTERM, SIGINT and SIGHUP mean to a server."""

import asyncio
import signal
from collections.abc import Callable

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


def catch_hangup(reload: Callable[[], None]) -> None:
    """Call `reload` at each SIGHUP."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload)
