"""How much is looked at: a part by default, everything with `MSYS_TRACK_THOROUGH=1`.

Each behaviour has its test in `make test`. What costs much and finds little more each time is for
`make test-thorough`: most examples of Hypothesis, most of the corpus, most crossings of a matrix,
and the tests marked `thorough`.
"""

import os
from collections.abc import Iterable
from typing import TypeVar

import pytest

IS_THOROUGH = bool(os.environ.get("MSYS_TRACK_THOROUGH"))
_SHARE = 4
_SHARE_OF_EXAMPLES = 10
_FEW_EXAMPLES = 20

Case = TypeVar("Case")

only_thorough = pytest.mark.thorough
"""The test runs in `make test-thorough` alone."""


def examples(count: int) -> int:
    """Of so many examples of Hypothesis, how many to try; a few are tried all."""
    return count if IS_THOROUGH else max(count // _SHARE_OF_EXAMPLES, min(count, _FEW_EXAMPLES))


def some_of(cases: Iterable[Case], every: int = _SHARE) -> list[Case]:
    """Of cases, each so many-th by default, the first among them; the same ones each time.

    Where cases are a product, a number without a common divisor with the lengths of its factors
    takes all values of each factor.
    """
    return list(cases)[:: 1 if IS_THOROUGH else every]
