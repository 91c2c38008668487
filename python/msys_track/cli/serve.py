"""`msys-track proxy` and `msys-track tracker`: here the rooms meet and a server is put together.

Everything that can be wrong with the settings is found before a port is opened.
"""

import asyncio
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import click
import structlog
import uvloop

from msys_track.cli import logs, parameters
from msys_track.cli.exits import Failure, Misconfigured, reason
from msys_track.config import toml
from msys_track.config.toml import Configuration
from msys_track.copies import Rewriter
from msys_track.errors import KeyRingError, SettingsError
from msys_track.injection import server as injection
from msys_track.injection.settings import ProxySettings
from msys_track.keys import KeyRing
from msys_track.relay.settings import UpstreamSettings
from msys_track.relay.upstream import Upstream
from msys_track.sinks.sqlite import SqliteSink
from msys_track.sinks.writer import EventWriter
from msys_track.tracking import server as tracking
from msys_track.tracking.settings import TrackerSettings

log = structlog.get_logger(__name__)


@click.command(short_help="Take mail over SMTP, track it, hand it on.")
@parameters.config()
def proxy(*, config_file: Path) -> None:
    """Take mail over SMTP, add tracking and hand it to the upstream, until told to stop.

    The address is printed when it listens. SIGTERM and SIGINT let mail under way finish first.
    """
    configuration = toml.load(config_file)
    settings, upstream = configuration.proxy, configuration.upstream
    if settings is None or upstream is None:
        raise _no_table("proxy", configuration)
    rewriter = Rewriter(
        keys=key_ring(configuration),
        options=configuration.tracking,
        source=configuration.tracking_source,
    )
    logs.to_stderr(is_server=True)
    if configuration.tracking.tracking_domain is None:
        log.warning("tracking_domain.default", hint="readers can't reach localhost:8080")
    _run(_proxy(settings, upstream, rewriter))


@click.command(short_help="Answer the clicks and opens of tracked mail.")
@parameters.config()
def tracker(*, config_file: Path) -> None:
    """Answer tracked links over HTTP and store the events, until told to stop.

    The address is printed when it listens. SIGTERM and SIGINT store what waits first.
    """
    configuration = toml.load(config_file)
    if configuration.tracker is None:
        raise _no_table("tracker", configuration)
    keys = key_ring(configuration)
    logs.to_stderr(is_server=True)
    _run(_tracker(configuration.tracker, keys))


def key_ring(configuration: Configuration) -> KeyRing:
    """Load the keys that a configuration names.

    Raises:
        Misconfigured: they can't be used; the keys are part of the configuration.
    """
    if configuration.keys is None:
        raise Misconfigured(f"{configuration.path}: keys: missing")
    try:
        return KeyRing.load(configuration.keys)
    except KeyRingError as error:
        raise Misconfigured(f"{configuration.path}: keys: {error}") from error


def _no_table(table: str, configuration: Configuration) -> Misconfigured:
    return Misconfigured(f"{configuration.path}: no [{table}] table: nothing to start")


async def _proxy(settings: ProxySettings, hop: UpstreamSettings, rewriter: Rewriter) -> None:
    stop = _stop_signal()
    upstream = Upstream(hop)
    try:
        listener = await injection.serve(settings, rewriter, upstream)
    except OSError as error:
        where = _address(settings.listen_host, settings.listen_port)
        raise Failure(
            f"msys-track: proxy: can't listen on {where}: {reason(error)}; choose another "
            "address, or end what listens there"
        ) from error
    try:
        where = _address(*listener.sockname)
        click.echo(f"proxy listens on {where}, upstream is {_address(hop.host, hop.port)}")
        await stop.wait()
    finally:
        await listener.close()
        await upstream.close()


async def _tracker(settings: TrackerSettings, keys: KeyRing) -> None:
    stop = _stop_signal()
    async with SqliteSink(settings.store) as sink, EventWriter(sink) as writer:
        listener = await tracking.serve(settings, keys, writer)
        try:
            where = _address(settings.listen_host, listener.port)
            click.echo(f"tracker listens on {where}, stores events in {settings.store}")
            await stop.wait()
        finally:
            await listener.close()


def _run(server: Coroutine[Any, Any, None]) -> None:
    factory = None if sys.platform == "win32" else uvloop.new_event_loop
    try:
        with asyncio.Runner(loop_factory=factory) as runner:
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


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
