"""`msys-track serve`, `proxy`, `tracker` and `report`: servers that run until they are stopped.

All settings are checked before a port is opened.
"""

import asyncio
import os
import select
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final

import click

from msys_track.cli import logs, parameters
from msys_track.cli.exits import CommandError, MisconfiguredError
from msys_track.config.configuration import Configuration
from msys_track.config.load import load
from msys_track.errors import SettingsError
from msys_track.keys.file import KeySource
from msys_track.metrics import Counters
from msys_track.service import assembly
from msys_track.service.proxy import supervise_proxy
from msys_track.service.report import load_report, supervise_report
from msys_track.service.serve import START_ORDER, serve_all
from msys_track.service.tracker import supervise_tracker

_STDOUT: Final = 1


@click.command(short_help="Take mail over SMTP, track it, hand it on.")
@parameters.CONFIG
@parameters.overrides
@parameters.LOG_LEVEL
def proxy(
    *, config_file: Path, key_source: KeySource | None, upstream: str | None, log_level: str
) -> None:
    """Take mail over SMTP, add tracking and hand it to the upstream, until it is stopped.

    Prints the address when it listens. On SIGTERM and SIGINT mail under way finishes first. SIGHUP
    reads the configuration again, all or nothing. SIGUSR2 replaces the program by the one that is
    installed now. Neither refuses a client.
    """
    logs.to_stderr(level=log_level)
    load_proxy = partial(
        assembly.read_configuration, config_file, "proxy", keys=key_source, upstream=upstream
    )
    on_rendered = assembly.log_explanation if log_level == "debug" else None
    read = load_proxy()
    if read.proxy is None:
        raise _make_missing_table_error("proxy", read)
    assembly.check_access_files(read)
    assembly.make_missing_keys(read)
    counters = Counters()
    rewriter = assembly.make_rewriter(read, counters.add, on_rendered, signs=True)
    reload = partial(assembly.reload, load_proxy, counters.add, on_rendered)
    with _blame_machine():
        supervise_proxy((read, rewriter), counters, reload, _announce)


@click.command(short_help="Answer the clicks and opens of tracked mail.")
@parameters.CONFIG
@parameters.LOG_LEVEL
def tracker(*, config_file: Path, log_level: str) -> None:
    """Answer tracked links over HTTP and store the events, until it is stopped.

    Prints the address when it listens. On SIGTERM and SIGINT it stores waiting events first.
    SIGHUP reads the configuration and the keys again, all or nothing. SIGUSR2 replaces the program
    by the one that is installed now. Neither refuses a reader.
    """
    logs.to_stderr(level=log_level)
    load_again = partial(assembly.load_tracker, config_file)
    loaded = load_again()
    if loaded is None:
        read = assembly.read_configuration(config_file, "tracker")
        raise _make_missing_table_error("tracker", read)
    with _blame_machine():
        supervise_tracker(loaded, partial(assembly.reload_table, load_again, "tracker"), _announce)


@click.command(short_help="Run all servers of a configuration.")
@parameters.option(
    "--config",
    "config_file",
    envvar="CONFIG",
    type=parameters.FILE,
    default=Path("msys-track.toml"),
    show_default=True,
    help="The configuration of all of them.",
)
@parameters.LOG_LEVEL
def serve(*, config_file: Path, log_level: str) -> None:
    """Run the servers that a configuration has tables for: tracker, report and proxy.

    Each is a process tree of its own, as its command alone would be. One that dies is begun again
    and harms no other. On SIGTERM and SIGINT they stop, the proxy first. SIGHUP and SIGUSR2 mean
    to all of them what they mean to each.
    """
    logs.to_stderr(level=log_level)
    if not config_file.exists():
        raise MisconfiguredError(
            f"{config_file}: there is no such file; `msys-track init` makes a folder with one"
        )
    read = load(config_file)  # what is ignored in it is told by each server
    names = [name for name in START_ORDER if getattr(read, name, None) is not None]
    if not names:
        raise MisconfiguredError(f"{config_file}: no [proxy] and no [tracker]: nothing to start")
    rest = ["--config", str(config_file), "--log-level", log_level]
    commands = [(name, [*_find_program(), name, *rest]) for name in names]
    with _blame_machine():
        code = asyncio.run(serve_all(commands))
    if code:
        sys.exit(code)


def _find_program() -> Sequence[str]:
    """Find how this program is started, without what it is to do."""
    if Path(sys.argv[0]).is_file():
        return [sys.executable, sys.argv[0]]
    return [sys.executable, "-c", "from msys_track.cli import main; main()"]


@click.command(short_help="Show the store as pages, and over SparkPost's read APIs.")
@parameters.CONFIG
@parameters.LOG_LEVEL
def report(*, config_file: Path, log_level: str) -> None:
    """Show what the tracker has stored, to people who log in, until it is stopped.

    Prints the address when it listens. It only reads the store. SIGHUP reads the configuration
    again, all or nothing: who is logged in stays so unless the settings of the report change.
    SIGUSR2 replaces the program by the one that is installed now, after which people log in again.
    """
    logs.to_stderr(level=log_level)
    load_again = partial(load_report, config_file)
    loaded = load_again()
    if loaded is None:
        read = assembly.read_configuration(config_file, "report")
        raise _make_missing_table_error("report", read)
    with _blame_machine():
        supervise_report(loaded, partial(assembly.reload_table, load_again, "report"), _announce)


def _announce(line: str) -> None:
    """Print where a server listens, which its log says too.

    A full disk, and a reader that is gone or slow, are no reason to end or to wait.
    """
    output = select.poll()
    output.register(_STDOUT, select.POLLOUT)
    # Past Python's buffer, which would keep the line and fail again when the command ends.
    with suppress(OSError):
        if output.poll(0):
            os.write(_STDOUT, f"{line}\n".encode())


def _make_missing_table_error(table: str, read: Configuration) -> MisconfiguredError:
    needed = {"proxy": "upstream", "tracker": "store"}
    hint = read.document.hints.get((table, needed.get(table, "")))
    why = f"nothing to start; {hint}" if hint else f"no [{table}] table: nothing to start"
    return MisconfiguredError(f"{read.path}: {why}")


@contextmanager
def _blame_machine() -> Iterator[None]:
    """End with 1: the configuration is good, the fault is in the state of the machine."""
    try:
        yield
    except SettingsError as error:
        raise CommandError(f"msys-track: {error}") from error
