"""What the tests of the comparison have in common."""

import gc

import pytest


@pytest.fixture(autouse=True, scope="module")
def _small_heap() -> None:
    """Let the collections before each round of a race not look at what earlier tests left.

    In a process that has run many tests each of them takes longer than the round.
    """
    gc.collect()
    gc.freeze()
