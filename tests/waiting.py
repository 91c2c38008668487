"""Waiting for what no reply reports."""

import asyncio
import time
from collections.abc import Callable


async def until(condition: Callable[[], object], seconds: float = 60) -> None:
    """Let the loop run until it is so."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - nothing would set an event
            await asyncio.sleep(0.002)


def ask_until(condition: Callable[[], object], seconds: float = 60) -> None:
    """Ask again and again until it is so, where no loop runs."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never was so"
        time.sleep(0.01)
