"""Commands with examples in their help, and groups that import a command when it is called.

The table of a group has each command's name, its one line of help and the extra that it needs, so
that the group's own help, its completion and `--version` import no command.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import click
from click.shell_completion import CompletionItem

from msys_track.cli.exits import end_in_one_line
from msys_track.extras import needed_extra


@dataclass(frozen=True, slots=True)
class Entry:
    """A command that is not imported yet.

    Attributes:
        place: Its module and its name there, as in `msys_track.cli.keys:keys`.
        help: One line about it, for the help of its group.
        extra: What `pip` installs what it needs by; None where the library's packages do.
    """

    place: str
    help: str
    extra: str | None = None

    def load(self, path: str) -> click.Command:
        """Import the command.

        Args:
            path: How it is called, for the error.

        Raises:
            MissingExtraError: its packages are not installed.
        """
        module, _, name = self.place.partition(":")
        if self.extra is None:
            command: click.Command = getattr(import_module(module), name)
        else:
            with needed_extra(self.extra, f"`{path}`"):
                command = getattr(import_module(module), name)
        return command


class Command(click.Command):
    """A command whose help shows how it is typed.

    Args:
        examples: Lines for a shell, each of which runs as it stands; a test runs them.
    """

    def __init__(self, *arguments: Any, examples: Sequence[str], **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.examples = examples

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what it is for, then how it is typed."""
        super().format_help_text(ctx, formatter)
        _write_examples(self.examples, formatter)


class Commands(click.Group):
    """A group whose commands end with one line if they fail for a known reason.

    Args:
        entries: The table of its commands, by name.
        examples: As those of a `Command`.
    """

    command_class = Command

    def __init__(
        self,
        *arguments: Any,
        entries: Mapping[str, Entry] | None = None,
        examples: Sequence[str],
        **settings: Any,
    ) -> None:
        super().__init__(*arguments, **settings)
        self.entries = entries or {}
        self.examples = examples

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what it is for, then how it is typed."""
        super().format_help_text(ctx, formatter)
        _write_examples(self.examples, formatter)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name all commands, in alphabetical order; imports none."""
        return sorted({*super().list_commands(ctx), *self.entries})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, which is imported with the first call; None if there is none.

        Raises:
            MissingExtraError: its packages are not installed.
        """
        if cmd_name in self.entries and cmd_name not in self.commands:
            loaded = self.entries[cmd_name].load(f"{ctx.command_path} {cmd_name}")
            self.add_command(loaded, cmd_name)
        return super().get_command(ctx, cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands; imports none."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self._describe_commands(ctx).items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete the name of a command, or else an option; imports no command."""
        described = self._describe_commands(ctx)
        found = [
            CompletionItem(name, help=text)
            for name, text in described.items()
            if name.startswith(incomplete)
        ]
        return found + click.Command.shell_complete(self, ctx, incomplete)

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        """Read the command line; `--help` and `--version` already print here.

        Raises:
            CommandError: standard output can't be written.
        """
        with end_in_one_line():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was named.

        Raises:
            CommandError: a `TrackingError`, an error of the operating system, a closed output.
        """
        with end_in_one_line():
            result = super().invoke(ctx)
            if sys.stdout is not None:  # None if it was closed before we started
                sys.stdout.flush()
            return result

    def _describe_commands(self, ctx: click.Context) -> dict[str, str]:
        own = {name: each.get_short_help_str() for name, each in self.commands.items()}
        tabled = {name: entry.help for name, entry in self.entries.items()}
        return {name: (own | tabled)[name] for name in self.list_commands(ctx)}


def _write_examples(examples: Sequence[str], formatter: click.HelpFormatter) -> None:
    """Write each on a line of its own, never wrapped, as people copy them."""
    with formatter.section("Examples"):
        for line in "\n".join(examples).splitlines():
            formatter.write(f"{'':{formatter.current_indent}}{line}\n")
