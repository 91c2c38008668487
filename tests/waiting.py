"""Waiting for what no reply reports."""

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], object], seconds: float = 60) -> None:
    """Let the loop run until it is so."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - nothing would set an event
            await asyncio.sleep(0.002)
