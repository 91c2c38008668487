"""Where the events are: the options that say so, before or behind the command's name."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from msys_track.cli import parameters
from msys_track.cli.exits import MisconfiguredError
from msys_track.config.configuration import Configuration
from msys_track.config.load import load
from msys_track.errors import SettingsError

_Command = TypeVar("_Command", bound=Callable[..., object])

_DEFAULT: Final = Path("msys-track.toml")
_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


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
    above = click.get_current_context().obj
    if not isinstance(above, Place):
        return Place(store, config_file)
    return Place(store or above.store, config_file or above.config_file)


class Moment(click.ParamType[int]):
    """A time, as Unix seconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read a date, a time, or how long ago it was."""
        if isinstance(value, int):
            return value
        if match := re.fullmatch(r"(\d{1,9})([smhdw])", value):
            return int(time.time()) - int(match[1]) * _UNITS[match[2]]
        try:
            at = datetime.fromisoformat(value)
            return int((at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp())
        except (ValueError, OverflowError):
            self.fail(
                f"{value!r} is no time; give one such as 2026-11-28, 2026-11-28T21:00 or 2h",
                param,
                ctx,
            )
