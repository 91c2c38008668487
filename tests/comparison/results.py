"""Comparisons as if they had been measured."""

from collections.abc import Sequence

from pytest_benchmark.stats import Stats

from msys_track.comparison.damage import Damage
from msys_track.comparison.mail import Mail
from msys_track.comparison.measure import Comparison, Measured

MAIL = Mail(name="letter", kind="a <letter>", message=b"", bodies=(), metadata={})


def stats(*values: float) -> Stats:
    made = Stats()
    for value in values:
        made.update(value)
    return made


def measured(
    name: str,
    milliseconds: float,
    *,
    times: Sequence[float] = (2, 3, 4),
    structures: int = 0,
    broken: int = 0,
) -> Measured:
    """Make somebody who takes so long, and so many times ours in three rounds."""
    return Measured(
        name=name,
        version="" if name.startswith("msys-track") else "1.0",
        is_ours=name.startswith("msys-track"),
        seals=name.startswith("msys-track"),
        work=Damage(
            wrapped=5, missed=0, broken=broken, bytes_changed=1_234, structures=structures
        ),
        times=stats(*[milliseconds / 1000] * 3),
        slower=stats(*times),
    )


def failed(name: str) -> Measured:
    return Measured(
        name=name, version="1.0", is_ours=False, seals=False, work=None, failure="ValueError: no"
    )


def comparison(*results: Measured) -> Comparison:
    return Comparison(mail=MAIL, links=5, rounds=3, results=results)


OURS = measured("msys-track", 0.1, times=(1, 1, 1))
