"""The proxy from a configuration: what its workers share out, and what each of them runs."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Final, TypeAlias

from msys_track import logs
from msys_track.config.configuration import Configuration
from msys_track.dispatch.dispatcher import Dispatcher
from msys_track.errors import SettingsError, TrackingError
from msys_track.injection import server
from msys_track.injection.keeper import MailKeeper
from msys_track.injection.memory import set_up_allocator
from msys_track.injection.message_events import MessageEvents
from msys_track.injection.settings import ProxySettings
from msys_track.logs import event_logger
from msys_track.metrics import Counters, Figures
from msys_track.relay.identity import Identity
from msys_track.relay.passthrough import UserUpstreams
from msys_track.relay.routes import make_next_hop
from msys_track.service.assembly import log_faults
from msys_track.service.file_limit import find_shortage, fit_clients, raise_file_limit
from msys_track.service.gauges import Gauges
from msys_track.service.hits import WorkerHits
from msys_track.service.recorder import make_recorder, serve_recorder
from msys_track.service.share import count_workers, take_share
from msys_track.smtp.address import Address
from msys_track.spool.spool import Spool
from msys_track.supervision import loop
from msys_track.supervision.channel import Channel, Order, take_orders
from msys_track.supervision.sockets import Sockets
from msys_track.supervision.supervisor import Supervisor
from msys_track.supervision.worker import Plan

log = event_logger(__name__)

Loaded: TypeAlias = tuple[Configuration, Dispatcher]
"""A configuration with a proxy, and the rewriter that was made of it."""

_BEAT_SECONDS: Final = 1.0


def supervise_proxy(
    loaded: Loaded,
    counters: Counters,
    load_again: Callable[[], Loaded | None],
    announce: Callable[[str], None],
) -> None:
    """Take mail until SIGTERM or SIGINT; mail under way then finishes first.

    Args:
        loaded: What to begin with.
        counters: Counts what happens, in each worker for itself; the rewriter has it too.
        load_again: Reads the configuration again at SIGHUP; None if it has faults.
        announce: Is called with a line for each address that it listens on.

    Raises:
        SettingsError: it can't listen on an address, or its workers can't start.
    """
    set_up_allocator()
    limit = raise_file_limit()
    identity = Identity(counters)  # of all workers, also of those that a reload makes

    def make_plan(loaded: Loaded) -> Plan:
        read, rewriter = loaded
        settings = read.proxy or ProxySettings()
        upstreams = ", ".join(str(each.address) for each in read.upstreams.values())
        own = fit_clients(take_share(read), limit)
        if shortage := find_shortage(read, limit):
            log.warning("files.too_few", hint=shortage)

        def announce_addresses(sockets: Sockets) -> None:
            for address in settings.all_listens:
                sockname = Address(*sockets[address][0].getsockname()[:2])
                announce(f"proxy listens on {sockname}, upstream is {upstreams}")

        def serve(control: socket.socket, sockets: Sockets) -> None:
            with loop.make_runner() as runner:
                worker = serve_worker(
                    (own, rewriter), counters, load_again, control, sockets, identity=identity
                )
                runner.run(worker)

        return Plan(
            name="proxy",
            workers=count_workers(settings.workers),
            addresses=settings.all_listens,
            drain_seconds=settings.drain_seconds,
            hang_seconds=settings.worker_timeout_seconds,
            status_addresses=(read.metrics.listen,) if read.metrics.listen else (),
            settings=(read.proxy, read.upstreams, read.spool, read.metrics, read.events),
            serve=serve,
            announce=announce_addresses,
            record=_make_record(read),
            record_seconds=read.events.close_timeout_seconds,
        )

    def make_plan_again() -> Plan | None:
        again = load_again()
        try:
            return again and make_plan(again)
        except SettingsError as error:  # of a sink
            log_faults(error)
            return None

    Supervisor(make_plan(loaded), make_plan_again).run()


async def serve_worker(  # noqa: PLR0913 - what a fork leaves to it
    loaded: Loaded,
    counters: Counters,
    load_again: Callable[[], Loaded | None],
    control: socket.socket,
    sockets: Sockets,
    *,
    identity: Identity,
) -> None:
    """Take mail on these sockets until the supervisor, or SIGTERM, says to stop.

    Args:
        loaded: The configuration with a worker's part of its limits, and its rewriter.
        counters: Counts what happens here.
        load_again: Reads the configuration again; None if it has faults.
        control: The channel to the supervisor.
        sockets: Where to listen.
        identity: The proxy, as its upstreams know it.

    Raises:
        TrackingError: it can't start; the supervisor knows why.
    """
    read, rewriter = loaded
    settings = read.proxy or ProxySettings()
    running_loop = asyncio.get_running_loop()
    channel, orders = await take_orders(control)

    async with AsyncExitStack() as ends:
        ends.callback(channel.close)
        try:
            hits = _open_hits(read, ends)
            upstream = make_next_hop(read.upstreams, counters, identity=identity)
            ends.push_async_callback(upstream.close)
            spool = None
            if read.spool.mode != "off":
                spool = Spool(read.spool, upstream, counters, hostname=settings.hostname)
                ends.push_async_callback(spool.close)
                await spool.start()
            passthrough = None
            if settings.access.auth_passthrough:
                passthrough = UserUpstreams(read.upstreams, counters, identity)
                ends.push_async_callback(passthrough.close)
            keeper = MailKeeper(read.kept_mail, counters)
            ends.callback(keeper.close)
            listener = await server.serve(
                settings,
                rewriter,
                upstream,
                counters=counters,
                listeners=sockets,
                spool=spool,
                passthrough=passthrough,
                events=MessageEvents(hits.log, counters, rewriter.find_fields) if hits else None,
                keeper=keeper,
            )
        except TrackingError as error:
            channel.report(failed=str(error))
            raise
        gauges = Gauges(listener, upstream, spool)

        def report_figures() -> None:
            counts, levels = hits.look() if hits is not None else ({}, {})
            counts |= {**counters.snapshot(), "log.dropped": logs.count_dropped_lines()}
            figures = Figures(counts, levels | gauges.read(), dict(counters.times()))
            channel.report(figures=figures.as_json())

        def beat() -> None:
            report_figures()
            keeper.remove_old()
            running_loop.call_later(_BEAT_SECONDS, beat)

        ends.callback(report_figures)  # those of the last mails too
        ends.push_async_callback(listener.close)
        channel.report(ready=True)
        beat()
        if read.metrics.listen is not None:
            probe = running_loop.create_task(gauges.probe(counters))
            ends.callback(probe.cancel)
        await _obey(orders, channel, listener, load_again, settings.drain_seconds)


async def _obey(
    orders: "asyncio.Queue[Order]",
    channel: Channel,
    listener: server.Proxy,
    load_again: Callable[[], Loaded | None],
    drain_seconds: float,
) -> None:
    """Do what the supervisor says until that is to stop."""
    while (order := await orders.get()) != "stop":
        if order == "reload":
            again = load_again()
            if again is not None:
                listener.use(again[1])
                listener.reload_access()
            channel.report(reloaded=again is not None)
        else:
            retired = asyncio.create_task(listener.retire(drain_seconds))
            retired.add_done_callback(lambda _: orders.put_nowait("stop"))


def _logs_events(read: Configuration) -> bool:
    return read.events.injection and read.events_folder is not None


def _open_hits(read: Configuration, ends: AsyncExitStack) -> WorkerHits | None:
    if not _logs_events(read):
        return None
    hits = WorkerHits(read)
    ends.callback(hits.close, read.events.close_timeout_seconds)
    return hits


def _make_record(read: Configuration) -> Callable[[socket.socket], None] | None:
    """Make what records in a process of its own, where the proxy logs events of its mail."""
    if not _logs_events(read):
        return None
    return partial(serve_recorder, make_recorder(read, read.events.close_timeout_seconds))
