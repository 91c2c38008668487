"""`msys-track config`: find what is wrong with a configuration before it is put to use."""

from pathlib import Path

import click

from msys_track.cli import parameters
from msys_track.cli.serve import key_ring
from msys_track.config import toml


@click.group(short_help="Check configuration files.")
def config() -> None:
    """Check configuration files."""


@config.command(short_help="Report every fault of a configuration file.")
@click.argument("file", type=parameters.FILE)
def check(*, file: Path) -> None:
    """Read a configuration file and its keys as a server would; open nothing.

    Every fault is told with its line; then the exit code is 2.
    """
    configuration = toml.load(file)
    if configuration.keys is not None:
        key_ring(configuration)
    click.echo(f"{file}: no faults")
