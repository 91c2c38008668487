"""The tables of the report as rows, for programs and spreadsheets: all numbers of each."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from msys_track.report.queries import LinkStats
from msys_track.report.searching import Found
from msys_track.report.showing import write_time
from msys_track.sinks.store.stats import KINDS, Stats

Cell: TypeAlias = str | int

_DEEDS: Final = ("opened", "clicked", "unsubscribed")
_NUMBERS: Final = (
    "sent",
    "rejected",
    *(
        f"{what}_{count}_{reader}"
        for what in _DEEDS
        for count in ("unique", "total")
        for reader in ("all", *KINDS)
    ),
)


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under named columns."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]


def make_stats_table(key: str, found: Iterable[Stats]) -> Table:
    """Make a table of statistics.

    Args:
        key: The name of the first column; of `time` the keys are Unix seconds.
        found: One row each.
    """
    rows: list[tuple[Cell, ...]] = [
        (_write_key(key, stats.key), stats.sent, stats.rejected, *_list_numbers(stats))
        for stats in found
    ]
    return Table((key, *_NUMBERS), rows)


def make_links_table(links: Iterable[LinkStats]) -> Table:
    """Make a table of links and their clicks."""
    columns = (
        "part", "number", "name", "target",
        *(f"clicks_{reader}" for reader in KINDS),
        *(f"messages_{reader}" for reader in KINDS),
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = [
        (
            link.part,
            link.number,
            link.name,
            link.target,
            *(link.events[reader] for reader in KINDS),
            *(link.messages[reader] for reader in KINDS),
        )
        for link in links
    ]
    return Table(columns, rows)


def make_search_table(found: Iterable[Found]) -> Table:
    """Make a table of what a search found."""
    rows = [
        (
            each.kind,
            each.text,
            each.campaign,
            each.events,
            _write_zulu(each.last_at) if each.last_at else "",
        )
        for each in found
    ]
    return Table(("kind", "text", "campaign", "events", "last"), rows)


def _list_numbers(stats: Stats) -> Iterator[int]:
    for deeds in (stats.opened, stats.clicked, stats.unsubscribed):
        yield deeds.all_messages
        yield from (deeds.messages[reader] for reader in KINDS)
        yield deeds.all_events
        yield from (deeds.events[reader] for reader in KINDS)


def _write_key(key: str, value: str | int) -> str:
    return _write_zulu(value) if key == "time" and isinstance(value, int) else str(value)


def _write_zulu(seconds: int) -> str:
    return write_time(seconds).replace(" ", "T") + "Z"
