"""`msys-track events list`, `tail` and `export`: stored events, some or all."""

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeVar

import click
from rich.text import Text

from msys_track.cli import parameters, streams
from msys_track.cli.commands import Command
from msys_track.cli.console import make_console
from msys_track.cli.events import place
from msys_track.cli.progress import progress
from msys_track.databases import identify_file
from msys_track.sinks.store.exporting import (
    Format,
    Page,
    write_csv,
    write_ndjson,
    write_parquet,
)
from msys_track.sinks.store.reading import Filter, Store, open_store
from msys_track.sinks.store.rows import ACTIONS, read_fields

_Command = TypeVar("_Command", bound=Callable[..., object])

_POLL_SECONDS: Final = 0.2
_CLASSES: Final = ("human", "prefetch", "proxy", "scanner", "bot", "unknown")
_TYPES: Final = (*ACTIONS, "reclassified")
_STYLES: Final = {
    "human": "green",
    "proxy": "green",
    "prefetch": "yellow",
    "scanner": "yellow",
    "bot": "yellow",
}


def _filters(command: _Command) -> _Command:
    """Add the options that choose events."""
    options = (
        click.option("--campaign", help="Those of a campaign."),
        click.option("--recipient", metavar="ADDRESS", help="Those of a recipient."),
        click.option("--message", metavar="ID", help="Those of a message, by its message_id."),
        click.option(
            "--type",
            "types",
            type=click.Choice(_TYPES),
            multiple=True,
            metavar="TYPE",
            help="Those of a type such as click; may be given several times.",
        ),
        click.option(
            "--class",
            "classes",
            type=click.Choice(_CLASSES),
            multiple=True,
            help="Those of a class, as last judged; may be given several times.",
        ),
        click.option(
            "--since",
            type=parameters.Moment(),
            help="Those of this time and later, such as 2026-11-28 or 7d.",
        ),
        click.option(
            "--until",
            type=parameters.Moment(),
            help="Those before this time, such as 2026-11-28 or 2h.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command(
    "list",
    cls=Command,
    examples=(
        "msys-track events list --campaign 'Summer Sale' --since 7d",
        "msys-track events list --type click --class human --json",
    ),
)
@_filters
@place.OPTIONS
@parameters.JSON
def list_events(
    *, store: Path | None, config_file: Path | None, as_json: bool, **wanted: Any
) -> None:
    """Print events in the order they came, each as a webhook would send it."""
    path = place.find_place(store, config_file).find_store()
    with open_store(path) as reading:
        _write(_follow_progress(reading, Filter(**_clean(wanted))), as_json=as_json)


@click.command(
    cls=Command,
    examples=(
        "msys-track events tail -n 20",
        "msys-track events tail --follow --type click",
    ),
)
@click.option(
    "-n",
    "--lines",
    "count",
    type=parameters.Whole(min=0),
    default=10,
    show_default=True,
    help="How many of the newest are printed first.",
)
@click.option("-f", "--follow", is_flag=True, help="Go on with those that come, until Ctrl-C.")
@_filters
@place.OPTIONS
@parameters.JSON
def tail(
    *,
    count: int,
    follow: bool,
    store: Path | None,
    config_file: Path | None,
    as_json: bool,
    **wanted: Any,
) -> None:
    """Print the newest events, as `list` does, and with -f those that come."""
    path = place.find_place(store, config_file).find_store()
    filters = _clean(wanted)
    with open_store(path) as reading:
        newest = reading.newest(Filter(**filters), count)
        last = reading.last_sequence()
    pages = [newest] if newest else []
    _write(pages, as_json=as_json)
    if follow:
        with suppress(KeyboardInterrupt):
            _write(_wait_for_more(path, filters, last), as_json=as_json)


@click.command(
    cls=Command,
    examples=(
        "msys-track events export --since 30d > events.ndjson",
        "msys-track events export --format csv --output events.csv",
        "msys-track events export --format parquet -o events.parquet",
    ),
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(("ndjson", "csv", "parquet")),
    default="ndjson",
    show_default=True,
    help="Lines of JSON, comma-separated values, or Parquet.",
)
@click.option(
    "-o",
    "--output",
    type=parameters.FILE,
    help="The file to write; standard output unless given, which Parquet can't be written to.",
)
@_filters
@place.OPTIONS
def export(
    *,
    format_: Format,
    output: Path | None,
    store: Path | None,
    config_file: Path | None,
    **wanted: Any,
) -> None:
    """Write events to a file in the order they came; a file that exists is replaced.

    CSV and Parquet have a column for each field; what has none stands as JSON in `other`. In CSV
    a text that a spreadsheet would take for a formula gets an apostrophe in front.
    """
    path = place.find_place(store, config_file).find_store()
    if format_ == "parquet" and output is None:
        raise click.UsageError("give --output: Parquet can't be written to standard output")
    with open_store(path) as reading:
        pages = _follow_progress(reading, Filter(**_clean(wanted)))
        if output is None:
            _write_format(pages, format_, streams.output())
            return
        new = output.with_name(f"{output.name}.new")
        try:
            if format_ == "parquet":
                write_parquet(pages, new)
            else:
                with os.fdopen(
                    os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb"
                ) as file:
                    _write_format(pages, format_, file)
            new.replace(output)
        except OSError as error:
            error.filename = error.filename or output  # a failed write does not name its file
            raise
        finally:
            new.unlink(missing_ok=True)


def _write_format(pages: Iterable[Page], format_: Format, file: BinaryIO) -> None:
    if format_ == "csv":
        write_csv(pages, file)
    else:
        write_ndjson(pages, file)


def _clean(wanted: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in wanted.items() if value is not None}


def _follow_progress(reading: Store, wanted: Filter) -> Iterator[Page]:
    first, last = reading.bounds(wanted)
    with progress("events", last - first + 1) as advance:
        for page in reading.pages(wanted):
            yield page
            at = page[-1][0]
            advance(at - first + 1)
            first = at + 1


def _wait_for_more(path: Path, filters: dict[str, Any], last: int) -> Iterator[Page]:
    """Yield what is stored from now on, also in a file that replaces this one."""
    while True:
        with open_store(path) as reading:
            file = identify_file(path)
            while file == identify_file(path):
                newest = reading.last_sequence()
                if newest > last:
                    yield from reading.pages(Filter(**filters, after=last))
                    last = newest
                time.sleep(_POLL_SECONDS)
        last = 0
        while identify_file(path) is None:
            time.sleep(_POLL_SECONDS)


def _write(pages: Iterable[Page], *, as_json: bool) -> None:
    if as_json or sys.stdout is None or not sys.stdout.isatty():
        output = streams.output()
        for page in pages:
            write_ndjson([page], output)
            output.flush()
        return
    console = make_console()
    for page in pages:
        for _, event in page:
            console.print(_draw(event), soft_wrap=True)


def _draw(event: bytes) -> Text:
    """Draw an event on one line: when, what, who, of which campaign, where to."""
    fields = read_fields(event)
    if not fields:
        return Text(event.decode("utf-8", "replace"))
    own = fields.get("x_msys_track")
    class_ = str(own.get("class", "")) if isinstance(own, dict) else ""
    try:
        at = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(int(fields["timestamp"])))
    except (KeyError, TypeError, ValueError, OverflowError):
        at = ""
    rest = [
        fields.get(name, "")
        for name in ("rcpt_to", "campaign_id", "target_link_url", "subject", "reason")
    ]
    return Text.assemble(
        (f"{at:<19}  ", "dim"),
        f"{fields.get('type', ''):<16} ",
        (f"{class_:<8}  ", _STYLES.get(class_, "")),
        # What clients and senders chose must not steer a terminal.
        "  ".join(
            "".join(each if each.isprintable() else "�" for each in str(text))
            for text in rest
            if text
        ),
    )
