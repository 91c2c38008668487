"""What all tests have in common.

No test depends on the machine's speed: Hypothesis measures each example's time otherwise. Code
that waits runs on asyncio, as all of msys-track does, whatever other loops are installed.
"""

import gc
import signal
from collections.abc import Generator

import pytest
from _pytest.runner import runtestprotocol  # no public name runs a test without its reports
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


# What runs in the background of a shell ignores it, and its processes would too.
signal.signal(signal.SIGINT, signal.default_int_handler)


# Files that take long begin first: else one process has the last of them while the others wait.
_LONG = (
    "tests/test_migration_page.py",
    "tests/report/test_browser.py",
    "tests/faults/",
    "tests/service/",
    "tests/supervision/",
    "tests/deploy/",
    "tests/cli/",
    "tests/demo/",
    "tests/recording/",
    "tests/rewriting/",
    "tests/manual/",
    "tests/injection/test_intake.py",
    "tests/injection/test_acceptance.py",
    "tests/sinks/rabbitmq/",
    "tests/report/sparkpost/",
    "tests/test_bad_input.py",
    "tests/test_precedence_at_random.py",
)


def _rank(item: pytest.Item) -> int:
    found = (place for place, begin in enumerate(_LONG) if item.nodeid.startswith(begin))
    return next(found, len(_LONG))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with what takes long; leave out what is for `make test-thorough` alone."""
    items.sort(key=_rank)
    if IS_THOROUGH:
        return
    left_out = [each for each in items if each.get_closest_marker("thorough")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [each for each in items if not each.get_closest_marker("thorough")]


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Let no collection of garbage look at the tests themselves: there are many, and they stay."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Report one thing of a test that passes, not five, where reports go to another process.

    Sending and reading them takes as long as many a test. What measures or keeps each phase,
    `--durations` and `--junit-xml`, gets all.
    """
    options = item.config.option
    is_worker = hasattr(item.config, "workerinput")
    if not is_worker or options.durations is not None or getattr(options, "xmlpath", None):
        return None
    for report in runtestprotocol(item, log=False, nextitem=nextitem):
        if report.when == "call" or not report.passed:
            item.ihook.pytest_runtest_logreport(report=report)
    return True


def pytest_sessionfinish() -> None:
    """End what processes were forked off."""
    nursery.close()


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"
