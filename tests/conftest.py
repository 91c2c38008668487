"""What all tests have in common.

No test depends on the machine's speed: Hypothesis measures each example's time otherwise. Code
that waits runs on asyncio, as all of msys-track does, whatever other loops are installed.
"""

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"
