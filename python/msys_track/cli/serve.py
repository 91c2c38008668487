"""`msys-track proxy` and `msys-track tracker`: servers from a configuration, until told to stop.

Everything that can be wrong with the settings is found before a port is opened.
"""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import click

from msys_track.cli import assembly, logs, loop, parameters
from msys_track.cli.exits import Failure, Misconfigured, reason
from msys_track.config.configuration import Configuration
from msys_track.dispatch.copies import Rewriter
from msys_track.errors import KeyRingError, SettingsError
from msys_track.injection import server as injection
from msys_track.injection.settings import ProxySettings
from msys_track.keys.ring import KeyRing, KeySource
from msys_track.logs import event_logger
from msys_track.metrics import Counters
from msys_track.relay.settings import UpstreamSettings
from msys_track.relay.upstream import Upstream
from msys_track.sinks.sqlite import SqliteSink
from msys_track.sinks.writer import EventWriter
from msys_track.tracking import server as tracking
from msys_track.tracking.settings import TrackerSettings

log = event_logger(__name__)


@click.command(short_help="Take mail over SMTP, track it, hand it on.")
@parameters.config()
@parameters.keys(required=False, help_text="Keys in place of the configuration's.")
@parameters.option(
    "--upstream",
    envvar="UPSTREAM",
    metavar="HOST:PORT",
    help="Where mail goes on to, in place of the configuration's.",
)
@parameters.log_level()
def proxy(
    *, config_file: Path, key_source: KeySource | None, upstream: str | None, log_level: str
) -> None:
    """Take mail over SMTP, add tracking and hand it to the upstream, until told to stop.

    The address is printed when it listens. SIGTERM and SIGINT let mail under way finish first;
    SIGHUP reads the configuration again: options, policy and keys, all or nothing.
    """
    logs.to_stderr(level=log_level)
    load = partial(
        assembly.configuration, config_file, "proxy", keys=key_source, upstream=upstream
    )
    on_decided = assembly.log_explanation if log_level == "debug" else None
    read = load()
    hop = read.upstream
    if read.proxy is None or hop is None:
        raise _no_table("proxy", read)
    assembly.make_missing_keys(read)
    counters = Counters()
    rewriter = assembly.rewriter(read, counters.add, on_decided)
    reload = partial(assembly.reloaded, load, counters.add, on_decided)
    _run(_proxy(read, hop, rewriter, counters, reload))


@click.command(short_help="Answer the clicks and opens of tracked mail.")
@parameters.config()
@parameters.log_level()
def tracker(*, config_file: Path, log_level: str) -> None:
    """Answer tracked links over HTTP and store the events, until told to stop.

    The address is printed when it listens. SIGTERM and SIGINT store what waits first; SIGHUP
    reads the keys again.
    """
    logs.to_stderr(level=log_level)
    read = assembly.configuration(config_file, "tracker")
    if read.tracker is None:
        raise _no_table("tracker", read)
    keys = assembly.key_ring(read)
    _run(_tracker(read, read.tracker, keys))


def _no_table(table: str, read: Configuration) -> Misconfigured:
    return Misconfigured(f"{read.path}: no [{table}] table: nothing to start")


async def _proxy(
    read: Configuration,
    hop: UpstreamSettings,
    rewriter: Rewriter,
    counters: Counters,
    load_again: Callable[[], tuple[Configuration, Rewriter] | None],
) -> None:
    stop = _stop_signal()
    upstream = Upstream(hop)
    settings = read.proxy or ProxySettings()
    try:
        listener = await injection.serve(settings, rewriter, upstream, counters=counters)
    except OSError as error:
        where = error.filename or _address(settings.listen_host, settings.listen_port)
        raise Failure(
            f"msys-track: proxy: can't listen on {where}: {reason(error)}; choose another "
            "address, or end what listens there"
        ) from error

    def reload() -> None:
        again = load_again()
        if again is not None:
            changed, new = again
            listener.use(new)
            log.info("configuration.reloaded", needs_restart=_fixed(read, changed))

    _on_hangup(reload)
    try:
        upstream_name = _address(hop.host, hop.port)
        for host, port in listener.socknames:
            click.echo(f"proxy listens on {_address(host, port)}, upstream is {upstream_name}")
        await stop.wait()
    finally:
        await listener.close()
        await upstream.close()


async def _tracker(read: Configuration, settings: TrackerSettings, keys: KeyRing) -> None:
    stop = _stop_signal()
    async with SqliteSink(settings.store) as sink, EventWriter(sink) as writer:
        listener = await tracking.serve(settings, keys, writer)

        def reload() -> None:
            if read.keys is None:
                return
            try:
                listener.use(KeyRing.load(read.keys))
            except KeyRingError as error:
                log.error("keys.not_reloaded", why=str(error))  # noqa: TRY400 - the file's fault
            else:
                log.info("keys.reloaded", needs_restart=["all else"])

        _on_hangup(reload)
        try:
            where = _address(settings.listen_host, listener.port)
            click.echo(f"tracker listens on {where}, stores events in {settings.store}")
            await stop.wait()
        finally:
            await listener.close()


def _fixed(before: Configuration, after: Configuration) -> list[str]:
    """Name the tables that were changed but hold only from the next start on."""
    tables = {
        "proxy": (before.proxy, after.proxy),
        "proxy.upstream": (before.upstream, after.upstream),
    }
    return [name for name, (old, new) in tables.items() if old != new]


def _run(server: Coroutine[Any, Any, None]) -> None:
    try:
        with loop.make_runner() as runner:
            runner.run(server)
    except SettingsError as error:
        # The configuration as such was good: what is wrong is this machine, now.
        raise Failure(f"msys-track: {error}") from error


def _stop_signal() -> asyncio.Event:
    """Make an event that SIGTERM or SIGINT sets; the same signal again then ends us at once."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()

    def on_signal() -> None:
        log.info("server.stopping")
        stop.set()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)
    return stop


def _on_hangup(reload: Callable[[], None]) -> None:
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload)


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
