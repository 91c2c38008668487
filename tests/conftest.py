"""What all tests have in common.

No test depends on the machine's speed: Hypothesis measures each example's time otherwise. Code
that waits runs on asyncio, as all of msys-track does, whatever other loops are installed.
"""

import pytest
from hypothesis import HealthCheck, settings
from tests import nursery
from tests.thoroughness import IS_THOROUGH, examples

settings.register_profile(
    "any machine",
    deadline=None,
    max_examples=examples(100),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("any machine")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is for `make test-thorough` alone, unless this is it."""
    if IS_THOROUGH:
        return
    left_out = [each for each in items if each.get_closest_marker("thorough")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [each for each in items if not each.get_closest_marker("thorough")]


def pytest_sessionfinish() -> None:
    """End what processes were forked off."""
    nursery.close()


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"
