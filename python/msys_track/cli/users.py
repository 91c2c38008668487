"""`msys-track users`: who may inject mail after AUTH, and who may look at the report."""

import sys
from pathlib import Path

import click

from msys_track.accounts import users as users_file
from msys_track.cli import parameters
from msys_track.cli.commands import Commands
from msys_track.cli.exits import CommandError

_NEXT = "  next: SIGHUP the server, or wait: it looks at the file every few seconds"


@click.group(
    cls=Commands,
    examples=(
        "msys-track users add users.toml amy",
        "msys-track users list users.toml",
    ),
)
def users() -> None:
    """Add, remove and list users who may inject mail after AUTH, or log in to the report.

    FILE is the one that `auth_users` in [proxy], or `users` in [report], of the configuration
    names.
    """


@users.command(
    short_help="Add a user.",
    examples=(
        "msys-track users add users.toml bea",
        "msys-track users add users.toml amy --replace < password.txt",
    ),
)
@click.argument("file", type=parameters.FILE)
@click.argument("name")
@click.option(
    "--subaccount",
    "subaccount_id",
    type=parameters.Whole(0, users_file.MAX_SUBACCOUNT),
    help="The subaccount that all mail of this user counts for.",
)
@click.option("--replace", "replaces", is_flag=True, help="Replace the user of that name.")
def add(*, file: Path, name: str, subaccount_id: int | None, replaces: bool) -> None:
    """Add the user NAME to FILE, which is made if it is not there, readable by its owner only.

    Asks for the password; without a terminal it is the first line of standard input. The file has
    its scrypt hash alone.
    """
    users_file.add_user(
        file, name, _read_password(), subaccount_id=subaccount_id, replaces=replaces
    )
    click.echo(f"{file}: user {name} can log in now\n{_NEXT}", err=True)


@users.command(short_help="Remove a user.", examples=("msys-track users remove users.toml amy",))
@click.argument("file", type=parameters.FILE)
@click.argument("name")
def remove(*, file: Path, name: str) -> None:
    """Remove the user NAME from FILE. Their open connections last until they end."""
    users_file.remove_user(file, name)
    click.echo(f"{file}: user {name} was removed\n{_NEXT}", err=True)


@users.command(
    "list",
    short_help="List the users of a file.",
    examples=("msys-track users list users.toml",),
)
@click.argument("file", type=parameters.FILE)
def list_users(*, file: Path) -> None:
    """Print each user's name, and the subaccount if there is one. Hashes are never printed."""
    for user in users_file.read_users(file):
        subaccount = "" if user.subaccount_id is None else f"\tsubaccount {user.subaccount_id}"
        click.echo(f"{user.name}{subaccount}")


def _read_password() -> str:
    if sys.stdin.isatty():
        password: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
        return password
    try:
        return sys.stdin.readline().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise CommandError("msys-track: standard input: the password is not UTF-8") from error
