"""One timer for all time-outs of an upstream.

Nearly no time-out ever happens, so none is worth a timer of its own: a wait notes when it ends,
and the timer is set only if that is earlier than what it is set for.
"""

import asyncio
from math import inf
from typing import Protocol

# A loop's timer may fire this much early; uvloop counts in milliseconds.
_EARLY_SECONDS = 0.002


class Timed(Protocol):
    """What may wait, or lie idle, for a limited time.

    Attributes:
        deadline: When that time is over, by the loop's clock; infinite while nothing is waited
            for.
    """

    deadline: float

    def expire(self) -> None:
        """End the wait; the deadline is over."""


class Deadlines:
    """Calls `expire` on whatever reaches its deadline; use it within one event loop.

    Attributes:
        due: When it looks next; infinite if it does not. Later deadlines need not be noted.
    """

    __slots__ = ("_timed", "_timer", "due")

    def __init__(self) -> None:
        self._timed: set[Timed] = set()
        self.due = inf
        self._timer: asyncio.TimerHandle | None = None

    def add(self, timed: Timed) -> None:
        """Watch it from now on; `note` each deadline that is set."""
        self._timed.add(timed)

    def discard(self, timed: Timed) -> None:
        """Watch it no longer."""
        self._timed.discard(timed)
        if not self._timed and self._timer is not None:
            self._timer.cancel()
            self._timer, self.due = None, inf

    def note(self, deadline: float) -> None:
        """Let the timer fire by then."""
        if deadline >= self.due:
            return
        if self._timer is not None:
            self._timer.cancel()
        self.due = deadline
        self._timer = asyncio.get_running_loop().call_at(deadline, self._sweep)

    def _sweep(self) -> None:
        self._timer, self.due = None, inf
        now = asyncio.get_running_loop().time() + _EARLY_SECONDS
        for timed in tuple(self._timed):
            if timed.deadline <= now:
                timed.expire()
        self.note(min((timed.deadline for timed in self._timed), default=inf))
