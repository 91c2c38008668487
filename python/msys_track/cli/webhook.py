"""`msys-track webhook`: try a webhook, look how far it has come, send events again."""

import asyncio
import sys
import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import click
from rich import box
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from msys_track.cli import parameters
from msys_track.cli.commands import Commands
from msys_track.cli.console import make_console
from msys_track.cli.exits import CommandError, MisconfiguredError
from msys_track.config.configuration import Configuration
from msys_track.config.load import load
from msys_track.sinks.webhook.inspection import WebhookState, inspect, write_json
from msys_track.sinks.webhook.replay import Replayed, Report, replay_dead, replay_log
from msys_track.sinks.webhook.settings import WebhookSettings
from msys_track.sinks.webhook.sink import make_client

_PING: Final = b'[{"msys":{}}]'
_SILENT_SECONDS: Final = 2.0
_NAME: Final = click.argument("name", metavar="NAME")


@click.group(
    cls=Commands,
    examples=(
        "msys-track webhook test shop",
        "msys-track webhook list",
    ),
)
def webhook() -> None:
    """Try webhooks, look how far they have come, send events again.

    NAME is that of a table [webhook.NAME], or as `list` shows it. Works while the tracker runs.
    """


@webhook.command(
    short_help="Send a batch without events and show the answer.",
    examples=("msys-track webhook test shop",),
)
@_NAME
@parameters.CONFIG
def test(*, name: str, config_file: Path) -> None:
    """Send SparkPost's test batch, [{"msys":{}}], and show the answer.

    It goes out as events do: the same address rules, credentials, headers and signature. Exit code
    1 where the answer is not 2xx.
    """
    settings = _find(load(config_file, server="tracker"), name)
    started_at = time.monotonic()
    batch_id = str(uuid4())

    async def ping() -> Any:
        client = make_client(settings, time.time)
        try:
            return await client.post(batch_id, _PING)
        finally:
            await client.close()

    answer = asyncio.run(ping())
    seconds = time.monotonic() - started_at
    if not answer.is_taken:
        raise CommandError(f"msys-track: {settings.url}: {answer.error}")
    click.echo(f"{answer.status} after {seconds:.2f} s")
    if text := answer.text.strip():
        click.echo(text[:1_000])


@webhook.command(
    "list",
    short_help="Print how far each webhook has come.",
    examples=(
        "msys-track webhook list",
        "msys-track webhook list --json",
    ),
)
@parameters.CONFIG
@parameters.JSON
def list_webhooks(*, config_file: Path, as_json: bool) -> None:
    """Print how far each webhook has come, its last error, and its dead letters."""
    read = load(config_file, server="tracker")
    folder, now = _find_folder(read), time.time()
    states = [inspect(folder, name, each, now) for name, each in read.webhooks.items()]
    if as_json:
        for state in states:
            click.echo(write_json(state))
        return
    table = Table("name", "url", "waiting", "dead", "last error", box=box.SIMPLE_HEAD)
    for state in states:
        table.add_row(*_write_row(state))
    make_console().print(table)


@webhook.command(
    short_help="Send events again.",
    examples=(
        "msys-track webhook replay shop --dead",
        "msys-track webhook replay shop --since 2h",
    ),
)
@_NAME
@parameters.CONFIG
@click.option("--dead", is_flag=True, help="Send the dead letters, which are removed then.")
@click.option(
    "--since",
    type=parameters.Moment(),
    help="Send what the log has of this time and later, such as 2026-11-28T21:00 or 2h.",
)
def replay(*, name: str, config_file: Path, dead: bool, since: int | None) -> None:
    """Send events again: those that were given up, or all of the log since a time.

    Dead letters go out with the ids of their batches; those that are taken are removed. With
    --since batches have new ids, events keep theirs; it stops where a batch is not taken.
    """
    if dead == (since is not None):
        raise click.UsageError("give either --dead or --since")
    read = load(config_file, server="tracker")
    settings, folder = _find(read, name), _find_folder(read)
    if since is None:
        done = _show_progress(lambda report: replay_dead(folder, name, settings, report))
    else:
        done = _show_progress(lambda report: replay_log(folder, name, settings, since, report))
    click.echo(f"sent: {done.events} events in {done.batches} batches")
    if done.failed:
        where = ""
        if done.stopped_at is not None:
            text = datetime.fromtimestamp(done.stopped_at, UTC).isoformat()
            where = f"; go on with --since {text.replace('+00:00', 'Z')}"
        raise CommandError(f"msys-track: not taken: {done.failed} batches: {done.error}{where}")


def _find(read: Configuration, name: str) -> WebhookSettings:
    try:
        return read.webhooks[name]
    except KeyError:
        known = ", ".join(read.webhooks) or f"none; write a table [webhook.{name}]"
        text = f"msys-track: {read.path}: no webhook {name}; there are: {known}"
        raise MisconfiguredError(text) from None


def _find_folder(read: Configuration) -> Path:
    if read.events_folder is None:
        hint = "write a table [tracker], or folder in [events]"
        raise MisconfiguredError(f"msys-track: {read.path}: no event log; {hint}")
    return read.events_folder


def _write_row(state: WebhookState) -> tuple[str, ...]:
    waiting = str(state.waiting)
    if state.waiting:
        waiting += f" ({state.waiting_seconds:.0f} s)"
    dead = f"{state.dead_events} in {state.dead_batches}" if state.dead_batches else "0"
    return state.name, state.url, waiting, dead, state.last_error


def _show_progress(work: Callable[[Report], Coroutine[Any, Any, Replayed]]) -> Replayed:
    """Do it; on a terminal show how far it is, if it takes longer than two seconds."""
    if not sys.stderr.isatty():
        return asyncio.run(work(lambda _: None))
    columns = (SpinnerColumn(), TextColumn("{task.completed:.0f} events"), TimeElapsedColumn())
    with Progress(
        *columns, console=make_console(is_error=True), transient=True, disable=True
    ) as bar:
        task, started_at = bar.add_task("replay", total=None), time.monotonic()

        def show(done: Replayed) -> None:
            if bar.disable and time.monotonic() - started_at > _SILENT_SECONDS:
                bar.disable = False
                bar.start()
            bar.update(task, completed=done.events)

        return asyncio.run(work(show))
