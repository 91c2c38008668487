"""The command line: each command parses its arguments, calls one room and prints."""

import io
import sys
from pathlib import Path

import click

from msys_track.cli import logs, parameters, streams
from msys_track.cli.api_keys import api_keys
from msys_track.cli.bench import bench
from msys_track.cli.check import check
from msys_track.cli.config import config
from msys_track.cli.demo import demo
from msys_track.cli.events import events
from msys_track.cli.exits import Commands
from msys_track.cli.explain import command as explain
from msys_track.cli.init import init
from msys_track.cli.keys import keys
from msys_track.cli.links import open_link
from msys_track.cli.rewrite import rewrite
from msys_track.cli.serve import proxy, report, serve, tracker
from msys_track.cli.spool import spool
from msys_track.cli.top import top
from msys_track.cli.users import users
from msys_track.cli.webhook import webhook

__all__ = ["main"]


@click.group(
    "msys-track",
    cls=Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done; 1 refused or failed; 2 wrong usage or configuration. Every "
    "option can be set by the environment variable beside it.",
)
@click.option(
    "--config",
    "config_file",
    type=parameters.FILE,
    help="Configuration for the command that follows; without a command the proxy starts.",
)
@click.version_option(package_name="msys-track", message="%(prog)s %(version)s")
@click.pass_context
def main(context: click.Context, *, config_file: Path | None) -> None:
    """Engagement tracking for mail injected over SMTP."""
    streams.occupy()
    logs.to_stderr()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Mails and file names hold characters that a terminal's encoding may not have.
        sys.stdout.reconfigure(errors="backslashreplace")
    if config_file is not None:
        named = {"config_file": str(config_file)}
        context.default_map = {name: dict(named) for name in main.commands}
    if context.invoked_subcommand is not None:
        return
    if config_file is None:
        click.echo(context.get_help(), err=True)
        context.exit(2)
    proxy.main(["--config", str(config_file)], prog_name="msys-track", standalone_mode=False)


for command in (
    api_keys,
    bench,
    check,
    config,
    demo,
    events,
    explain,
    init,
    keys,
    open_link,
    proxy,
    report,
    rewrite,
    serve,
    spool,
    top,
    tracker,
    users,
    webhook,
):
    main.add_command(command)
