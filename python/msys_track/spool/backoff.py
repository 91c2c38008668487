"""When a copy is tried again."""

import random

_JITTER = 0.2


def find_pause(attempts: int, first_seconds: float, last_seconds: float) -> float:
    """Return the pause after so many attempts: doubled each time, up to the longest.

    A fifth more or less by chance, so that what failed together does not come back together.
    """
    doubled = first_seconds * 2.0 ** min(max(attempts - 1, 0), 32)
    return min(doubled, last_seconds) * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - no secret
