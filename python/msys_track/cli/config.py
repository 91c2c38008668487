"""`msys-track config`: begins a configuration, shows what it means, finds its faults."""

import json
from pathlib import Path

import click

from msys_track.cli import parameters
from msys_track.cli.commands import Commands
from msys_track.cli.exits import CommandError, MisconfiguredError
from msys_track.config import effective
from msys_track.config.checking import Checked, check_configuration
from msys_track.config.configuration import Configuration
from msys_track.config.effective import ScopeSelector
from msys_track.config.load import MOMENTUM_SUFFIX, is_momentum
from msys_track.config.momentum.document import write_toml
from msys_track.config.schema.json_schema import json_schema
from msys_track.config.schema.starter import starter
from msys_track.keys.file import KeySource
from msys_track.service.file_limit import find_shortage, find_tracker_shortage
from msys_track.smtp.address import Address, parse_ip

_FILE = Path("msys-track.toml")
# The file that a server would read, unless another one is named.
_CHECKED_FILE = click.argument(
    "file", type=parameters.FILE, default=_FILE, envvar="MSYS_TRACK_CONFIG"
)


@click.group(
    cls=Commands,
    examples=(
        "msys-track config check msys-track.toml",
        "msys-track config show msys-track.toml",
    ),
)
@click.pass_context
def config(context: click.Context) -> None:
    """Begin, check, show and convert configuration files."""
    named = (context.default_map or {}).get("config_file")
    if named is not None:  # msys-track --config FILE config check
        context.default_map = {command: {"file": named} for command in ("check", "show")}


@config.command(
    short_help="Report every fault of a configuration file.",
    examples=(
        "msys-track config check",
        "msys-track config check msys-track.toml && echo good",
    ),
)
@_CHECKED_FILE
@parameters.overrides
def check(*, file: Path, key_source: KeySource | None, upstream: str | None) -> None:
    """Find the faults of a configuration FILE, before a server is started or reloaded.

    Reads its keys, policy and secrets as a server would, and opens no port. Prints each fault on a
    line, with its place; the exit code is then 2. Also prints what is ignored or hardly wanted,
    which is not a fault. FILE is msys-track.toml unless another one is named.
    """
    checked = check_configuration(file, keys=key_source, upstream=upstream, makes_sinks=True)
    _print_ignored(checked)
    configuration = _require_no_faults(checked)
    for warning in effective.find_warnings(configuration):
        click.echo(f"warning: {warning}", err=True)
    for find in (find_shortage, find_tracker_shortage):
        if shortage := find(configuration):
            click.echo(f"warning: {file}: {shortage}", err=True)
    click.echo(f"{file}: no faults")


@config.command(
    short_help="Print each value in force, and where it comes from.",
    examples=(
        "msys-track config show",
        "msys-track config show msys-track.toml --listen 127.0.0.1:2525",
        "msys-track config show msys-track.toml --pathway shop --json",
    ),
)
@_CHECKED_FILE
@parameters.option(
    "--listen",
    envvar="LISTEN",
    metavar="HOST:PORT",
    type=parameters.listen_address,
    help="For mail that comes in at this address.",
)
@parameters.option(
    "--peer",
    envvar="PEER",
    metavar="ADDRESS",
    type=parameters.ip_address,
    help="For mail of the client with this address.",
)
@parameters.option(
    "--pathway",
    envvar="PATHWAY",
    metavar="NAME",
    help="For mail that policy has put on this pathway.",
)
@parameters.JSON
@parameters.overrides
def show(  # noqa: PLR0913 - one parameter an option
    *,
    file: Path,
    listen: Address | None,
    peer: str | None,
    pathway: str | None,
    as_json: bool,
    key_source: KeySource | None,
    upstream: str | None,
) -> None:
    """Print each value in force of a configuration FILE, with its line or "default".

    Tracking options are shown for mail that comes in by --listen, --peer and --pathway; without
    these, for the listener and for each [listen] table. X-MSYS-API and policy files may decide
    otherwise for a mail and are not considered here: see `msys-track explain`.
    """
    checked = check_configuration(file, keys=key_source, upstream=upstream)
    configuration = _require_no_faults(checked)
    if pathway is not None and pathway not in configuration.scopes.pathways:
        names = ", ".join(configuration.scopes.pathways)
        known = f"known: {names}" if names else "this configuration has no pathways"
        raise click.BadParameter(f"no pathway {pathway!r}; {known}")
    scope = listen and (effective.find_listen(configuration.scopes.listens, listen) or str(listen))
    client = parse_ip(peer) if peer else None
    one = ScopeSelector(listen=scope, peer=client, pathway=pathway)
    each_listen = [ScopeSelector(listen=name) for name in configuration.scopes.listens]
    selectors = [ScopeSelector(), *each_listen] if one == ScopeSelector() else [one]
    by_selector = {
        selector: effective.find_options(configuration, selector) for selector in selectors
    }
    tables = effective.find_tables(checked.document, configuration)
    if as_json:
        shown = {"file": str(file), **effective.as_json(tables, by_selector)}
        click.echo(json.dumps(shown, indent=2, ensure_ascii=False))
    else:
        click.echo(effective.as_toml(tables, by_selector), nl=False)


@config.command(
    short_help="Write a commented file to begin with.",
    examples=(
        "msys-track config init first.toml",
        "msys-track config init -",
    ),
)
@click.argument(
    "file",
    type=click.Path(dir_okay=False, path_type=Path, allow_dash=True),
    default=_FILE,
)
def init(*, file: Path) -> None:
    """Write a configuration FILE (- for standard output) with every key, explained.

    Required keys are set; each other key is a comment that shows its default. Never overwrites a
    file. FILE is msys-track.toml unless another one is named. For a folder that is ready to serve
    use `msys-track init`.
    """
    if str(file) == "-":
        click.echo(starter(), nl=False)
        return
    try:
        with file.open("x", encoding="utf-8") as made:
            made.write(starter())
    except FileExistsError:
        raise CommandError(
            f"{file}: there is a file already; name another one, or - for standard output"
        ) from None
    click.echo(f"{file}: made; next: msys-track keys new {file.parent / 'keys.toml'}", err=True)


@config.command(
    "import",
    short_help="Convert Momentum's ecelerity.conf.",
    examples=("msys-track config import ecelerity.conf > msys-track.toml",),
)
@click.argument("file", type=parameters.FILE)
@parameters.overrides
def import_(*, file: Path, key_source: KeySource | None, upstream: str | None) -> None:
    """Write Momentum's ecelerity.conf FILE as msys-track.toml, to standard output.

    Each value has a comment that says where it came from. Prints on standard error what msys-track
    ignores. Does not convert a faulty file: prints every fault, and the exit code is 2.
    """
    if not is_momentum(file):
        raise click.UsageError(f"{file}: a configuration of Momentum ends in {MOMENTUM_SUFFIX}")
    checked = check_configuration(file, keys=key_source, upstream=upstream)
    keys = _require_no_faults(checked).keys
    _print_ignored(checked)
    if isinstance(keys, Path) and not keys.exists():
        click.echo(f"{keys}: not there yet; next: msys-track keys new {keys}", err=True)
    click.echo(write_toml(checked.document, Path.cwd()), nl=False)


@config.command(
    short_help="Print the JSON Schema of msys-track.toml.",
    examples=("msys-track config schema > msys-track.schema.json",),
)
def schema() -> None:
    """Print a JSON Schema (draft 2020-12) of msys-track.toml, for editors."""
    click.echo(json.dumps(json_schema(), indent=2, ensure_ascii=False))


def _require_no_faults(checked: Checked) -> Configuration:
    """Return the configuration.

    Raises:
        MisconfiguredError: every fault of it.
    """
    if checked.problems or checked.configuration is None:
        path = checked.document.path
        raise MisconfiguredError(
            "\n".join(problem.format_line(path) for problem in checked.problems)
        )
    return checked.configuration


def _print_ignored(checked: Checked) -> None:
    for notice in checked.document.notices:
        click.echo(f"ignored: {notice.format_line(checked.document.path)}", err=True)
    for text in checked.policy_notices:
        click.echo(f"ignored: {text}", err=True)
