"""`msys-track events`: the stored events, line by line, for pipes and for a first look."""

from pathlib import Path

import click

from msys_track.cli import parameters, streams
from msys_track.sinks import sqlite


@click.command(short_help="Print stored events, one JSON object a line.")
@parameters.option(
    "--store",
    envvar="STORE",
    type=parameters.FILE,
    required=True,
    help="The event store of a tracker: its configuration's `store`.",
)
def events(*, store: Path) -> None:
    """Print the events of a store in the order they came, each as a webhook would send it."""
    output = streams.output()
    for event in sqlite.events(store):
        output.write(event.as_json().encode("utf-8") + b"\n")
