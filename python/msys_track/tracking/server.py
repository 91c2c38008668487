"""The tracker: a listening socket, its connections, and an end that loses no event.

It uses asyncio's protocols and no framework: one call without a task answers a click, and
redirects are most of what a tracker does (`docs/tracker.md`).
"""

import asyncio
import time
from collections.abc import Callable

from msys_track.errors import SettingsError, describe_os_error
from msys_track.keys.ring import KeyRing
from msys_track.logs import event_logger
from msys_track.metrics import TRACKER_COUNTERS, Counters
from msys_track.sinks.writer import EventWriter
from msys_track.smtp.address import Address
from msys_track.tracking.connection import ReaderConnection, Service
from msys_track.tracking.replies import Replies
from msys_track.tracking.routes import Routes
from msys_track.tracking.settings import TrackerSettings

log = event_logger(__name__)

_BACKLOG = 1_024
# One sweep looks at all time-outs: a timer for each request would cost more than the request.
_LONGEST_SWEEP_SECONDS = 1.0


class Tracker:
    """A running tracker; `serve` makes it, `close` ends it.

    Attributes:
        port: The TCP port it listens on, also when the settings left the choice to the system.
        counters: What it has done so far.
    """

    def __init__(self, server: asyncio.Server, service: Service) -> None:
        self._server = server
        self._service = service
        self.port: int = server.sockets[0].getsockname()[1]
        self.counters = service.counters
        self._sweeper = asyncio.create_task(self._sweep(), name="tracker-sweep")

    def use(self, keys: KeyRing) -> None:
        """Open links with another ring from now on, on every connection."""
        self._service.routes.use(keys)

    async def close(self) -> None:
        """Stop listening, let requests under way finish, and store their events.

        The writer stays open: its maker closes it.

        Raises:
            SinkError: the events of the last requests could not be stored in time; the writer
                still has them.
        """
        self._server.close()
        for connection in tuple(self._service.connections):
            connection.finish()
        loop = asyncio.get_running_loop()
        end = loop.time() + self._service.settings.close_timeout_seconds
        while self._service.connections and loop.time() < end:
            await asyncio.sleep(0.01)
            for connection in tuple(self._service.connections):
                connection.finish()
        for connection in tuple(self._service.connections):
            connection.abort()
        self._sweeper.cancel()
        await asyncio.gather(self._sweeper, return_exceptions=True)
        log.info("tracker.closed", **self.counters.snapshot())
        await self._service.writer.flush()

    async def _sweep(self) -> None:
        settings = self._service.settings
        pause = min(
            _LONGEST_SWEEP_SECONDS,
            settings.request_timeout_seconds / 4,
            settings.idle_timeout_seconds / 4,
        )
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(pause)
            now = loop.time()
            for connection in tuple(self._service.connections):
                if connection.deadline < now:
                    connection.expire()


async def serve(
    settings: TrackerSettings,
    keys: KeyRing,
    writer: EventWriter,
    *,
    clock: Callable[[], float] = time.time,
) -> Tracker:
    """Listen, and answer until `Tracker.close`.

    Args:
        settings: Where to listen, and the limits.
        keys: Opens the links; those of every key it holds are answered.
        writer: Takes the events; stays the caller's to close.
        clock: Unix seconds.

    Raises:
        SettingsError: it can't listen on the address.
    """
    counters = Counters(TRACKER_COUNTERS)
    replies = Replies(settings.server_name)
    service = Service(
        settings=settings,
        routes=Routes(
            keys, replies, counters, settings.expired, unknown_links=settings.unknown_links
        ),
        replies=replies,
        writer=writer,
        counters=counters,
        clock=clock,
    )
    loop = asyncio.get_running_loop()
    try:
        server = await loop.create_server(
            lambda: ReaderConnection(service, loop),
            settings.listen_host,
            settings.listen_port,
            backlog=_BACKLOG,
        )
    except OSError as error:
        raise SettingsError(
            f"tracker: can't listen on {Address(settings.listen_host, settings.listen_port)}: "
            f"{describe_os_error(error)}; choose another address, or end what listens there"
        ) from error
    tracker = Tracker(server, service)
    log.info("tracker.listening", host=settings.listen_host, port=tracker.port)
    return tracker
