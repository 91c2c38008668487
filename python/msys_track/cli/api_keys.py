"""`msys-track api-keys`: which programs may read events and metrics over SparkPost's APIs."""

from pathlib import Path

import click

from msys_track.cli import parameters
from msys_track.report.sparkpost import api_keys as keys_file
from msys_track.report.sparkpost.api_keys import Scope


@click.group("api-keys")
def api_keys() -> None:
    """Make, list and remove keys of programs that read events and metrics."""


@api_keys.command(short_help="Make a key.")
@click.argument("file", type=parameters.FILE)
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice([each.value for each in Scope]),
    multiple=True,
    help="What the key may read; both unless given.",
)
def new(*, file: Path, name: str, scopes: tuple[str, ...]) -> None:
    """Make a key, add its hash to a file and print it: it is shown this once.

    The file is made if it is not there, readable by its owner only. A running report takes it
    with the next request.
    """
    secret = keys_file.make_api_key(file, name, map(Scope, scopes) if scopes else Scope)
    click.echo(f"{file}: {name} can read now; keep the key, it is not shown again", err=True)
    click.echo(secret)


@api_keys.command("list", short_help="List the keys of a file.")
@click.argument("file", type=parameters.FILE)
def list_keys(*, file: Path) -> None:
    """Print each key's name and scopes. Keys can't be shown, and hashes never are."""
    for key in keys_file.read_api_keys(file):
        click.echo(f"{key.name}\t{' '.join(sorted(key.scopes))}")


@api_keys.command(short_help="Remove a key.")
@click.argument("file", type=parameters.FILE)
@click.argument("name")
def remove(*, file: Path, name: str) -> None:
    """Remove a key from a file; it opens nothing from the next request on."""
    keys_file.remove_api_key(file, name)
    click.echo(f"{file}: key {name} was removed", err=True)
