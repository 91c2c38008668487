"""`msys-track config`: begin a configuration, see what it means, find what is wrong with it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from msys_track.cli import parameters
from msys_track.cli.exits import Failure, Misconfigured
from msys_track.config import effective, showing
from msys_track.config.checking import Checked, checked
from msys_track.config.configuration import Configuration
from msys_track.config.effective import Way
from msys_track.config.load import MOMENTUM_SUFFIX, is_momentum
from msys_track.config.momentum.importing import imported
from msys_track.config.schema.json_schema import json_schema
from msys_track.config.schema.starter import starter
from msys_track.keys.ring import KeySource
from msys_track.options.scopes import address_of
from msys_track.settings.addresses import listen_name
from msys_track.settings.kinds import NotAllowedError

_Command = TypeVar("_Command", bound=Callable[..., object])

_FILE = Path("msys-track.toml")


@click.group(short_help="Begin, check, show and convert configuration files.")
@click.pass_context
def config(context: click.Context) -> None:
    """Begin, check, show and convert configuration files."""
    named = (context.default_map or {}).get("config_file")
    if named is not None:  # msys-track --config FILE config check
        context.default_map = {command: {"file": named} for command in ("check", "show")}


def _file(command: _Command) -> _Command:
    """Add the file that is looked at: the one that a server would read, unless one is named."""
    return click.argument("file", type=parameters.FILE, default=_FILE, envvar="MSYS_TRACK_CONFIG")(
        command
    )


def _overrides(command: _Command) -> _Command:
    """Add what a proxy's command line can say in place of its configuration."""
    keys = parameters.keys(required=False, help_text="Keys in place of the configuration's.")
    upstream = parameters.option(
        "--upstream",
        envvar="UPSTREAM",
        metavar="HOST:PORT",
        help="Where mail goes on to, in place of the configuration's.",
    )
    return keys(upstream(command))


@config.command(short_help="Report every fault of a configuration file.")
@_file
@_overrides
def check(*, file: Path, key_source: KeySource | None, upstream: str | None) -> None:
    """Read a configuration FILE, its keys and its policy as a server would; open nothing.

    Every fault is told with its line, one a line; then the exit code is 2. FILE is
    msys-track.toml unless another one is named. What is passed over is told too, and is no fault.
    """
    looked = checked(file, keys=key_source, upstream=upstream)
    _tell_ignored(looked)
    _without_problems(looked)
    click.echo(f"{file}: no faults")


@config.command(short_help="Print what holds, and where it comes from.")
@_file
@parameters.option(
    "--listen",
    envvar="LISTEN",
    metavar="HOST:PORT",
    help="For mail that comes in at this address.",
)
@parameters.option(
    "--peer",
    envvar="PEER",
    metavar="ADDRESS",
    callback=lambda context, parameter, value: (
        value and parameters.ip_address(context, parameter, value)
    ),
    help="For mail of the client with this address.",
)
@parameters.option(
    "--pathway",
    envvar="PATHWAY",
    metavar="NAME",
    help="For mail that policy has put on this pathway.",
)
@parameters.option("--json", "as_json", envvar="JSON", is_flag=True, help="Write JSON.")
@_overrides
def show(  # noqa: PLR0913 - one parameter an option
    *,
    file: Path,
    listen: str | None,
    peer: str | None,
    pathway: str | None,
    as_json: bool,
    key_source: KeySource | None,
    upstream: str | None,
) -> None:
    """Print each value of a configuration FILE that holds, with its line or "default".

    Without --listen, --peer and --pathway the options of scopes are shown for the listener and
    for each [listen] table, else for mail that comes in that way. X-MSYS-API and policy files,
    which both may decide otherwise for a mail, are not asked: see msys-track explain.
    """
    looked = _without_problems(checked(file, keys=key_source, upstream=upstream))
    read = _configuration(looked)
    one = _way(read, listen, peer, pathway)
    ways = effective.ways(read) if one == Way() else (one,)
    by_way = {way: effective.scope_options(read, way) for way in ways}
    tables = effective.tables(looked.document, read)
    if as_json:
        shown = {"file": str(file), **showing.as_json(tables, by_way)}
        click.echo(json.dumps(shown, indent=2, ensure_ascii=False))
    else:
        click.echo(showing.as_toml(tables, by_way), nl=False)


@config.command(short_help="Write a commented file to begin with.")
@click.argument(
    "file",
    type=click.Path(dir_okay=False, path_type=Path, allow_dash=True),
    default=_FILE,
)
def init(*, file: Path) -> None:
    """Write a configuration FILE (- for standard output) with every key, explained.

    What must be set is set, all else is a comment that shows its default. Never over another
    file; msys-track.toml unless another one is named.
    """
    if str(file) == "-":
        click.echo(starter(), nl=False)
        return
    try:
        with file.open("x", encoding="utf-8") as made:
            made.write(starter())
    except FileExistsError:
        raise Failure(
            f"{file}: there is a file already; name another one, or - for standard output"
        ) from None
    click.echo(f"{file}: made; next: msys-track keys new {file.parent / 'keys.toml'}", err=True)


@config.command("import", short_help="Convert Momentum's ecelerity.conf.")
@click.argument("file", type=parameters.FILE)
@_overrides
def import_(*, file: Path, key_source: KeySource | None, upstream: str | None) -> None:
    """Write Momentum's ecelerity.conf FILE as msys-track.toml, to standard output.

    Each value has a comment that says where it came from. What means nothing to msys-track is
    told on standard error. A faulty file is not converted: every fault is told, and the exit code
    is 2.
    """
    if not is_momentum(file):
        raise click.UsageError(f"{file}: a configuration of Momentum ends in {MOMENTUM_SUFFIX}")
    looked = _without_problems(checked(file, keys=key_source, upstream=upstream))
    _tell_ignored(looked)
    keys = _configuration(looked).keys
    if isinstance(keys, Path) and not keys.exists():
        click.echo(f"{keys}: not there yet; next: msys-track keys new {keys}", err=True)
    click.echo(imported(looked.document, Path.cwd()), nl=False)


@config.command(short_help="Print the JSON Schema of msys-track.toml.")
def schema() -> None:
    """Print a JSON Schema (draft 2020-12) of msys-track.toml, for editors."""
    click.echo(json.dumps(json_schema(), indent=2, ensure_ascii=False))


def _without_problems(looked: Checked) -> Checked:
    if looked.problems:
        path = looked.document.path
        raise Misconfigured("\n".join(problem.told(path) for problem in looked.problems))
    return looked


def _configuration(looked: Checked) -> Configuration:
    if looked.configuration is None:
        raise AssertionError("without problems there is a configuration")
    return looked.configuration


def _tell_ignored(looked: Checked) -> None:
    for notice in looked.document.notices:
        click.echo(f"ignored: {notice.told(looked.document.path)}", err=True)


def _way(read: Configuration, listen: str | None, peer: str | None, pathway: str | None) -> Way:
    known = read.scopes.pathways
    if pathway is not None and pathway not in known:
        names = ", ".join(known) or "there is none"
        raise click.BadParameter(f"no pathway {pathway!r}; known: {names}")
    client: Any = None if peer is None else address_of(f"[{peer}]:0")
    if listen is None:
        return Way(peer=client, pathway=pathway)
    try:
        address = listen_name(listen)
    except NotAllowedError as error:
        raise click.BadParameter(f"--listen: {error}") from None
    scope = effective.known_listen(read.scopes, address)
    return Way(listen=scope or str(address), peer=client, pathway=pathway)
