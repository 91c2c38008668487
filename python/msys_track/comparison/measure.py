"""Compares everybody on one mail: first what they do to it, then how long they take."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from pytest_benchmark.stats import Stats

from msys_track.comparison.contenders import OURS, Contender, line_up
from msys_track.comparison.damage import Damage, add_damages
from msys_track.comparison.mail import Mail
from msys_track.comparison.peers import Peer
from msys_track.comparison.race import Called, Race
from msys_track.errors import TrackingError

_SLOW_SHARE: Final = 0.05
"""Who takes a larger share of a mail's time for one run is not raced: its one run is shown."""
_FINE_SECONDS: Final = 1e-6


def _pick_clock() -> Callable[[], float]:
    """Take the thread's CPU clock where it is fine enough, as nobody here waits for anything.

    What neighbours take of the machine is not in it. On Windows it has ticks of 16 ms.
    """
    is_fine = time.get_clock_info("thread_time").resolution <= _FINE_SECONDS
    return time.thread_time if is_fine else time.perf_counter


_CLOCK: Final = _pick_clock()


class DamagedError(TrackingError):
    """Our own copy of a mail is not what it must be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What is known of one contender on one mail."""

    name: str
    version: str
    is_ours: bool
    seals: bool
    work: Damage | None
    """What it did to the mail, summed over its HTML parts; None if it failed."""
    failure: str = ""
    """The error that it ended with."""
    times: Stats | None = None
    """Seconds of a run, one for each round; None if it failed."""
    slower: Stats | None = None
    """Its time over that of `OURS` in the same round, one for each round."""

    @property
    def title(self) -> str:
        """Name and version."""
        return f"{self.name} {self.version}".rstrip()


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everybody on one mail."""

    mail: Mail
    links: int
    """How many we wrapped."""
    rounds: int
    results: Sequence[Measured]

    @property
    def title(self) -> str:
        """The mail, its HTML and its links."""
        kilobytes = self.mail.html_bytes / 1000
        size = f"{kilobytes:.0f}" if kilobytes >= 10 else f"{kilobytes:.1f}"  # noqa: PLR2004
        return f"{self.mail.kind}: {size} kB of HTML, {self.links} links"


def compare(
    mail: Mail,
    peers: Sequence[Peer],
    *,
    seconds: float,
    with_reference: bool = True,
    tell: Callable[[float], None] = lambda _: None,
) -> Comparison:
    """Judge everybody's work on a mail, then time it in interleaved rounds.

    Args:
        mail: what is tracked.
        peers: other people's rewriters.
        seconds: for the rounds; there are three at least.
        with_reference: whether our engine in pure Python can be run.
        tell: is told how many of the seconds have gone by, as they do.

    Raises:
        UnfitMailError: no link of the mail is tracked.
        DamagedError: we damage the mail, or miss a link without a reason.
    """
    longest = seconds * _SLOW_SHARE
    contenders = line_up(mail, peers, with_reference=with_reference)
    entries = [_inspect(each, longest=longest) for each in contenders]
    race = Race(
        subjects={
            each.contender.name: Called(each.contender.call, _CLOCK)
            for each in entries
            if each.contender.name == OURS or (each.work is not None and each.took <= longest)
        }
    )
    race.warm_up()
    race.run_for(seconds, tell)
    ours = entries[0].work
    return Comparison(
        mail=mail,
        links=0 if ours is None else ours.wrapped,
        rounds=len(race.rounds),
        results=[_measure(each, race) for each in entries],
    )


@dataclass(frozen=True, slots=True)
class _Entry:
    contender: Contender
    work: Damage | None
    failure: str
    took: float
    """Seconds of a run."""


def _inspect(contender: Contender, *, longest: float) -> _Entry:
    """Run it once and judge what it did; and again, if the first run took too long to tell."""
    started = _CLOCK()
    try:
        bodies = contender.run()
    except Exception as error:  # other people's code: whatever it raises is its result
        if contender.is_ours:
            raise
        return _Entry(contender, None, f"{type(error).__name__}: {error}", 0)
    took = _CLOCK() - started
    if took > longest:
        took = min(took, Called(contender.call, _CLOCK).seconds(1))
    work = add_damages(contender.judge(bodies))
    if contender.is_ours and (work.is_damaged or work.missed):
        raise DamagedError(
            f"{contender.name}: {work.missed} links missed without a reason, {work.broken} "
            f"broken, {work.structures} structures changed: a defect; please report it"
        )
    return _Entry(contender, work, "", took)


def _measure(entry: _Entry, race: Race) -> Measured:
    contender, times, slower = entry.contender, None, None
    if contender.name in race.subjects:
        times = _collect_stats([took[contender.name] for took in race.rounds])
        slower = _collect_stats([took[contender.name] / took[OURS] for took in race.rounds])
    elif entry.work is not None:
        times = _collect_stats([entry.took])
        slower = _collect_stats([entry.took / race.seconds(OURS)])
    return Measured(
        name=contender.name,
        version=contender.version,
        is_ours=contender.is_ours,
        seals=contender.seals,
        work=entry.work,
        failure=entry.failure,
        times=times,
        slower=slower,
    )


def _collect_stats(values: Sequence[float]) -> Stats:
    stats = Stats()
    for value in values:
        stats.update(value)
    return stats
