"""The tracker from a configuration: what its workers share out, and what each of them runs."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import Final

from msys_track import logs
from msys_track.errors import SettingsError, TrackingError
from msys_track.logs import event_logger
from msys_track.metrics import TRACKER, TRACKER_COUNTERS, Counters, Figures
from msys_track.service.assembly import LoadedTracker, log_faults
from msys_track.service.file_limit import (
    find_tracker_shortage,
    fit_readers,
    raise_file_limit,
)
from msys_track.service.hits import WorkerHits
from msys_track.service.recorder import make_recorder, serve_recorder
from msys_track.service.share import count_workers
from msys_track.smtp.address import Address
from msys_track.supervision import loop
from msys_track.supervision.channel import take_orders
from msys_track.supervision.sockets import Sockets
from msys_track.supervision.supervisor import Supervisor
from msys_track.supervision.worker import Plan
from msys_track.tracking import server

log = event_logger(__name__)

_BEAT_SECONDS: Final = 1.0
# One that stands still has a defect: a tracker waits for nothing.
_HANG_SECONDS: Final = 60.0
# The parts of the time that stopping may take: for requests under way, for the log of hits, and
# for what sinks do; the recorder has what the others leave.
_REQUESTS_SHARE: Final = 0.5
_LOG_SHARE: Final = 0.25
_RECORDER_SHARE: Final = 0.2
# Of the log's time: what it takes to end then, before the supervisor ends it.
_LOG_PATIENCE_SHARE: Final = 0.8


def supervise_tracker(
    loaded: LoadedTracker,
    load_again: Callable[[], LoadedTracker | None],
    announce: Callable[[str], None],
) -> None:
    """Answer readers until SIGTERM or SIGINT; events that wait are stored first.

    Args:
        loaded: What to begin with.
        load_again: Reads the configuration and keys again at SIGHUP; None if they have faults.
        announce: Is called with a line for each address that it listens on.

    Raises:
        SettingsError: it can't listen on an address, or its workers can't start.
    """
    limit = raise_file_limit()

    def make_plan(loaded: LoadedTracker) -> Plan:
        read, settings = loaded.read, loaded.settings
        workers = count_workers(settings.workers)
        status = read.metrics.tracker_listen
        if status is None and read.proxy is None:  # else it is the proxy's
            status = read.metrics.listen
        if shortage := find_tracker_shortage(read, limit):
            log.warning("files.too_few", hint=shortage)
        own = fit_readers(settings, workers, limit)
        stop_seconds = settings.close_timeout_seconds

        def announce_addresses(sockets: Sockets) -> None:
            for address in settings.all_listens:
                sockname = Address(*sockets[address][0].getsockname()[:2])
                over = " over TLS" if address in settings.listen_tls else ""
                announce(f"tracker listens on {sockname}{over}, stores events in {settings.store}")

        def serve(control: socket.socket, sockets: Sockets) -> None:
            with loop.make_runner() as runner:
                runner.run(
                    serve_worker(replace(loaded, settings=own), load_again, control, sockets)
                )

        return Plan(
            name="tracker",
            workers=workers,
            addresses=settings.all_listens,
            drain_seconds=_REQUESTS_SHARE * stop_seconds,
            end_seconds=_LOG_SHARE * stop_seconds,
            stop_seconds=stop_seconds,
            hang_seconds=_HANG_SECONDS,
            status_addresses=(status,) if status else (),
            catalogue=TRACKER,
            why_unready="no worker has room for events",
            settings=(settings, read.metrics, read.events),
            serve=serve,
            record=partial(serve_recorder, make_recorder(read, _RECORDER_SHARE * stop_seconds)),
            announce=announce_addresses,
        )

    def make_plan_again() -> Plan | None:
        again = load_again()
        try:
            return None if again is None else make_plan(again)
        except SettingsError as error:  # of a sink
            log_faults(error)
            return None

    Supervisor(make_plan(loaded), make_plan_again).run()


async def serve_worker(
    loaded: LoadedTracker,
    load_again: Callable[[], LoadedTracker | None],
    control: socket.socket,
    sockets: Sockets,
) -> None:
    """Answer readers on these sockets until the supervisor, or SIGTERM, says to stop.

    Args:
        loaded: The configuration, with a worker's part of the tracker's limits, and the keys.
        load_again: Reads all that again; None if it has faults.
        control: The channel to the supervisor.
        sockets: Where to listen.

    Raises:
        TrackingError: it can't start; the supervisor knows why.
    """
    read, settings = loaded.read, loaded.settings
    running_loop = asyncio.get_running_loop()
    channel, orders = await take_orders(control)
    counters = Counters(TRACKER_COUNTERS)
    stop_seconds = settings.close_timeout_seconds

    async with AsyncExitStack() as ends:
        ends.callback(channel.close)
        try:
            hits = WorkerHits(read)
            ends.callback(hits.close, _LOG_PATIENCE_SHARE * _LOG_SHARE * stop_seconds)
            listener = await server.serve(
                settings,
                loaded.keys,
                hits.log,
                keys_by_host=loaded.keys_by_host,
                listeners=sockets,
                hosts=read.tracking_domains,
                counters=counters,
            )
        except TrackingError as error:
            channel.report(failed=str(error))
            raise

        def report_figures() -> None:
            counts, gauges = hits.look()
            counts |= {f"tracker.{name}": count for name, count in counters.snapshot().items()}
            counts["log.dropped"] = logs.count_dropped_lines()
            gauges["tracker.connections"] = listener.connection_count
            gauges["ready"] = hits.has_room
            channel.report(figures=Figures(counts, gauges).as_json())

        def beat() -> None:
            report_figures()
            running_loop.call_later(_BEAT_SECONDS, beat)

        ends.callback(report_figures)  # those of the last requests too
        ends.push_async_callback(listener.close, _REQUESTS_SHARE * stop_seconds)
        channel.report(ready=True)
        beat()
        while (order := await orders.get()) != "stop":
            if order == "reload":
                again = load_again()
                if again is not None:
                    listener.use(again.keys, again.read.tracking_domains, again.keys_by_host)
                    listener.look_at_files()
                channel.report(reloaded=again is not None)
            else:
                retired = running_loop.create_task(listener.retire(_REQUESTS_SHARE * stop_seconds))
                retired.add_done_callback(lambda _: orders.put_nowait("stop"))
