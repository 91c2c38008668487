"""`msys-track keys`: make, rotate and look at the file whose keys seal links."""

import click

from msys_track.cli import parameters
from msys_track.cli.commands import Commands
from msys_track.keys import file as key_file
from msys_track.keys.file import KeySource


@click.group(
    cls=Commands,
    examples=(
        "msys-track keys new links.toml",
        "msys-track keys rotate keys.toml",
        "msys-track keys list keys.toml",
    ),
)
def keys() -> None:
    """Make, rotate and list the keys that seal tracked links.

    FILE is the one that `keys` in the configuration names. Proxies and trackers need the same one.
    """


@keys.command(short_help="Make a key file.", examples=("msys-track keys new links.toml",))
@click.argument("file", type=parameters.KEYS)
def new(*, file: KeySource) -> None:
    """Make a key file with one fresh key, readable by its owner only. Never overwrites a file."""
    key_file.create(file)
    click.echo(f"{file}: made, with one key", err=True)


@keys.command(short_help="Put a fresh key first.", examples=("msys-track keys rotate keys.toml",))
@click.argument("file", type=parameters.KEYS)
def rotate(*, file: KeySource) -> None:
    """Put a fresh key first in a key file: it seals from now on, the others still open.

    Proxies and trackers read the file when they start, and again at SIGHUP. Trackers must have
    the new key before a proxy seals with it: reload them first.
    """
    number = key_file.rotate(file)
    click.echo(
        f"{file}: key {number} seals now, the others still open their links\n"
        f"  next: give this file to every tracker and reload it (SIGHUP), then the proxies; a "
        f"tracker without key {number} can't open its links",
        err=True,
    )


@keys.command(
    "list",
    short_help="List the keys of a file.",
    examples=(
        "msys-track keys list keys.toml",
        "msys-track keys list credential:keys.toml",
    ),
)
@click.argument("file", type=parameters.KEYS)
def list_keys(*, file: KeySource) -> None:
    """Print the number, date and use of each key. Secrets are never printed.

    FILE may also be env:NAME or credential:NAME: the keys in an environment variable, or in a
    systemd credential.
    """
    for place, key in enumerate(key_file.list_keys(file)):
        use = "opens" if place else "seals, opens"
        click.echo(f"{key.id:>3}  {key.created_text}  {use}")
