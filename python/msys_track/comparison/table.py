"""Comparisons as tables: the cells for people, and Markdown of them."""

from collections.abc import Sequence
from typing import Final

from msys_track.comparison.damage import Damage
from msys_track.comparison.measure import Comparison, Measured

HEAD: Final = (
    "",
    "ms",
    "times ours",
    "middle half",
    "links",
    "sealed",
    "bytes changed",
    "damage",
)
"""What stands above the columns; the first is text, the others stand on the right."""

UNDAMAGED: Final = "none"
LEGEND: Final = (
    "ms: CPU time of one recipient's copy, the median of the rounds. times ours: its time over "
    "that of msys-track's first copy in the same round. links: those that were wrapped. "
    "sealed: each link is encrypted; the others write one ready-made URL. bytes changed: that "
    "nobody asked to change. damage: what a reader gets otherwise than it was sent."
)


def list_rows(comparison: Comparison) -> Sequence[Sequence[str]]:
    """Give the cells of each contender, in their order."""
    return [_row(each) for each in comparison.results]


def write_markdown(comparison: Comparison) -> str:
    """Write one comparison as a table with its title."""
    ruler = ["---", *["---:"] * (len(HEAD) - 1)]
    lines = [f"| {' | '.join(row)} |" for row in (HEAD, ruler, *list_rows(comparison))]
    return "\n".join([f"### {write_title(comparison)}", "", *lines])


def write_title(comparison: Comparison) -> str:
    """Name the mail, and how often it was measured."""
    return f"{comparison.title}, {comparison.rounds} interleaved rounds"


def describe_damage(work: Damage) -> str:
    """Say what was damaged; empty if nothing was."""
    counts = [
        (work.broken, "link broken", "links broken"),
        (work.missed, "link missed", "links missed"),
        (work.structures, "structure", "structures"),
    ]
    return ", ".join(
        f"{count:,} {one if count == 1 else many}" for count, one, many in counts if count
    )


def format_time(seconds: float) -> str:
    """Write milliseconds."""
    return format_digits(seconds * 1000)


def format_digits(value: float) -> str:
    """Write a number with three digits that count, and at most three behind the point."""
    if value >= 100:  # noqa: PLR2004
        return f"{value:,.0f}"
    behind = 1 if value >= 10 else 2 if value >= 1 else 3  # noqa: PLR2004
    return f"{value:.{behind}f}"


def _row(result: Measured) -> Sequence[str]:
    if result.work is None or result.times is None or result.slower is None:
        return [result.title, *[""] * (len(HEAD) - 2), f"failed: {result.failure}"]
    return [
        result.title,
        format_time(result.times.median),
        format_digits(result.slower.median),
        _format_spread(result),
        f"{result.work.wrapped:,}",
        "yes" if result.seals else "no",
        f"{result.work.bytes_changed:,}",
        describe_damage(result.work) or UNDAMAGED,
    ]


def _format_spread(result: Measured) -> str:
    if result.slower is None or result.slower.rounds == 1:
        return "run once"
    return f"{format_digits(result.slower.q1)} to {format_digits(result.slower.q3)}"
