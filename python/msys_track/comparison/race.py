"""Times several ways to do one thing in interleaved rounds, so that their ratios are reliable.

A machine with neighbours changes speed from second to second; two ways measured one after the
other compare the seconds. In a round each way runs once, so a change of speed hits them all.
"""

import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import Any, Final, Protocol

_SLICE_SECONDS: Final = 0.004
"""What one way gets of a round, at least: long against the clock and the call."""
_WARM_RUNS: Final = 5
_WARM_SECONDS: Final = 0.2
"""When a slow one counts as warm before it had all its runs."""
_LEAST_ROUNDS: Final = 3


class Subject(Protocol):
    """One way to do it; runs itself so many times and says what that took."""

    def seconds(self, times: int) -> float:
        """Run `times` times; the seconds for all of them."""


@dataclass(frozen=True, slots=True)
class Called:
    """A subject that is a Python call."""

    call: Callable[[], Any]
    clock: Callable[[], float] = time.perf_counter
    """Tells seconds."""

    def seconds(self, times: int) -> float:
        """Run `times` times; the seconds for all of them, the loop included."""
        call, clock = self.call, self.clock
        repeat = range(times)
        started = clock()
        for _ in repeat:
            call()
        return clock() - started


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """How many times faster one subject is than another, over all rounds."""

    median: float
    low: float
    high: float
    """`low` to `high`: the middle half of the rounds."""


@dataclass(slots=True, kw_only=True)
class Race:
    """Subjects by name, and what each took per run in each round so far, in seconds."""

    subjects: Mapping[str, Subject]
    times: dict[str, int] = field(default_factory=dict)
    """How often each subject runs in a round."""
    rounds: list[dict[str, float]] = field(default_factory=list)

    def warm_up(self) -> None:
        """Run each subject until caches are filled, and settle how often it runs in a round."""
        for name, subject in self.subjects.items():
            took = [subject.seconds(1)]
            while len(took) < _WARM_RUNS and sum(took) < _WARM_SECONDS:
                took.append(subject.seconds(1))
            self.times[name] = max(1, round(_SLICE_SECONDS / min(took)))

    def round(self) -> None:
        """Run every subject once more, each time another one first."""
        names = list(self.subjects)
        first = len(self.rounds) % len(names)
        gc.collect()
        gc.disable()
        try:
            took = {
                name: self.subjects[name].seconds(self.times[name]) / self.times[name]
                for name in names[first:] + names[:first]
            }
        finally:
            gc.enable()
        self.rounds.append(took)

    def run_for(self, seconds: float, tell: Callable[[float], None] = lambda _: None) -> None:
        """Run rounds for so many seconds, and at least three.

        Args:
            seconds: how long; the round that is under way is finished.
            tell: is told after each round how many seconds it took.
        """
        until = time.monotonic() + seconds
        while len(self.rounds) < _LEAST_ROUNDS or time.monotonic() < until:
            started = time.monotonic()
            self.round()
            tell(time.monotonic() - started)

    def seconds(self, name: str) -> float:
        """The median time of one run of a subject."""
        return median(took[name] for took in self.rounds)

    def ratio(self, ours: str, peer: str) -> Ratio:
        """How many times faster `ours` is than `peer`; each round gives one ratio."""
        ratios = [took[peer] / took[ours] for took in self.rounds]
        low, middle, high = quantiles(ratios, n=4)
        return Ratio(median=middle, low=low, high=high)
