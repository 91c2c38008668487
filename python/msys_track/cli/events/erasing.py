"""`msys-track events erase`: what is known of a recipient, wherever this machine keeps events."""

import json
from collections import Counter
from pathlib import Path

import click

from msys_track.cli import parameters
from msys_track.cli.commands import Command
from msys_track.cli.events import place
from msys_track.cli.progress import progress
from msys_track.config.configuration import Configuration
from msys_track.sinks.erasing import Places, erase_recipient
from msys_track.sinks.store.reading import open_store


@click.command(cls=Command, examples=("msys-track events erase --recipient jo@example.com",))
@click.option(
    "--recipient",
    metavar="ADDRESS",
    required=True,
    help="Whose events are erased; in upper or lower case.",
)
@place.OPTIONS
@parameters.JSON
def erase(*, recipient: str, store: Path | None, config_file: Path | None, as_json: bool) -> None:
    """Erase the events of a recipient from the store, files, logs and dead letters.

    Counts stay: they name nobody. With --store only that file is looked at. What was sent on is
    named, and has to be erased there. A reader who opens old mail makes new events: the
    withdrawal list prevents that.
    """
    if not recipient.strip():
        raise click.UsageError("an address is missing; give one with --recipient")
    where = place.find_place(store, config_file)
    if where.store is not None:
        with open_store(where.store):
            pass  # a mistyped name must not look like a recipient that nothing is known of
        places, elsewhere = Places(store=where.store), []
    else:
        read = where.load()
        places, elsewhere = _find_places(read), _find_elsewhere(read)
    counts = Counter[str]()
    with progress("erasing", places.size_bytes()) as advance:
        for each in erase_recipient(recipient, places, advance):
            counts[each.place] += each.events
    if as_json:
        click.echo(json.dumps({"erased": counts, "not_reached": elsewhere}, ensure_ascii=False))
        return
    for name, count in counts.items():
        click.echo(f"{count:>9}  {name}")
    for name in elsewhere:
        click.echo(f"not reached: {name}", err=True)


def _find_places(read: Configuration) -> Places:
    return Places(
        folder=read.events_folder,
        store=None if read.tracker is None else read.tracker.store,
        files=[each.path for each in read.files.values() if each.path is not None],
    )


def _find_elsewhere(read: Configuration) -> list[str]:
    """Name the sinks whose events are out of reach."""
    names = [
        f"file.{name} (standard output)" for name, each in read.files.items() if each.path is None
    ]
    for family, its in (
        ("webhook", read.webhooks),
        ("kafka", read.kafka),
        ("rabbitmq", read.rabbitmq),
    ):
        names += [f"{family}.{name}" for name in its]
    return names
