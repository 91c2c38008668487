"""`msys-track serve`: all servers of a configuration, until they are stopped."""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from msys_track.cli import logs, parameters
from msys_track.cli.commands import Command
from msys_track.cli.exits import ExitCode, MisconfiguredError
from msys_track.cli.servers import blame_machine
from msys_track.config.load import load
from msys_track.service.serve import START_ORDER, serve_all


@click.command(
    cls=Command,
    examples=(
        "msys-track serve",
        "msys-track serve --config msys-track.toml --log-level warning",
    ),
)
@parameters.option(
    "--config",
    "config_file",
    envvar="CONFIG",
    type=parameters.FILE,
    default=Path("msys-track.toml"),
    show_default=True,
    help="The configuration of all of them.",
)
@parameters.LOG_LEVEL
def serve(*, config_file: Path, log_level: str) -> None:
    """Run the servers that a configuration has tables for: tracker, report and proxy.

    `msys-track init` makes a configuration with all three. Each is a process tree of its own, as
    its command alone would be. One that dies is begun again and harms no other. On SIGTERM and
    SIGINT they stop, the proxy first. SIGHUP and SIGUSR2 mean to all of them what they mean to
    each.
    """
    logs.to_stderr(level=log_level)
    read = load(config_file)  # what is ignored in it is told by each server
    names = [name for name in START_ORDER if getattr(read, name, None) is not None]
    if not names:
        raise MisconfiguredError(f"{config_file}: no [proxy] and no [tracker]: nothing to start")
    rest = ["--config", str(config_file), "--log-level", log_level]
    commands = [(name, [*_find_program(), name, *rest]) for name in names]
    with blame_machine():
        code = asyncio.run(serve_all(commands))
    if code:
        # A server may have ended by a signal, which is no code of ours.
        is_misused = code == ExitCode.MISUSED
        sys.exit(ExitCode.MISUSED if is_misused else ExitCode.FAILED)


def _find_program() -> Sequence[str]:
    """Find how this program is started, without what it is to do."""
    if Path(sys.argv[0]).is_file():
        return [sys.executable, sys.argv[0]]
    return [sys.executable, "-c", "from msys_track.cli import main; main()"]
