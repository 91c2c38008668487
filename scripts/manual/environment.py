"""The page of environment variables: those of options are made from the commands themselves.

`python -m scripts.manual.environment` prints docs/reference/environment.md; a test compares.
"""

import sys
from collections.abc import Iterator
from typing import Final

import click

from msys_track.cli import main

_INTRODUCTION: Final = """\
# Environment variables

Made from the commands by `python -m scripts.manual.environment`; change it there. An option on the
command line counts before its variable, and the variable before the configuration and the default.

## Options

| variable | option | of |
| --- | --- | --- |
"""
_OTHERS: Final = """
A switch is on with `1`, `true` or `yes`, and off with `0`, `false` or `no`.

## Others

| variable | what it is for |
| --- | --- |
| any that `env:NAME` names | a key, a password or another secret, wherever the configuration names a file of one: [where the keys are](../configuration.md#where-the-keys-are) |
| `CREDENTIALS_DIRECTORY` | systemd's; the folder of what `credential:NAME` names |
| `NO_COLOR` | without colours, bold and dim letters, wherever text goes; it counts before `FORCE_COLOR` |
| `FORCE_COLOR` | with them in a pipe or a file too, where text goes there: the log, and what `--json` is for, are JSON there |
| `TERM` | `dumb`: a terminal without colours. They are at terminals only, unless the variables above say otherwise |
| `NOTIFY_SOCKET`, `WATCHDOG_USEC`, `LISTEN_FDS`, `LISTEN_PID`, `LISTEN_FDNAMES` | systemd's: readiness, the watchdog, and sockets that it has opened: [systemd](../operating.md#systemd) |
| `EC_CONF_SEARCH_PATH`, `NODENAME` | Momentum's: where [`ecelerity.conf`](../ecelerity.md) looks for files, and the name of this node there |

A policy in Python can read every variable of its server, those with keys included.
"""  # noqa: E501 - a row of a table is a line


def write_markdown() -> str:
    """Write every variable that a command reads as one Markdown page."""
    found: dict[tuple[str, str], list[str]] = {}
    # A command keeps the names of its help option, which these settings say.
    context = click.Context(main, info_name="msys-track", **main.context_settings)
    for path, option in _list_options(main, context):
        is_option = option.param_type_name == "option"
        written = max(option.opts, key=len) if is_option else option.opts[0].upper()
        found.setdefault((str(option.envvar), written), []).append(path)
    rows = [
        f"| `{variable}` | `{written}` | {', '.join(f'`{path}`' for path in paths)} |\n"
        for (variable, written), paths in sorted(found.items())
    ]
    return _INTRODUCTION + "".join(rows) + _OTHERS


def _list_options(
    command: click.Command, context: click.Context
) -> Iterator[tuple[str, click.Parameter]]:
    path = context.command_path.removeprefix("msys-track").strip()
    yield from ((path, each) for each in command.params if each.envvar)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None:
                yield from _list_options(below, click.Context(below, context, name))


if __name__ == "__main__":
    sys.stdout.write(write_markdown())
