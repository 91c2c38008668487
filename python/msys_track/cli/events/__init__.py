"""`msys-track events`: look at events, count them, take them elsewhere, erase a recipient's."""

from pathlib import Path
from typing import Final

import click

from msys_track.cli.commands import Commands, Entry
from msys_track.cli.events import place

__all__ = ["events"]

_COMMANDS: Final = {
    "consume": Entry(
        "msys_track.cli.events.consuming:consume",
        "Bring the events of a Kafka topic to the sinks here.",
        "tracker,kafka",
    ),
    "erase": Entry(
        "msys_track.cli.events.erasing:erase", "Erase the events of a recipient.", "tracker"
    ),
    "export": Entry(
        "msys_track.cli.events.listing:export", "Write events for other programs.", "tracker"
    ),
    "import": Entry(
        "msys_track.cli.events.importing:import_events",
        "Add events of a file or an old store.",
        "tracker",
    ),
    "list": Entry(
        "msys_track.cli.events.listing:list_events",
        "Print events in the order they came.",
        "tracker",
    ),
    "stats": Entry(
        "msys_track.cli.events.counting:stats",
        "Count what was sent, opened and clicked.",
        "tracker",
    ),
    "tail": Entry(
        "msys_track.cli.events.listing:tail",
        "Print the newest events, and those that come.",
        "tracker",
    ),
}


@click.group(
    cls=Commands,
    entries=_COMMANDS,
    invoke_without_command=True,
    examples=(
        "msys-track events",
        "msys-track events stats --since 7d",
        "msys-track events --store events.sqlite list --type click",
    ),
)
@place.OPTIONS
@click.pass_context
def events(context: click.Context, *, store: Path | None, config_file: Path | None) -> None:
    """Look at the events of a store, count them, take them elsewhere, erase a recipient's.

    Works while the tracker runs. Prints text for people on a terminal, and JSON in a pipe, one
    object a line. Without a command, all events are listed.

    The store is that of the configuration, unless --store names another. TIME is a date, a time
    such as 2026-11-28T21:00 (in UTC unless it says otherwise), or how long ago it was: 30m, 2h,
    7d.
    """
    context.obj = place.Place(store, config_file)
    if context.invoked_subcommand is None:
        context.invoke(_COMMANDS["list"].load("msys-track events list"))
