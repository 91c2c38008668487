"""The open connections of a tracker: how many there may be, and who has to go first.

Without it one client that opens connections and says nothing would lock out everybody else. A
reader sends a request at once, so whoever has been silent longest gives way.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from heapq import nsmallest
from ipaddress import IPv6Address
from operator import attrgetter
from typing import Final, Protocol

from msys_track.logs import event_logger
from msys_track.metrics import Counters
from msys_track.settings.addresses import Network
from msys_track.smtp.address import parse_ip

log = event_logger(__name__)

_LOGS_EVERY_SECONDS: Final = 10.0
# Who has been silent longest is looked for among all, but for so many in one go.
_SHARE_IN_ONE_SCAN: Final = 16
_SCANS_EVERY_SECONDS: Final = 0.1
_ADDRESSES_REMEMBERED: Final = 4_096
# One household or server has a network of this size (RFC 6177).
_IPV6_PREFIX_BITS: Final = 64


class Member(Protocol):
    """A connection as the crowd sees it."""

    @property
    def quiet_since(self) -> float:
        """When it was last heard, by the crowd's clock; a request that trickles in is not."""

    def may_give_way(self, now: float) -> bool:
        """Whether closing it would break no request of a reader."""

    def give_way(self) -> None:
        """Close at once."""


class _Group:
    """Members of whom one can be found that has been quiet longest."""

    __slots__ = ("_quietest", "_scans_at", "members")

    def __init__(self) -> None:
        self.members: set[Member] = set()
        self._quietest: list[tuple[float, Member]] = []
        self._scans_at = 0.0

    def find_quietest(self, now: float) -> Member | None:
        """Find it at the cost of one scan for many calls; None if all are busy."""
        while True:
            while self._quietest:
                since, member = self._quietest.pop()
                is_unheard = member in self.members and member.quiet_since == since
                if is_unheard and member.may_give_way(now):
                    return member
            if now < self._scans_at:
                return None
            able = (each for each in self.members if each.may_give_way(now))
            count = len(self.members) // _SHARE_IN_ONE_SCAN + 1
            found = nsmallest(count, able, key=attrgetter("quiet_since"))
            if not found:
                self._scans_at = now + _SCANS_EVERY_SECONDS
                return None
            self._quietest = [(each.quiet_since, each) for each in reversed(found)]


class Crowd:
    """Takes connections in, and closes idle ones for them where there are too many.

    Args:
        most: How many there may be.
        most_per_address: How many of one IPv4 address, or of one /64 of IPv6.
        exempt: Networks of whose addresses there may be as many as of all: front servers.
        counters: Count `refused_connections` and `displaced_connections`.
        clock: Seconds that never go back.
    """

    def __init__(
        self,
        most: int,
        most_per_address: int,
        exempt: Sequence[Network],
        counters: Counters,
        clock: Callable[[], float],
    ) -> None:
        self._most = most
        self._most_per_address = most_per_address
        self._counters = counters
        self._clock = clock
        self._all = _Group()
        self._groups: dict[str, _Group] = {}
        self._keys: dict[Member, str | None] = {}
        self._logs_at = clock()

        @lru_cache(_ADDRESSES_REMEMBERED)
        def find_key(address: str) -> str | None:
            ip = parse_ip(address)
            if ip is None or any(ip in network for network in exempt):
                return None
            if isinstance(ip, IPv6Address):
                return format(int(ip) >> (128 - _IPV6_PREFIX_BITS), "x")
            return address

        self._find_key = find_key

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._keys)

    def __iter__(self) -> Iterator[Member]:
        """Go through a copy: members may leave meanwhile."""
        return iter(tuple(self._keys))

    def admit(self, member: Member, address: str | None) -> bool:
        """Take one in; False, counted and logged, if there is no room and nobody gives way."""
        key = None if address is None else self._find_key(address)
        if key is not None:
            own = self._groups.get(key)
            is_full = own is not None and len(own.members) >= self._most_per_address
            if own is not None and is_full and not self._make_room(own):
                return False
        if len(self._keys) >= self._most and not self._make_room(self._all):
            return False
        self._add(member, key)
        return True

    def replace(self, old: Member, new: Member) -> bool:
        """Give one's place to another that goes on with its connection; False if it is gone."""
        if old not in self._keys:
            return False
        key = self._keys[old]
        self.remove(old)
        self._add(new, key)
        return True

    def remove(self, member: Member) -> None:
        """Forget one."""
        key = self._keys.pop(member, None)
        self._all.members.discard(member)
        if key is not None and (own := self._groups.get(key)) is not None:
            own.members.discard(member)
            if not own.members:
                del self._groups[key]

    def _add(self, member: Member, key: str | None) -> None:
        self._keys[member] = key
        self._all.members.add(member)
        if key is not None:
            self._groups.setdefault(key, _Group()).members.add(member)

    def _make_room(self, group: _Group) -> bool:
        now = self._clock()
        quietest = group.find_quietest(now)
        if quietest is not None:
            self.remove(quietest)
            quietest.give_way()
            self._counters.add("displaced_connections")
        else:
            self._counters.add("refused_connections")
        if now >= self._logs_at:
            self._logs_at = now + _LOGS_EVERY_SECONDS
            log.warning(
                "tracker.crowded",
                connections=len(self),
                displaced=self._counters["displaced_connections"],
                refused=self._counters["refused_connections"],
                hint="max_connections and max_connections_per_address; counts since the start",
            )
        return quietest is not None
