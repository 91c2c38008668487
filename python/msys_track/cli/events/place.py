"""Where the events are: the options that say so, before or behind the command's name."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import click

from msys_track.cli import parameters
from msys_track.cli.exits import MisconfiguredError
from msys_track.config.configuration import Configuration
from msys_track.config.load import load
from msys_track.errors import SettingsError

_Command = TypeVar("_Command", bound=Callable[..., object])

_DEFAULT: Final = Path("msys-track.toml")


@dataclass(frozen=True, slots=True)
class Place:
    """Where the events are.

    Attributes:
        store: The file that was named.
        config_file: The configuration that was named.
    """

    store: Path | None
    config_file: Path | None

    def find_store(self) -> Path:
        """Return the store's file.

        Raises:
            SettingsError: none was named, and the configuration can't be read or names none.
        """
        if self.store is not None:
            return self.store
        configuration = self.load()
        if configuration.tracker is None:
            raise MisconfiguredError(
                f"{configuration.path}: no [tracker] table: no store; name one with --store"
            )
        return configuration.tracker.store

    def load(self) -> Configuration:
        """Read the configuration.

        Raises:
            SettingsError: it can't be read.
        """
        try:
            return load(self.config_file or _DEFAULT, server="tracker")
        except SettingsError as error:
            if self.config_file is not None or _DEFAULT.exists():
                raise
            raise MisconfiguredError(
                f"msys-track: no {_DEFAULT} here; name one with --config, or a store with --store"
            ) from error


def OPTIONS(command: _Command) -> _Command:  # noqa: N802 - used as the constants beside it
    """Add the options that say where the events are."""
    store = parameters.option(
        "--store",
        envvar="STORE",
        type=parameters.FILE,
        help="The event store, in place of the configuration's.",
    )
    config = parameters.option(
        "--config",
        "config_file",
        envvar="CONFIG",
        type=parameters.FILE,
        help=f"Configuration file; {_DEFAULT} unless given.",
    )
    return store(config(command))


def find_place(store: Path | None, config_file: Path | None) -> Place:
    """Return where the events are, from the options of a command and of the group above it."""
    above: Place = click.get_current_context().obj  # the group has put it there
    return Place(store or above.store, config_file or above.config_file)
