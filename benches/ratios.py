"""Holds us to the last release by ratios: `make bench-check`, `make bench-baseline`.

A baseline has, for each mail, how many times as long each peer took as we did. Times of a machine
are not in it. Where a peer is of another version than in the baseline, it is left out, as it may
have become quicker by itself. One peer's ratio moves by what that peer does to the caches, so what
counts is the middle of all of them.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple

from msys_track.comparison.contenders import NEXT, OURS, REFERENCE

BASELINE: Final = Path(__file__).with_name("baseline.json")
TOLERANCE: Final = 0.15
"""How much slower we may be.

On a machine at load 4 two runs of one build differ by 3 %, and in pure Python by 8 %.
"""

Ratios = Mapping[str, Mapping[str, Mapping[str, float]]]
"""By mail, by what is ours, by peer: the peer's time over ours."""


class Change(NamedTuple):
    """How something of ours stands to the last release."""

    mail: str
    ours: str
    factor: float
    """Below 1: slower."""
    peer: str
    """The peer in the middle, by which it is shown."""
    before: float
    now: float
    peers: int

    def describe(self, release: str) -> str:
        """Write it as one line."""
        percent = abs(1 - 1 / self.factor) * 100
        word = "slower" if self.factor < 1 else "faster"
        return (
            f"{self.mail}: {self.ours} is {percent:.0f} % {word} than in {release}, by "
            f"{self.peers} peers: {self.now:.3g} times as fast as {self.peer}, "
            f"was {self.before:.3g}"
        )


def read_ratios(figures: Mapping[str, Any]) -> Ratios:
    """Take the ratios out of the figures of `msys-track bench --json`."""
    times: dict[str, dict[str, float]] = {}
    for each in figures["benchmarks"]:
        times.setdefault(each["group"], {})[each["name"]] = each["extra_info"]["times_ours"]
    ours = (OURS, NEXT, REFERENCE)
    return {
        mail: {
            name: {peer: took / found[name] for peer, took in found.items() if peer not in ours}
            for name in ours
            if name in found
        }
        for mail, found in times.items()
    }


def compare(before: Ratios, now: Ratios) -> Sequence[Change]:
    """Compare what both have."""
    changes = []
    for mail, ours in before.items():
        for name, peers in ours.items():
            found = now.get(mail, {}).get(name, {})
            factors = sorted((found[peer] / peers[peer], peer) for peer in peers if peer in found)
            if factors:
                _, peer = factors[len(factors) // 2]
                factor = median(factor for factor, _ in factors)
                each = Change(mail, name, factor, peer, peers[peer], found[peer], len(factors))
                changes.append(each)
    return changes


def write_baseline(now: Ratios, baseline: Path) -> None:
    """Make what was measured the baseline."""
    rounded = {
        mail: {
            name: {peer: float(f"{ratio:.4g}") for peer, ratio in peers.items()}
            for name, peers in ours.items()
        }
        for mail, ours in now.items()
    }
    kept = {"release": version("msys-track"), "ratios": rounded}
    baseline.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


def check(now: Ratios, baseline: Path) -> int:
    """Print how we stand to the baseline; the exit code."""
    kept = json.loads(baseline.read_text(encoding="utf-8"))
    changes = compare(kept["ratios"], now)
    if not changes:
        wanted = "install the peers of requirements/bench.txt"
        fault = f"error: no peer is of a version that {baseline.name} has; {wanted}"
        print(fault, file=sys.stderr)  # noqa: T201
        return 1
    slower = [each for each in changes if each.factor < 1 - TOLERANCE]
    for each in changes:
        print(each.describe(kept["release"]))  # noqa: T201
    for each in slower:
        print(f"error: {each.describe(kept['release'])}", file=sys.stderr)  # noqa: T201
    if slower:
        print(  # noqa: T201
            f"  hint: {TOLERANCE:.0%} are tolerated; a run on a quiet machine tells whether it "
            "is so. If it is wanted: make bench-baseline",
            file=sys.stderr,
        )
    return 1 if slower else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Check figures against the baseline, or make them the baseline."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("figures", type=Path, help="of msys-track bench --json")
    parser.add_argument("--baseline", type=Path, default=BASELINE)
    parser.add_argument("--write", action="store_true", help="make them the baseline")
    chosen = parser.parse_args(arguments)
    now = read_ratios(json.loads(chosen.figures.read_text(encoding="utf-8")))
    if chosen.write:
        write_baseline(now, chosen.baseline)
        return 0
    return check(now, chosen.baseline)


if __name__ == "__main__":
    sys.exit(main())
