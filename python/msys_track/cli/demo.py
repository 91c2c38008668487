"""`msys-track demo`: the whole of it on this machine, for whoever wants to see before reading."""

import asyncio
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import click

from msys_track.cli import logs, loop, parameters, streams
from msys_track.cli.exits import Failure
from msys_track.demo import own_mail, own_page, table
from msys_track.demo.expectations import Ledger
from msys_track.demo.keep import keep
from msys_track.demo.stage import Stage, open_stage
from msys_track.demo.tour import tour
from msys_track.errors import SettingsError


@click.command(short_help="Show a tour: mails in, tracked mails out, clicks and opens back.")
@click.argument("file", type=parameters.FILE, required=False)
@parameters.option(
    "--keep",
    "is_kept",
    envvar="DEMO_KEEP",
    is_flag=True,
    help="Leave everything running afterwards, and say how to send mail to it.",
)
@parameters.option(
    "--verbose",
    "is_verbose",
    envvar="DEMO_VERBOSE",
    is_flag=True,
    help="Show the servers' logs too, on standard error.",
)
@click.pass_context
def demo(context: click.Context, *, file: Path | None, is_kept: bool, is_verbose: bool) -> None:
    """Send mails through a proxy and a tracker of this machine, then read, open and click them.

    With FILE that one mail instead of the tour's; any file goes, a mail or not. Servers, keys and
    store are temporary, and nothing but the loopback interface is used: links are followed to
    the tracker and no further. The exit code is 0 only if everything was as it must be.
    """
    streams.output()  # closed, its number would become a server's
    if not is_verbose:
        logs.to_stderr(level="warning")
    name = None if file is None else str(file)
    try:
        content = None if file is None else own_mail.load(file)
        with loop.make_runner() as runner:
            ledger = runner.run(_demo(name, content, is_kept=is_kept))
    except SettingsError as error:
        # Nothing here is configured: what is wrong is this machine, now.
        raise Failure(f"msys-track: {error}") from error
    if any(ledger.failed()):
        context.exit(1)


async def _demo(name: str | None, content: bytes | None, *, is_kept: bool) -> Ledger:
    stop = _stop_signal()
    async with open_stage() as stage:
        ledger = await _unless(stop, _shown(stage, name, content))
        for line in table.verdict(ledger):
            _say(line)
        if is_kept:
            await keep(stage, _say, stop)
    return ledger


def _shown(stage: Stage, name: str | None, content: bytes | None) -> Coroutine[Any, Any, Ledger]:
    if name is None or content is None:
        return tour(stage, _say)
    return own_page.show(stage, _say, name, content)


async def _unless(stop: asyncio.Event, work: Coroutine[Any, Any, Ledger]) -> Ledger:
    """Do the work, unless told to stop.

    Raises:
        Failure: told to stop.
    """
    working, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not working.done():
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        raise Failure("msys-track: interrupted; the servers have been stopped")
    return working.result()


def _stop_signal() -> asyncio.Event:
    """Make an event that SIGTERM or SIGINT sets."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return stop


def _say(line: str) -> None:
    """Print a line; what this terminal can't show is escaped."""
    encoding = sys.stdout.encoding or "utf-8"
    click.echo(line.encode(encoding, "backslashreplace").decode(encoding))
