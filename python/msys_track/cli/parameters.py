"""Parameters that several commands take, with the same name, variable and check in each."""

import ipaddress
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from msys_track.cli import logs
from msys_track.cli.exits import MisconfiguredError
from msys_track.errors import KeyRingError, RecipientError
from msys_track.keys.file import KeySource, NamedSource, key_source
from msys_track.keys.ring import KeyRing
from msys_track.options.tracking import KINDS
from msys_track.rewriting.engines import ENGINES
from msys_track.settings.addresses import LISTEN, UPSTREAM, listen_name
from msys_track.settings.kinds import Kind, NotAllowedError
from msys_track.smtp.address import Address
from msys_track.smtp.path import check_recipients

_Command = TypeVar("_Command", bound=Callable[..., object])

_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}

FILE = click.Path(dir_okay=False, path_type=Path)


class _Keys(click.Path):
    """A key file, or its substitute."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            source = key_source(value) if isinstance(value, str) else value
        except KeyRingError as error:
            self.fail(str(error), param, ctx)
        if isinstance(source, NamedSource):
            return source
        return super().convert(source, param, ctx)


KEYS = _Keys(dir_okay=False, path_type=Path)


def option(*names: str, envvar: str, **settings: Any) -> Callable[[_Command], _Command]:
    """Make an option that the environment variable `MSYS_TRACK_…` sets too."""
    return click.option(*names, envvar=f"MSYS_TRACK_{envvar}", show_envvar=True, **settings)


def keys(*, required: bool, help_text: str) -> Callable[[_Command], _Command]:
    """Make the option that says where the keys are."""
    return option(
        "--keys",
        "key_source",
        envvar="KEYS",
        type=KEYS,
        required=required,
        help=f"{help_text} A file, env:NAME or credential:NAME.",
    )


def key_ring(source: KeySource) -> KeyRing:
    """Load the keys that an option named.

    Raises:
        MisconfiguredError: they can't be used.
    """
    try:
        return KeyRing.load(source)
    except KeyRingError as error:
        raise MisconfiguredError(f"msys-track: {error}") from error


CONFIG = option(
    "--config",
    "config_file",
    envvar="CONFIG",
    type=FILE,
    default=Path("msys-track.toml"),
    show_default=True,
    help="Configuration file.",
)
LOG_LEVEL = option(
    "--log-level",
    envvar="LOG_LEVEL",
    type=click.Choice(logs.LEVELS),
    default="info",
    show_default=True,
    help="What is logged; debug explains each mail, with addresses and targets.",
)


class Whole(click.IntRange):
    """A whole number between bounds, whose error says so."""

    name = "number"


class Number(click.FloatRange):
    """A number between bounds, whose error says so."""

    name = "number"


class Moment(click.ParamType[int]):
    """A time, as Unix seconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read a date, a time, or how long ago it was; in UTC where it says nothing else."""
        if isinstance(value, int):
            return value
        if match := re.fullmatch(r"([0-9]{1,9})([smhdw])", value):
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


JSON = option("--json", "as_json", envvar="JSON", is_flag=True, help="Write JSON.")

ENGINE = option(
    "--engine",
    envvar="ENGINE",
    type=click.Choice(ENGINES),
    default=ENGINES[0],
    show_default=True,
    help="What rewrites: the compiled core, or the slower engine in pure Python.",
)


def overrides(command: _Command) -> _Command:
    """Add the options that replace values of a proxy's configuration."""
    other_upstream = option(
        "--upstream",
        envvar="UPSTREAM",
        metavar="HOST:PORT",
        type=upstream,
        help="Where mail is relayed to, in place of the configuration's upstream.",
    )
    help_text = "Keys in place of the configuration's."
    return keys(required=False, help_text=help_text)(other_upstream(command))


# The types of options: each takes the text that was given.


def ip_address(text: str) -> str:
    """Check an IP address.

    Raises:
        click.BadParameter: it is not one.
    """
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise click.BadParameter(f"{text!r} is not an IP address; give one as 10.0.0.7") from None


def listen_address(text: str) -> Address:
    """Check the address of a listener.

    Raises:
        click.BadParameter: neither `host:port` nor `:port`.
    """
    try:
        return listen_name(text)
    except NotAllowedError:
        raise click.BadParameter(
            f"{text!r} is not an address; give host:port such as 127.0.0.1:2525, "
            "or :port for every IPv4 address"
        ) from None


def reverse_path(text: str) -> str:
    """Check a sender, which may be the null sender.

    Raises:
        click.BadParameter: it is neither empty nor an address.
    """
    path = text.removeprefix("<").removesuffix(">")
    if path and (not path.isprintable() or " " in path or "@" not in path):
        raise click.BadParameter(
            f"{text!r} is not an address; give one such as jo@example.com, "
            "or '' for the null sender"
        )
    return path


def mail_address(text: str) -> str:
    """Check a recipient: an address alone, of two parts but for `postmaster`.

    Raises:
        click.BadParameter: it is not such an address.
    """
    local, _, domain = text.rpartition("@")
    # The one address without a domain that every server knows (RFC 5321 section 4.1.1.3).
    if not (local and domain) and text.lower() != "postmaster":
        raise click.BadParameter(f"{text!r} is not an address; give one such as jo@example.com")
    try:
        check_recipients((text,))
    except RecipientError as error:
        raise click.BadParameter(str(error)) from error
    return text


def tracking_domain(text: str) -> str:
    """Check a tracking domain.

    Raises:
        click.BadParameter: a link can't lead there.
    """
    return _check(KINDS["tracking_domain"], text)


def upstream(text: str) -> str:
    """Check the address of an upstream.

    Raises:
        click.BadParameter: it is not one.
    """
    return _check(UPSTREAM, text)


def listen(text: str) -> str:
    """Check where a server is to listen, as a configuration says it.

    Raises:
        click.BadParameter: neither an address nor one of which any port is free.
    """
    return _check(LISTEN, text)


def _check(kind: Kind, text: str) -> str:
    """Check what goes into a configuration as it is.

    Raises:
        click.BadParameter: a configuration may not have it.
    """
    if not kind.allows(text):
        raise click.BadParameter(f"{text!r}; allowed: {kind.allowed}")
    return text
