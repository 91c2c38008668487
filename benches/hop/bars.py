"""What must hold, and the tables that say whether it does."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One bar and what was measured."""

    what: str
    bar: float
    way: Literal["at least", "at most"]
    measured: float
    spread: str = ""

    @property
    def is_held(self) -> bool:
        if self.way == "at least":
            return self.measured >= self.bar
        return self.measured <= self.bar


@dataclass(slots=True)
class Results:
    """All bars of a run, in the order in which they were measured."""

    rows: list[Result] = field(default_factory=list)

    def hold(
        self,
        what: str,
        ratios: Sequence[float],
        *,
        at_least: float | None = None,
        at_most: float | None = None,
    ) -> None:
        """Take the median of a ratio over rounds, or of the one figure there is."""
        spread = ""
        if len(ratios) > 1:
            low, _, high = quantiles(ratios, n=4)
            spread = f"{low:.2f} to {high:.2f}"
        bar = at_least if at_least is not None else at_most
        assert bar is not None
        result = Result(
            what=what,
            bar=bar,
            way="at most" if at_least is None else "at least",
            measured=median(ratios),
            spread=spread,
        )
        self.rows.append(result)
        say(f"  {what}: {result.measured:.2f}, {result.way} {bar:g}: {_verdict(result)}")

    @property
    def missed(self) -> list[Result]:
        return [each for each in self.rows if not each.is_held]

    def table(self) -> list[Sequence[str]]:
        return [
            [
                each.what,
                f"{'≥' if each.way == 'at least' else '≤'} {each.bar:g}",
                f"{each.measured:.2f}",
                each.spread,
                _verdict(each),
            ]
            for each in self.rows
        ]


def _verdict(result: Result) -> str:
    return "held" if result.is_held else "MISSED"


def say(line: str) -> None:
    """Tell whoever waits how far it is."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - a command's own voice
