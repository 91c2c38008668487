"""How many connections, and how many mails a minute: what is counted for a network or a user."""

from collections.abc import Hashable
from typing import Final

_SECONDS: Final = 60
_MAX_COUNTERS: Final = 10_000


class Gauge:
    """How many there are now, and how many there may be."""

    __slots__ = ("count", "highest")

    def __init__(self, highest: int) -> None:
        self.highest = highest
        self.count = 0

    @property
    def is_full(self) -> bool:
        """Whether there may be no more."""
        return self.count >= self.highest

    def take(self) -> None:
        """Count one more."""
        self.count += 1

    def give_back(self) -> None:
        """Count one less."""
        self.count -= 1


class TokenBucket:
    """So many a minute: at most a whole minute's at once, refilled evenly."""

    __slots__ = ("_at", "_per_minute", "_tokens")

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._tokens = float(per_minute)
        self._at: float | None = None

    def take(self, now: float) -> bool:
        """Take a token; False if there is none. `now` is in seconds and never goes back."""
        if not self.has_token(now):
            return False
        self._tokens -= 1
        return True

    def has_token(self, now: float) -> bool:
        """Whether `take` would succeed."""
        if self._at is not None:
            new = (now - self._at) * self._per_minute / _SECONDS
            self._tokens = min(self._per_minute, self._tokens + new)
        self._at = now
        return self._tokens >= 1

    def is_full(self, now: float) -> bool:
        """Whether it counts as a new one does."""
        self.has_token(now)
        return self._tokens >= self._per_minute


class Counted:
    """Gauges and buckets by what they count; those that are idle are forgotten."""

    __slots__ = ("_buckets", "_gauges")

    def __init__(self) -> None:
        self._gauges: dict[Hashable, Gauge] = {}
        self._buckets: dict[Hashable, TokenBucket] = {}

    def find_gauge(self, key: Hashable, highest: int) -> Gauge:
        """Find the gauge of a key, or make one; a changed limit applies at once."""
        gauge = self._gauges.get(key)
        if gauge is None:
            if len(self._gauges) >= _MAX_COUNTERS:
                self._gauges = {key: each for key, each in self._gauges.items() if each.count}
            gauge = self._gauges[key] = Gauge(highest)
        gauge.highest = highest
        return gauge

    def find_bucket(self, key: Hashable, per_minute: int, now: float) -> TokenBucket:
        """Find the bucket of a key and a rate, or make a full one."""
        bucket = self._buckets.get((key, per_minute))
        if bucket is None:
            if len(self._buckets) >= _MAX_COUNTERS:
                self._forget_buckets(now)
            bucket = self._buckets[key, per_minute] = TokenBucket(per_minute)
        return bucket

    def __len__(self) -> int:
        """How many are kept."""
        return len(self._gauges) + len(self._buckets)

    def _forget_buckets(self, now: float) -> None:
        """Forget what counts as a new one does; if that is too little, the older half as well."""
        kept = [(key, each) for key, each in self._buckets.items() if not each.is_full(now)]
        half = _MAX_COUNTERS // 2
        self._buckets = dict(kept if len(kept) <= half else kept[-half:])
