"""`msys-track events stats`: what was sent, opened, clicked and unsubscribed from."""

import json
import sys
import time
from pathlib import Path

import click
from rich.table import Table
from rich.text import Text

from msys_track.cli import parameters
from msys_track.cli.commands import Command
from msys_track.cli.console import make_console
from msys_track.cli.events import place
from msys_track.sinks.store.reading import open_store
from msys_track.sinks.store.stats import By, Deeds, Stats, read_stats


@click.command(
    cls=Command,
    examples=(
        "msys-track events stats",
        "msys-track events stats --by day --since 30d",
        "msys-track events stats --campaign 'Summer Sale' --json",
    ),
)
@click.option("--campaign", help="Only one campaign.")
@click.option(
    "--by",
    type=click.Choice(("campaign", "day", "hour")),
    default="campaign",
    show_default=True,
    help="What there is a line for; days and hours are those of UTC.",
)
@click.option(
    "--since",
    type=parameters.Moment(),
    help="From the hour on that this time is in, such as 2026-11-28 or 7d.",
)
@click.option("--until", type=parameters.Moment(), help="As far as the hour that this time is in.")
@place.OPTIONS
@parameters.JSON
def stats(  # noqa: PLR0913 - options
    *,
    campaign: str | None,
    by: By,
    since: int | None,
    until: int | None,
    store: Path | None,
    config_file: Path | None,
    as_json: bool,
) -> None:
    """Count what was sent, opened, clicked and unsubscribed from.

    Total counts events; of a mail's upper and lower pixels those count that were loaded more
    often. Unique counts messages, each where it did so for the first time. People read, or have a
    proxy such as Gmail's load images for them; machines are prefetchers, scanners and bots. A
    message may count for both. Counts outlive their events.
    """
    path = place.find_place(store, config_file).find_store()
    with open_store(path) as reading:
        found = read_stats(reading, by=by, campaign=campaign, since=since, until=until)
    if as_json or sys.stdout is None or not sys.stdout.isatty():
        for each in found:
            click.echo(json.dumps(_describe(each, by), ensure_ascii=False))
    else:
        make_console().print(_draw(found, by))


def _describe(each: Stats, by: By) -> dict[str, object]:
    return {
        ("campaign_id" if by == "campaign" else by): _write_key(each.key, by),
        "sent": each.sent,
        "rejected": each.rejected,
        "opened": each.opened.as_json(),
        "clicked": each.clicked.as_json(),
        "unsubscribed": each.unsubscribed.as_json(),
    }


def _draw(found: list[Stats], by: By) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column(by, overflow="fold")
    for name in (
        "sent",
        "opened",
        "people",
        "machines",
        "clicked",
        "people",
        "machines",
        "unsub.",
    ):
        table.add_column(name, justify="right")
    for each in found:
        table.add_row(
            Text(_write_key(each.key, by) or "(none)"),
            f"{each.sent:,}",
            *_write(each.opened),
            *_write(each.clicked),
            f"{each.unsubscribed.all_messages:,}",
        )
    table.caption = "unique messages"
    return table


def _write(deeds: Deeds) -> tuple[str, str, str]:
    kinds = (deeds.messages["people"], deeds.messages["machines"])
    return f"{deeds.all_messages:,}", f"{kinds[0]:,}", f"{kinds[1]:,}"


def _write_key(key: str | int, by: By) -> str:
    if isinstance(key, str):
        return key
    return time.strftime("%Y-%m-%d" if by == "day" else "%Y-%m-%dT%H:00Z", time.gmtime(key))
