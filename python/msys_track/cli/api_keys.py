"""`msys-track api-keys`: which programs may read events and metrics over SparkPost's APIs."""

from pathlib import Path

import click

from msys_track.cli import parameters
from msys_track.cli.commands import Commands
from msys_track.report.sparkpost import api_keys as keys_file
from msys_track.report.sparkpost.api_keys import Scope


@click.group(
    "api-keys",
    cls=Commands,
    examples=(
        "msys-track api-keys new api-keys.toml dashboard",
        "msys-track api-keys list api-keys.toml",
    ),
)
def api_keys() -> None:
    """Make, list and remove keys of programs that read events and metrics.

    FILE is the one that `api_keys` in [report] of the configuration names. NAME says which program
    a key is for.
    """


@api_keys.command(
    short_help="Make a key.",
    examples=(
        "msys-track api-keys new api-keys.toml crm",
        "msys-track api-keys new api-keys.toml dashboard --scope metrics",
    ),
)
@click.argument("file", type=parameters.FILE)
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice([each.value for each in Scope]),
    multiple=True,
    help="What the key may read; may be given several times.  [default: both]",
)
def new(*, file: Path, name: str, scopes: tuple[str, ...]) -> None:
    """Make a key for the program NAME and print it: it is shown this once.

    FILE keeps its hash. The file is made if it is not there, readable by its owner only. A running
    report takes the key with the next request.
    """
    secret = keys_file.make_api_key(file, name, map(Scope, scopes) if scopes else Scope)
    click.echo(f"{file}: {name} can read now; keep the key, it is not shown again", err=True)
    click.echo(secret)


@api_keys.command(
    "list",
    short_help="List the keys of a file.",
    examples=("msys-track api-keys list api-keys.toml",),
)
@click.argument("file", type=parameters.FILE)
def list_keys(*, file: Path) -> None:
    """Print each key's name and scopes, one line each.

    Keys can't be shown, as FILE has their hashes alone. Hashes are never printed.
    """
    for key in keys_file.read_api_keys(file):
        click.echo(f"{key.name}\t{' '.join(sorted(key.scopes))}")


@api_keys.command(
    short_help="Remove a key.", examples=("msys-track api-keys remove api-keys.toml crm",)
)
@click.argument("file", type=parameters.FILE)
@click.argument("name")
def remove(*, file: Path, name: str) -> None:
    """Remove the key of the program NAME; it opens nothing from the next request on."""
    keys_file.remove_api_key(file, name)
    click.echo(f"{file}: key {name} was removed", err=True)
