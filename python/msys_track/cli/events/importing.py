"""`msys-track events import`: events of a file or of an old store, added to the store."""

from pathlib import Path

import click

from msys_track.cli import parameters
from msys_track.cli.commands import Command
from msys_track.cli.events import place
from msys_track.cli.progress import progress
from msys_track.sinks.store.importing import import_events as add_events


@click.command(
    "import",
    cls=Command,
    examples=(
        "msys-track events import events.ndjson",
        "msys-track events import old.sqlite --store events.sqlite",
    ),
)
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=parameters.FILE)
@place.OPTIONS
def import_events(
    *, files: tuple[Path, ...], store: Path | None, config_file: Path | None
) -> None:
    """Add events to the store, in their order; those that it has already are left out.

    FILE holds lines of JSON as `export` writes them, plain or compressed by gzip, or is a store,
    also one of an earlier release.
    """
    path = place.find_place(store, config_file).find_store()
    size = sum(each.stat().st_size for each in files)
    with progress("importing", size) as advance:
        added = sum(add_events(each, path, advance) for each in files)
    click.echo(f"added: {added}", err=True)
