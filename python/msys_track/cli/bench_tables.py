"""Comparisons on a terminal."""

from collections.abc import Sequence
from typing import Final

from rich.table import Table
from rich.text import Text

from msys_track.cli.console import make_console
from msys_track.comparison import table
from msys_track.comparison.measure import Comparison

_LEFT_OUT: Final = "middle half"
"""The column that 80 columns have no room for."""


def print_tables(comparisons: Sequence[Comparison], remarks: Sequence[str]) -> None:
    """Print a table for each comparison, then the remarks."""
    console = make_console()
    for comparison in comparisons:
        console.print(Text(table.write_title(comparison), style="bold"))
        console.print(_make_table(comparison))
        console.print()
    for remark in remarks:
        console.print(Text(remark, style="dim"))


def _make_table(comparison: Comparison) -> Table:
    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    last = table.HEAD[-1]
    for name in table.HEAD:
        if name != _LEFT_OUT:
            is_number = bool(name) and name != last
            shown.add_column(name, justify="right" if is_number else "left", no_wrap=not name)
    for result, row in zip(comparison.results, table.list_rows(comparison), strict=True):
        cells = {
            name: Text(cell)
            for name, cell in zip(table.HEAD, row, strict=True)
            if name != _LEFT_OUT
        }
        cells[""].stylize("bold" if result.is_ours else "")
        cells[last].stylize("" if row[-1] == table.UNDAMAGED else "red")
        shown.add_row(*cells.values())
    return shown
