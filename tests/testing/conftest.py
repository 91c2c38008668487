"""A stage, with logs as quiet as `msys-track demo` has them."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from msys_track.demo.stage import Stage, open_stage


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": True}


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """Give the servers of the demo, running."""
    async with open_stage() as opened:
        yield opened
