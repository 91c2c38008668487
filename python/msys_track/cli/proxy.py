"""`msys-track proxy`: takes mail over SMTP until it is stopped."""

from functools import partial
from pathlib import Path

import click

from msys_track.cli import logs, parameters
from msys_track.cli.commands import Command
from msys_track.cli.servers import announce, blame_machine, make_missing_table_error
from msys_track.keys.file import KeySource
from msys_track.metrics import Counters
from msys_track.service import assembly
from msys_track.service.proxy import supervise_proxy


@click.command(
    cls=Command,
    examples=(
        "msys-track proxy",
        "msys-track proxy --config msys-track.toml --log-level debug",
        "msys-track proxy --upstream 127.0.0.1:25",
    ),
)
@parameters.CONFIG
@parameters.overrides
@parameters.LOG_LEVEL
def proxy(
    *, config_file: Path, key_source: KeySource | None, upstream: str | None, log_level: str
) -> None:
    """Take mail over SMTP, add tracking and hand it to the upstream, until it is stopped.

    Needs a table [proxy] in the configuration. Prints the address when it listens. On SIGTERM and
    SIGINT mail under way finishes first. SIGHUP reads the configuration again, all or nothing.
    SIGUSR2 replaces the program by the one that is installed now. Neither refuses a client.
    """
    logs.to_stderr(level=log_level)
    load_proxy = partial(
        assembly.read_configuration, config_file, "proxy", keys=key_source, upstream=upstream
    )
    on_rendered = assembly.log_explanation if log_level == "debug" else None
    read = load_proxy()
    if read.proxy is None:
        raise make_missing_table_error("proxy", read)
    assembly.check_access_files(read)
    assembly.make_missing_keys(read)
    counters = Counters()
    rewriter = assembly.make_rewriter(read, counters.add, on_rendered, signs=True)
    reload = partial(assembly.reload, load_proxy, counters.add, on_rendered)
    with blame_machine():
        supervise_proxy((read, rewriter), counters, reload, announce)
