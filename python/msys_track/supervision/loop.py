"""The event loop that servers run on: uvloop's, which is quicker, else asyncio's own."""

import asyncio

from msys_track.logs import event_logger

log = event_logger(__name__)


def make_runner() -> asyncio.Runner:
    """Make a runner, and log whose loop it has."""
    try:
        import uvloop  # noqa: PLC0415 - not there for every system
    except ImportError:
        log.info("loop.chosen", loop="asyncio", why="uvloop is not installed")
        return asyncio.Runner()
    log.info("loop.chosen", loop="uvloop")
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)
