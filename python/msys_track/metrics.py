"""The registry of counters: what proxy, tracker and event writer did, in numbers."""

from collections import Counter
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

TRACKER_COUNTERS: Final = (
    "requests",  # whole requests, whatever the answer
    "clicks",  # redirects to a target, expired and HEAD included
    "opens",  # pixels of an authentic link, expired and HEAD included
    "expired",  # authentic links past their time: answered as usual, no event
    "invalid_tokens",  # clicks and opens whose token is not ours, or was changed
    "not_found",  # paths that are not a tracked URL
    "refused_methods",  # anything but GET and HEAD
    "bad_requests",  # not HTTP, over a limit, or without a Host
    "timeouts",  # requests that did not arrive in time
    "refused_connections",  # connections over `max_connections`
    # Defects of ours: each cost a connection, an event, or a `Location` its exact form.
    "failures",
)


class Counters:
    """Numbers that only grow, by name; each server and each event writer has its own.

    The proxy counts `connections.accepted`, `.refused`, `.rejected`, `.dropped`,
    `.tls_failed`; `access.logged_in`, and `access.refused.<why>` as docs/access.md lists them;
    `sessions.failed`, `sessions.ended.<why>`; `recipients.refused`; `messages.accepted`;
    `messages.refused.<why>` with why one of `bare_newline`, `over_size`, `over_header`, `nul`,
    `over_budget`, `header`, `policy`, `upstream`, `client_gone`, `spool_full`, `internal`;
    `messages.partly_relayed`, `.repeated`; `copies.relayed`, `.links`, `.pixels`;
    `upstreams.went_down`, `.came_up`, `.failed_over`;
    `left_alone.<reason code>`; `notices.<what could not be had>`; `policy.rejected`, and where
    policy failed `policy.continued` or `policy.refused`; `spool.kept`, `.reported`, `.refused`,
    `.relayed`, `.deferred`, `.failed`; `dkim.signed`, `.unsigned`, `.failed`.

    The tracker counts `TRACKER_COUNTERS`. The event writer counts the events that it `accepted`,
    those `written` to its sink, and those `dropped` at a full queue or after its end.

    Args:
        names: Counters that a snapshot has before anything is counted.
    """

    __slots__ = ("_counts",)

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._counts: Counter[str] = Counter(dict.fromkeys(names, 0))

    def __getitem__(self, name: str) -> int:
        """Return one number; 0 for a name that was never counted."""
        return self._counts[name]

    def add(self, name: str, count: int = 1) -> None:
        """Count something."""
        self._counts[name] += count

    def snapshot(self) -> Mapping[str, int]:
        """Return the numbers as they are now; they don't change later."""
        return MappingProxyType(dict(self._counts))
