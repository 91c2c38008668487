"""Real processes need no second event loop in the tests."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
