"""`msys-track keys`: make, rotate and look at the file whose keys seal links."""

from pathlib import Path

import click

from msys_track import keys as ring
from msys_track.cli import parameters


@click.group(short_help="Make, rotate and list key files.")
def keys() -> None:
    """Make, rotate and list the keys that seal tracked links."""


@keys.command(short_help="Make a key file.")
@click.argument("file", type=parameters.FILE)
def new(*, file: Path) -> None:
    """Make a key file with one fresh key, readable by its owner only; never over another file."""
    ring.create(file)
    click.echo(f"{file}: made, with one key", err=True)
