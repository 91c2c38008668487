"""`msys-track report`: shows what was stored, to people who log in, until it is stopped."""

from functools import partial
from pathlib import Path

import click

from msys_track.cli import logs, parameters
from msys_track.cli.commands import Command
from msys_track.cli.servers import announce, blame_machine, make_missing_table_error
from msys_track.service import assembly
from msys_track.service.report import load_report, supervise_report


@click.command(
    cls=Command,
    examples=(
        "msys-track report",
        "msys-track report --config msys-track.toml --log-level warning",
    ),
)
@parameters.CONFIG
@parameters.LOG_LEVEL
def report(*, config_file: Path, log_level: str) -> None:
    """Show what the tracker has stored, to people who log in, until it is stopped.

    Needs a table [report] in the configuration, and a user: `msys-track users add`. Prints the
    address when it listens. It only reads the store. SIGHUP reads the configuration
    again, all or nothing: who is logged in stays so unless the settings of the report change.
    SIGUSR2 replaces the program by the one that is installed now, after which people log in again.
    """
    logs.to_stderr(level=log_level)
    load_again = partial(load_report, config_file)
    loaded = load_again()
    if loaded is None:
        read = assembly.read_configuration(config_file, "report")
        raise make_missing_table_error("report", read)
    with blame_machine():
        supervise_report(loaded, partial(assembly.reload_table, load_again, "report"), announce)
