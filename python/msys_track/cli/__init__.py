"""The command line: each command parses, calls one room, prints; no decision is made here."""

import click

from msys_track.cli import logs, streams
from msys_track.cli.config import config
from msys_track.cli.demo import demo
from msys_track.cli.events import events
from msys_track.cli.exits import Commands
from msys_track.cli.keys import keys
from msys_track.cli.links import open_link
from msys_track.cli.rewrite import rewrite
from msys_track.cli.serve import proxy, tracker

__all__ = ["main"]


@click.group(
    "msys-track",
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done; 1 refused or failed; 2 wrong usage or configuration. Every "
    "option can be set by the environment variable beside it.",
)
@click.version_option(package_name="msys-track", message="%(prog)s %(version)s")
def main() -> None:
    """Engagement tracking for mail injected over SMTP."""
    streams.occupy()
    logs.to_stderr()


main.add_command(config)
main.add_command(demo)
main.add_command(events)
main.add_command(keys)
main.add_command(open_link)
main.add_command(proxy)
main.add_command(rewrite)
main.add_command(tracker)
