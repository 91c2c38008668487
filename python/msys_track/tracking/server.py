"""The tracker: listening sockets, their connections, and an end that loses no hit.

It uses asyncio's protocols and no framework: one call without a task answers a click, and
redirects are most of what a tracker does (`docs/tracker.md`).
"""

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

from msys_track.errors import SettingsError, describe_os_error
from msys_track.eventlog.hits import HitLog
from msys_track.keys.ring import KeyRing
from msys_track.logs import event_logger
from msys_track.metrics import TRACKER_COUNTERS, Counters
from msys_track.settings.certificate import Certificate
from msys_track.smtp.address import Address
from msys_track.tracking.access_log import AccessLog
from msys_track.tracking.app_links import write_app_files
from msys_track.tracking.arrival import Door
from msys_track.tracking.connection import ReaderConnection, Service
from msys_track.tracking.crowd import Crowd, Member
from msys_track.tracking.hosts import Hosts, normalize_host
from msys_track.tracking.link_files import LinkFiles
from msys_track.tracking.replies import Replies
from msys_track.tracking.routes import Routes
from msys_track.tracking.settings import TrackerSettings

log = event_logger(__name__)

_BACKLOG: Final = 1_024
# One sweep looks at all time-outs: a timer for each request would cost more than the request.
_LONGEST_SWEEP_SECONDS: Final = 1.0
_CONNECTIONS_END_SECONDS: Final = 0.05
# So many requests, all from this machine, are no accident.
_ENOUGH_REQUESTS: Final = 100


class Tracker:
    """A running tracker; `serve` makes it, `close` ends it.

    Attributes:
        addresses: Where it listens, in the order of the settings, `listen_tls` last.
        port: The TCP port it listens on, also when the settings left the choice to the system.
        counters: What it has done so far.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what it runs
        self,
        service: Service,
        servers: Sequence[asyncio.Server],
        doors: Sequence[Door],
        addresses: Sequence[Address],
        certificate: Certificate | None,
        files: LinkFiles,
    ) -> None:
        self._service = service
        self._servers = servers
        self._doors = doors
        self._certificate = certificate
        self._files = files
        self._is_warned = bool(service.settings.trusted_proxies)
        self.addresses = addresses
        self.port: int = addresses[0].port
        self.counters = service.counters
        self._sweeper = asyncio.create_task(self._sweep(), name="tracker-sweep")

    def use(
        self,
        keys: KeyRing,
        hosts: Collection[str] = (),
        keys_by_host: Mapping[str, KeyRing] | None = None,
    ) -> None:
        """Open links with other rings from now on, on every connection; see `serve`."""
        service = self._service
        self._keys, self._keys_by_host = keys, _normalize_hosts(keys_by_host)
        service.renew(keys, self._keys_by_host)
        service.hosts = Hosts((*service.settings.hosts, *hosts, *self._keys_by_host))

    @property
    def connection_count(self) -> int:
        """How many clients there are, those without a request yet included."""
        return len(self._service.crowd)

    def look_at_files(self) -> None:
        """Read again what has changed: certificate, redirects, withdrawn recipients."""
        if self._certificate is not None:
            self._certificate.look()
        if self._files.look():
            self._service.renew(self._keys, self._keys_by_host)

    async def _follow_files(self) -> None:
        """Do the same, and answer readers meanwhile: a million recipients take a second."""
        if self._certificate is not None:
            self._certificate.look()
        if len(self._files) > 0 and await asyncio.to_thread(self._files.look):
            keys, keys_by_host = self._keys, self._keys_by_host
            path = await asyncio.to_thread(self._service.make_click_path, keys, keys_by_host)
            if keys is self._keys:  # else `use` has made another one, of the same files
                self._service.switch(keys, keys_by_host, path)

    async def retire(self, patience_seconds: float) -> None:
        """Take no more clients; let those that are there have one more answer each."""
        self._stop_listening()
        self._service.is_retiring = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_seconds):
                # A client that was just taken is a connection in the loop's next turns only.
                await asyncio.sleep(_CONNECTIONS_END_SECONDS)
                while self.connection_count:  # noqa: ASYNC110 - it is no event for anybody else
                    await asyncio.sleep(_CONNECTIONS_END_SECONDS)

    async def close(self, patience_seconds: float | None = None) -> None:
        """Stop listening, and let requests under way finish.

        The hit log stays open: its maker closes it.

        Args:
            patience_seconds: What is not finished by then is cut off; None: as long as
                `close_timeout_seconds` of the settings.
        """
        service = self._service
        if patience_seconds is None:
            patience_seconds = service.settings.close_timeout_seconds
        self._stop_listening()
        await asyncio.gather(*(each.abort() for each in self._doors))
        loop = asyncio.get_running_loop()
        end = loop.time() + patience_seconds
        for connection in tuple(service.connections):
            connection.finish()
        while service.connections and loop.time() < end:
            await asyncio.sleep(0.01)
            for connection in tuple(service.connections):
                connection.finish()
        cut_off = tuple(service.connections)
        for connection in cut_off:
            connection.abort()
        self._sweeper.cancel()
        await asyncio.gather(self._sweeper, return_exceptions=True)
        log.info("tracker.closed", cut_off=len(cut_off), **self.counters.snapshot())

    def _stop_listening(self) -> None:
        for server in self._servers:
            server.close()
        for door in self._doors:
            door.close()

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
            await self._follow_files()
            self._warn_of_hidden_clients()

    def _warn_of_hidden_clients(self) -> None:
        """Say once that every event has a front server's address in place of the reader's."""
        if self._is_warned or self.counters["requests"] < _ENOUGH_REQUESTS:
            return
        self._is_warned = True
        if self._service.only_loopback:
            log.warning(
                "tracker.clients_are_local",
                requests=self.counters["requests"],
                hint="every client so far is on this machine, as a front server would be, and "
                'events have its address: set trusted_proxies = ["127.0.0.1", "::1"] and let it '
                "send X-Forwarded-For",
            )


async def serve(  # noqa: PLR0913 - the parts of one server
    settings: TrackerSettings,
    keys: KeyRing,
    hits: HitLog,
    *,
    keys_by_host: Mapping[str, KeyRing] | None = None,
    listeners: Mapping[Address, Sequence[socket.socket]] | None = None,
    hosts: Collection[str] = (),
    counters: Counters | None = None,
    clock: Callable[[], float] = time.time,
) -> Tracker:
    """Listen, and answer until `Tracker.close`.

    Args:
        settings: Where to listen, and the limits.
        keys: Opens the links; those of every key it holds are answered.
        hits: Takes the hits; stays the caller's to close.
        keys_by_host: Open the links of these hosts in place of `keys`: tenants that share the
            tracker have keys of their own.
        listeners: Sockets that listen already, by the addresses of the settings; others are made.
        hosts: Hosts that are ours, beside those of the settings.
        counters: Count what happens.
        clock: Unix seconds.

    Raises:
        SettingsError: it can't listen on an address, or a file of the settings can't be used.
    """
    settings.check_conflicts()
    counters = counters or Counters(TRACKER_COUNTERS)
    replies = Replies(settings.server_name)
    loop = asyncio.get_running_loop()
    routes = Routes(
        keys,
        replies,
        counters,
        settings.expired,
        unknown_links=settings.unknown_links,
        expired_url=settings.expired_url,
        confirms=settings.confirm_unsubscribe,
        files=write_app_files(settings),
    )
    files = LinkFiles(settings, routes)
    service = Service(
        settings=settings,
        routes=routes,
        replies=replies,
        hits=hits,
        counters=counters,
        clock=clock,
        crowd=Crowd(
            settings.max_connections,
            settings.max_connections_per_address,
            settings.trusted_proxies,
            counters,
            loop.time,
        ),
        access_log=AccessLog(settings.access_log_share),
        hosts=Hosts(()),
    )
    certificate = None
    if settings.tls_certificate is not None:
        certificate = Certificate(settings.tls_certificate, settings.tls_key)

    def make(arrival: Member | None = None, peer: str | None = None) -> ReaderConnection:
        return ReaderConnection(service, loop, arrival, peer)

    servers: list[asyncio.Server] = []
    doors: list[Door] = []
    addresses: list[Address] = []
    for number, sockets in enumerate(_bind(settings.all_listens, listeners or {})):
        addresses.append(Address(*sockets[0].getsockname()[:2]))
        is_tls = number > 0  # the first one is `listen`
        for each in sockets:
            if is_tls or settings.proxy_protocol:
                doors.append(
                    Door(
                        each,
                        service.crowd,
                        counters,
                        context=certificate.context if certificate and is_tls else None,
                        fronts=settings.trusted_proxies if settings.proxy_protocol else (),
                        make=make,
                    )
                )
            else:
                servers.append(await loop.create_server(make, sock=each, backlog=_BACKLOG))
    tracker = Tracker(service, servers, doors, addresses, certificate, files)
    tracker.use(keys, hosts, keys_by_host)
    for address in addresses:
        log.info("tracker.listening", host=address.host, port=address.port)
    return tracker


def _normalize_hosts(keys_by_host: Mapping[str, KeyRing] | None) -> dict[str, KeyRing]:
    return {normalize_host(host): keys for host, keys in (keys_by_host or {}).items()}


def _bind(
    addresses: Sequence[Address], given: Mapping[Address, Sequence[socket.socket]]
) -> list[Sequence[socket.socket]]:
    """Bind every address that has no socket yet, or none."""
    bound: list[Sequence[socket.socket]] = []
    made: list[socket.socket] = []
    for address in addresses:
        if address in given:
            bound.append(given[address])
            continue
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        try:
            made.append(socket.create_server(address, family=family, backlog=_BACKLOG))
        except OSError as error:
            for each in made:
                each.close()
            raise SettingsError(
                f"tracker: can't listen on {address}: {describe_os_error(error)}; choose another "
                "address, or end what listens there"
            ) from error
        bound.append(made[-1:])
    return bound
