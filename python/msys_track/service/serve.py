"""The event loop that a server runs on."""

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any

import uvloop


def run(server: Coroutine[Any, Any, None]) -> None:
    """Run a server to its end, on uvloop's loop where there is one."""
    factory = None if sys.platform == "win32" else uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(server)
