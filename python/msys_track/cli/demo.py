"""`msys-track demo`: a tour on this machine."""

import asyncio
import sys
from pathlib import Path

import click

from msys_track.cli import logs, parameters, streams
from msys_track.cli.commands import Command
from msys_track.cli.exits import CommandError, ExitCode
from msys_track.demo import page
from msys_track.demo.catalogue import Mail, load_own
from msys_track.demo.check import Ledger
from msys_track.demo.keep import keep
from msys_track.demo.stage import open_stage
from msys_track.demo.tour import tour
from msys_track.errors import SettingsError
from msys_track.supervision import loop
from msys_track.supervision.signals import catch_stop_signals


@click.command(
    cls=Command,
    examples=(
        "msys-track demo",
        "msys-track demo newsletter.eml",
        "msys-track demo --keep",
    ),
)
@click.argument("file", type=parameters.FILE, required=False)
@parameters.option(
    "--keep",
    "is_kept",
    envvar="DEMO_KEEP",
    is_flag=True,
    help="Leave everything running afterwards, and print how to send mail to it.",
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

    Prints what becomes of each mail. With FILE, sends that file instead of the tour's mails, even
    if it is not a mail. Servers, keys and store are temporary. Only the loopback interface is
    used: links are followed to the tracker and no further. The exit code is 0 only if every
    expectation holds.
    """
    streams.output()  # if it is closed, a server's socket would get its number
    if not is_verbose:
        logs.to_stderr(level="warning")
    try:
        own = None if file is None else load_own(file)
        with loop.make_runner() as runner:
            ledger = runner.run(_run_demo(own, is_kept=is_kept))
    except SettingsError as error:
        # Nothing here is configured, so the machine is at fault, not a file.
        raise CommandError(f"msys-track: {error}") from error
    if any(ledger.find_failures()):
        context.exit(ExitCode.FAILED)


async def _run_demo(own: Mail | None, *, is_kept: bool) -> Ledger:
    """Take the tour; with `is_kept` leave everything running afterwards.

    Raises:
        CommandError: a signal came during the tour.
    """
    stop = catch_stop_signals()
    async with open_stage() as stage:
        touring = asyncio.create_task(tour(stage, _print_line, own))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({touring, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not touring.done():
            touring.cancel()
            await asyncio.gather(touring, return_exceptions=True)
            raise CommandError("msys-track: interrupted; the servers have been stopped")
        ledger = touring.result()
        for line in page.show_verdict(ledger):
            _print_line(line)
        if is_kept:
            await keep(stage, _print_line, stop)
    return ledger


def _print_line(line: str) -> None:
    """Print a line; what this terminal can't show is escaped."""
    encoding = sys.stdout.encoding or "utf-8"
    click.echo(line.encode(encoding, "backslashreplace").decode(encoding))
