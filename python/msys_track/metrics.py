"""What happened, counted: one place that a metrics page can read without asking the sessions."""

from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType


class Counters:
    """Numbers that only grow, by dotted name.

    `connections.accepted`, `.refused`, `.rejected`; `sessions.failed`; `messages.accepted`;
    `messages.refused.<why>` with why one of `bare_newline`, `over_size`, `over_budget`, `header`,
    `policy`, `upstream`, `internal`; `messages.half_relayed`; `copies.relayed`, `.links`,
    `.pixels`; `left_alone.<reason code>`; `notices.<what could not be had>`; `policy.rejected`,
    and where policy failed `policy.continued` or `policy.refused`.
    """

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def add(self, name: str, count: int = 1) -> None:
        """Count something."""
        self._counts[name] += count

    def snapshot(self) -> Mapping[str, int]:
        """Return the numbers as they are now; they don't move any more."""
        return MappingProxyType(dict(self._counts))
