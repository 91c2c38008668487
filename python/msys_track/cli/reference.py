"""The reference of the command line, made from the commands' own help so that both agree.

`python -m msys_track.cli.reference > docs/command-line.md` writes it; a test compares.
"""

from collections.abc import Iterator
from typing import Final

import click

from msys_track.cli import main

_WIDTH: Final = 80
_INTRODUCTION: Final = """\
# Command line

Made from the commands' help by `python -m msys_track.cli.reference`; change it there.
"""


def write_markdown() -> str:
    """Write every command's help, the group first, as one Markdown page."""
    return "\n".join([_INTRODUCTION, *_write_sections(main, "msys-track", None)])


def _write_sections(
    command: click.Command, name: str, parent: click.Context | None
) -> Iterator[str]:
    context = click.Context(
        command,
        parent=parent,
        info_name=name,
        terminal_width=_WIDTH,
        **command.context_settings,
    )
    level = "#" * (2 + context.command_path.count(" "))
    yield f"{level} {context.command_path}\n\n```text\n{command.get_help(context)}\n```\n"
    if isinstance(command, click.Group):
        for each in command.list_commands(context):
            if (below := command.get_command(context, each)) is not None:
                yield from _write_sections(below, each, context)


if __name__ == "__main__":
    click.echo(write_markdown(), nl=False)
