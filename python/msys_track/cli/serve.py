"""`msys-track proxy` and `msys-track tracker`: servers that run until they are stopped.

All settings are checked before a port is opened.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import click

from msys_track.cli import logs, parameters
from msys_track.cli.exits import CommandError, MisconfiguredError
from msys_track.config.configuration import Configuration
from msys_track.errors import SettingsError
from msys_track.keys.file import KeySource
from msys_track.metrics import Counters
from msys_track.service import assembly, loop
from msys_track.service.proxy import supervise_proxy
from msys_track.service.tracker import serve_tracker


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
    load = partial(
        assembly.read_configuration, config_file, "proxy", keys=key_source, upstream=upstream
    )
    on_rendered = assembly.log_explanation if log_level == "debug" else None
    read = load()
    if read.proxy is None:
        raise _make_missing_table_error("proxy", read)
    assembly.check_access_files(read)
    assembly.make_missing_keys(read)
    counters = Counters()
    rewriter = assembly.make_rewriter(read, counters.add, on_rendered, signs=True)
    reload = partial(assembly.reload, load, counters.add, on_rendered)
    with _blame_machine():
        supervise_proxy((read, rewriter), counters, reload, click.echo)


@click.command(short_help="Answer the clicks and opens of tracked mail.")
@parameters.CONFIG
@parameters.LOG_LEVEL
def tracker(*, config_file: Path, log_level: str) -> None:
    """Answer tracked links over HTTP and store the events, until it is stopped.

    Prints the address when it listens. On SIGTERM and SIGINT it stores waiting events first.
    SIGHUP reads the keys again.
    """
    logs.to_stderr(level=log_level)
    read = assembly.read_configuration(config_file, "tracker")
    if read.tracker is None:
        raise _make_missing_table_error("tracker", read)
    keys = assembly.load_keys(read)
    with _blame_machine(), loop.make_runner() as runner:
        runner.run(serve_tracker(read, read.tracker, keys, click.echo))


def _make_missing_table_error(table: str, read: Configuration) -> MisconfiguredError:
    needed = ("proxy", "upstream") if table == "proxy" else ("tracker", "store")
    hint = read.document.hints.get(needed)
    why = f"nothing to start; {hint}" if hint else f"no [{table}] table: nothing to start"
    return MisconfiguredError(f"{read.path}: {why}")


@contextmanager
def _blame_machine() -> Iterator[None]:
    """End with 1: the configuration is good, the fault is in the state of the machine."""
    try:
        yield
    except SettingsError as error:
        raise CommandError(f"msys-track: {error}") from error
