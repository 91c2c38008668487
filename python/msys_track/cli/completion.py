"""`msys-track completion`: commands and options that a shell fills in at Tab."""

import os
from pathlib import Path
from typing import Final

import click
from click.shell_completion import BashComplete, FishComplete, ZshComplete

from msys_track.cli import parameters
from msys_track.cli.commands import Command
from msys_track.cli.exits import CommandError
from msys_track.errors import describe_os_error

_NAME: Final = "msys-track"
_VARIABLE: Final = "_MSYS_TRACK_COMPLETE"
_CLASSES: Final = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}
# Where each shell looks by itself, but for zsh: below XDG's folder, and what is left to do.
_PLACES: Final = {
    "bash": ("XDG_DATA_HOME", ".local/share", f"bash-completion/completions/{_NAME}"),
    "zsh": ("XDG_DATA_HOME", ".local/share", f"zsh/site-functions/_{_NAME}"),
    "fish": ("XDG_CONFIG_HOME", ".config", f"fish/completions/{_NAME}.fish"),
}
_NEXT_STEPS: Final = {
    "bash": "Start a new shell; it needs the package bash-completion.",
    "zsh": "Put this before compinit in ~/.zshrc, and start a new shell: fpath+=({folder})",
    "fish": "It works in each new shell.",
}


@click.command(
    cls=Command,
    examples=(
        "msys-track completion bash --install",
        "msys-track completion zsh > _msys-track",
    ),
)
@click.argument("shell", type=click.Choice(tuple(_PLACES)))
@parameters.option(
    "--install",
    envvar="INSTALL",
    is_flag=True,
    help="Write it where the shell looks for it.",
)
@click.pass_context
def completion(context: click.Context, *, shell: str, install: bool) -> None:
    """Print what a shell needs to complete commands and options at Tab, or install it."""
    root = context.find_root().command
    script = _CLASSES[shell](root, {}, _NAME, _VARIABLE).source()
    if not install:
        click.echo(script, nl=False)
        return
    variable, default, name = _PLACES[shell]
    file = Path(os.environ.get(variable) or Path.home() / default) / name
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(script, encoding="utf-8")
    except OSError as error:
        raise CommandError(f"msys-track completion: {file}: {describe_os_error(error)}") from error
    click.echo(f"{file}: written. {_NEXT_STEPS[shell].format(folder=file.parent)}", err=True)
