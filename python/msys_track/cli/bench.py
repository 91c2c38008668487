"""`msys-track bench`: us beside our peers, on this machine and on the mails of one's own."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from msys_track.cli import parameters
from msys_track.cli.commands import Command
from msys_track.cli.exits import CommandError
from msys_track.errors import describe_os_error
from msys_track.extras import needed_extra

if TYPE_CHECKING:
    from msys_track.comparison.run import Outcome

_SECONDS: Final = 60.0
_MAILS: Final = ("newsletter-80", "newsletter-80-qp", "newsletter-10", "order")


@click.command(
    cls=Command,
    examples=(
        "msys-track bench",
        "msys-track bench newsletter.eml --seconds 20 --svg bench.svg",
    ),
)
@click.argument("files", metavar="[FILE]...", nargs=-1, type=parameters.FILE)
@parameters.option(
    "--mail",
    "names",
    envvar="BENCH_MAIL",
    type=click.Choice(_MAILS),
    multiple=True,
    help="One of the mails that come with msys-track; may be given several times.  [default: all]",
)
@parameters.option(
    "--seconds",
    envvar="BENCH_SECONDS",
    type=parameters.Number(min=0, min_open=True),
    default=_SECONDS,
    show_default=True,
    help="How long to measure, for all mails together; checking them comes before that.",
)
@parameters.option(
    "--svg", "svg_file", envvar="BENCH_SVG", type=parameters.FILE, help="Draw it into this file."
)
@parameters.option(
    "--json",
    "json_file",
    envvar="BENCH_JSON",
    type=parameters.FILE,
    help="Write every round into this file, in the format of pytest-benchmark.",
)
def bench(
    *,
    files: tuple[Path, ...],
    names: tuple[str, ...],
    seconds: float,
    svg_file: Path | None,
    json_file: Path | None,
) -> None:
    """Track mails with msys-track and with every peer that is installed, and compare the times.

    FILE is a message, or an HTML document if its name ends with .html; without one the mails that
    come with msys-track are taken. First everybody's work is checked: who damages the mail is
    marked so, with the count. Then all are timed in interleaved rounds, so that their ratios hold
    on a busy machine too. Prints a table; Markdown where it does not go to a terminal.
    """
    with needed_extra("bench", "msys-track bench"):
        from msys_track.cli.bench_tables import print_tables  # noqa: PLC0415 - an extra
        from msys_track.cli.progress import progress  # noqa: PLC0415 - an extra
        from msys_track.comparison import chart, figures, run, table  # noqa: PLC0415 - an extra
    with progress("bench", total=seconds) as advance:
        outcome = run.compare_all(files, names, seconds=seconds, tell=advance)
    remarks = [table.LEGEND, *_list_remarks(outcome)]
    if sys.stdout is not None and sys.stdout.isatty():
        print_tables(outcome.comparisons, remarks)
    else:
        parts = [table.write_markdown(each) for each in outcome.comparisons]
        click.echo("\n\n".join([*parts, *remarks]))
    if svg_file is not None:
        _write(svg_file, chart.draw(outcome.comparisons, remark=outcome.where))
    if json_file is not None:
        _write(json_file, figures.write_json(outcome.comparisons))


def _list_remarks(outcome: "Outcome") -> Sequence[str]:
    remarks = [outcome.where]
    if outcome.missing:
        packages = " ".join(f"'{each}'" for each in outcome.missing)
        remarks.append(f"Peers that are not installed: pip install {packages}")
    return remarks


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandError(f"msys-track: {path}: {describe_os_error(error)}") from error
