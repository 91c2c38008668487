"""`msys-track events`: look at events, count them, take them elsewhere, erase a recipient's."""

from pathlib import Path

import click

from msys_track.cli.events import place
from msys_track.cli.events.consuming import consume
from msys_track.cli.events.counting import stats
from msys_track.cli.events.erasing import erase
from msys_track.cli.events.importing import import_events
from msys_track.cli.events.listing import export, list_events, tail

__all__ = ["events"]


@click.group(invoke_without_command=True, short_help="Look at events, count, export, erase.")
@place.OPTIONS
@click.pass_context
def events(context: click.Context, *, store: Path | None, config_file: Path | None) -> None:
    """Look at the events of a store, count them, take them elsewhere, erase a recipient's.

    Works while the tracker runs. Events are shown as tables on a terminal, and as JSON in a pipe,
    one object a line. Without a command, all events are listed.

    The store is that of the configuration, unless --store names another. TIME is a date, a time
    such as 2026-11-28T21:00 (in UTC unless it says otherwise), or how long ago it was: 30m, 2h,
    7d.
    """
    context.obj = place.Place(store, config_file)
    if context.invoked_subcommand is None:
        context.invoke(list_events)


for command in (consume, erase, export, import_events, list_events, stats, tail):
    events.add_command(command)
