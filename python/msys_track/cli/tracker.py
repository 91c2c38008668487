"""`msys-track tracker`: answers tracked links over HTTP until it is stopped."""

from functools import partial
from pathlib import Path

import click

from msys_track.cli import logs, parameters
from msys_track.cli.commands import Command
from msys_track.cli.servers import announce, blame_machine, make_missing_table_error
from msys_track.service import assembly
from msys_track.service.tracker import supervise_tracker


@click.command(
    cls=Command,
    examples=(
        "msys-track tracker",
        "msys-track tracker --config msys-track.toml --log-level warning",
    ),
)
@parameters.CONFIG
@parameters.LOG_LEVEL
def tracker(*, config_file: Path, log_level: str) -> None:
    """Answer tracked links over HTTP and store the events, until it is stopped.

    Needs a table [tracker] in the configuration. Prints the address when it listens. On SIGTERM
    and SIGINT it stores waiting events first. SIGHUP reads the configuration and the keys again,
    all or nothing. SIGUSR2 replaces the program by the one that is installed now. Neither refuses
    a reader.
    """
    logs.to_stderr(level=log_level)
    load_again = partial(assembly.load_tracker, config_file)
    loaded = load_again()
    if loaded is None:
        read = assembly.read_configuration(config_file, "tracker")
        raise make_missing_table_error("tracker", read)
    with blame_machine():
        supervise_tracker(loaded, partial(assembly.reload_table, load_again, "tracker"), announce)
