"""Parameters that several commands take: the same name, variable and check wherever they stand."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from msys_track.cli.exits import Misconfigured
from msys_track.errors import KeyRingError
from msys_track.keys import KeyRing
from msys_track.options.tracking import RULES

_Command = TypeVar("_Command", bound=Callable[..., object])

FILE = click.Path(dir_okay=False, path_type=Path)


def option(*names: str, envvar: str, **settings: Any) -> Callable[[_Command], _Command]:
    """Make an option that the environment variable `MSYS_TRACK_…` sets too."""
    return click.option(*names, envvar=f"MSYS_TRACK_{envvar}", show_envvar=True, **settings)


def keys(*, required: bool, help_text: str) -> Callable[[_Command], _Command]:
    """Make the option that names a key file."""
    return option(
        "--keys", "keys_file", envvar="KEYS", type=FILE, required=required, help=help_text
    )


def key_ring(file: Path) -> KeyRing:
    """Load the key file that an option named.

    Raises:
        Misconfigured: it can't be used.
    """
    try:
        return KeyRing.load(file)
    except KeyRingError as error:
        raise Misconfigured(f"msys-track: {error}") from error


def config() -> Callable[[_Command], _Command]:
    """Make the option that names a configuration file."""
    return option(
        "--config",
        "config_file",
        envvar="CONFIG",
        type=FILE,
        default=Path("msys-track.toml"),
        show_default=True,
        help="Configuration file.",
    )


def mail_address(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    """Check a mail address as far as a link needs it: two parts, nothing unprintable.

    Raises:
        click.BadParameter: no such address.
    """
    local, _, domain = value.rpartition("@")
    if not local or not domain or not value.isprintable() or value.startswith("<"):
        raise click.BadParameter(f"{value!r} is no address; give one such as jo@example.com")
    return value


def tracking_domain(
    _context: click.Context, _parameter: click.Parameter, value: str | None
) -> str | None:
    """Check a tracking domain.

    Raises:
        click.BadParameter: nothing that a link could lead to.
    """
    rule = RULES["tracking_domain"]
    if value is not None and not rule.allows(value):
        raise click.BadParameter(f"{value!r}; allowed: {rule.allowed}")
    return value
