"""One HTTP connection: bytes in, replies out, then events.

The connection decides when it ends and who waits; `request.py` knows what a request is,
`routes.py` what the answer is.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import cast

from msys_track.logs import event_logger
from msys_track.metrics import Counters
from msys_track.sinks.writer import EventWriter
from msys_track.tracking.client import Client, decode_header, find_client_address
from msys_track.tracking.replies import Replies, Response, make_date_line
from msys_track.tracking.request import Request, RequestReader
from msys_track.tracking.routes import Outcome, Routes
from msys_track.tracking.settings import TrackerSettings
from msys_track.tracking.visit import Visit, make_events

log = event_logger(__name__)

# What a refusal counts as; the others are bad requests.
_REFUSALS = {
    HTTPStatus.METHOD_NOT_ALLOWED: "refused_methods",
    HTTPStatus.REQUEST_TIMEOUT: "timeouts",
    HTTPStatus.INTERNAL_SERVER_ERROR: "failures",
    HTTPStatus.SERVICE_UNAVAILABLE: "refused_connections",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """The state that all connections of one tracker share.

    Attributes:
        clock: Unix seconds, for events and expiry; time-outs go by the event loop's clock.
        connections: The open ones; they add and remove themselves.
    """

    settings: TrackerSettings
    routes: Routes
    replies: Replies
    writer: EventWriter
    counters: Counters
    clock: Callable[[], float]
    connections: "set[ReaderConnection]" = field(default_factory=set)


class ReaderConnection(asyncio.Protocol):
    """Answers requests in their order: one write for each read, and then the events.

    Attributes:
        deadline: Event loop time after which `expire` is due.
    """

    __slots__ = ("_closing", "_loop", "_peer", "_reader", "_service", "_transport", "deadline")

    def __init__(self, service: Service, loop: asyncio.AbstractEventLoop) -> None:
        self._service = service
        self._loop = loop
        self._reader = RequestReader(service.settings)
        self._transport: asyncio.Transport | None = None
        self._peer: str | None = None
        self._closing = False
        self.deadline = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, or turn it away when there are too many."""
        service = self._service
        self._transport = transport = cast("asyncio.Transport", transport)
        if len(service.connections) >= service.settings.max_connections:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE)
            return
        peer = transport.get_extra_info("peername")
        self._peer = find_client_address(peer[0], (), ()) if peer else None
        self.deadline = self._loop.time() + service.settings.idle_timeout_seconds
        service.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        """Forget the connection."""
        self._closing = True
        self._transport = None
        self._service.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        """Answer what is complete."""
        if self._closing:
            return
        try:
            self._serve(data)
        except Exception:
            # The outermost frame: a defect of ours costs one connection, not the tracker.
            log.exception("tracker.connection_failed")
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR)

    def pause_writing(self) -> None:
        """Stop reading: a client that does not take its answers gets no more of them."""
        if self._transport is not None and not self._closing:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Read on: the client has taken its answers."""
        if self._transport is not None and not self._closing:
            self._transport.resume_reading()

    def expire(self) -> None:
        """The deadline has passed: answer a request that came too slowly, then close."""
        if self._transport is None:
            return
        if self._closing or self._transport.get_write_buffer_size():
            # Don't wait for a client that does not even read the end.
            self.abort()
        elif self._reader.in_request:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)
        else:
            self._close()

    def finish(self) -> None:
        """The tracker is closing: end now, unless a request is under way."""
        if not self._reader.in_request:
            self._close()

    def abort(self) -> None:
        """End now, whatever is on its way."""
        if self._transport is not None:
            self._transport.abort()

    def _serve(self, data: bytes) -> None:
        service, reader = self._service, self._reader
        underway = reader.in_request
        requests = reader.feed(data)
        if requests or (reader.in_request and not underway):
            settings = service.settings
            self.deadline = self._loop.time() + (
                settings.request_timeout_seconds
                if reader.in_request
                else settings.idle_timeout_seconds
            )
        now = service.clock()
        answered: list[tuple[Request, Outcome]] = []
        failure: Exception | None = None
        for request in requests:
            try:
                answered.append((request, self._answer(request, now)))
            except Exception as error:  # noqa: BLE001 - raised once those before have their answers
                failure = error
                break
        if answered and self._transport is not None:
            date = make_date_line(int(now))
            self._transport.write(
                b"".join(_encode_reply(request, out.reply, date) for request, out in answered)
            )
        # The reader is on the way to the target; events come only now.
        for request, outcome in answered:
            self._record(request, outcome, now)
        if failure is not None:
            raise failure
        if reader.refused is not None:
            self._refuse(reader.refused)
        elif reader.finished:
            self._close()

    def _answer(self, request: Request, now: float) -> Outcome:
        service = self._service
        service.counters.add("requests")
        if request.method == b"GET":
            return service.routes.outcome(request.target, now)
        if request.method == b"HEAD":
            # Scanners use HEAD; readers don't.
            return service.routes.outcome(request.target, now)._replace(claims=None)
        service.counters.add("refused_methods")
        return Outcome(service.replies.refusals[HTTPStatus.METHOD_NOT_ALLOWED])

    def _record(self, request: Request, outcome: Outcome, now: float) -> None:
        """Log and store the events of an answered request; a defect costs only the event."""
        if outcome.defect is not None:
            log.error("tracker.location_failed", exc_info=outcome.defect)
        if outcome.claims is None:
            return
        service = self._service
        try:
            address, trusted = self._peer, service.settings.trusted_proxies
            if trusted:
                forwarded_for = request.values(b"x-forwarded-for")
                address = find_client_address(address, forwarded_for, trusted)
            client = Client(
                ip_address=address,
                user_agent=decode_header(request.value(b"user-agent")),
                accept_language=decode_header(request.value(b"accept-language")),
            )
            visit = Visit(claims=outcome.claims, client=client, at=now)
            for each in make_events(visit, also_click=service.settings.unsubscribe_also_click):
                service.writer.put(each)
        except Exception:
            service.counters.add("failures")
            log.exception("tracker.event_failed")

    def _refuse(self, status: HTTPStatus) -> None:
        """Say why in a few bytes, and close."""
        service = self._service
        service.counters.add(_REFUSALS.get(status, "bad_requests"))
        if self._transport is not None:
            head = service.replies.refusals[status].head
            date = make_date_line(int(service.clock()))
            self._transport.write(head + date + b"Connection: close\r\n\r\n")
        self._close()

    def _close(self) -> None:
        if self._transport is None or self._closing:
            return
        self._closing = True
        # What is written still goes out, but not for ever: see `expire`.
        self.deadline = self._loop.time() + self._service.settings.request_timeout_seconds
        self._transport.close()


def _encode_reply(request: Request, reply: Response, date: bytes) -> bytes:
    if not request.keep_alive:
        end = b"Connection: close\r\n\r\n"
    elif request.http_10:
        end = b"Connection: keep-alive\r\n\r\n"
    else:
        end = b"\r\n"
    body = b"" if request.method == b"HEAD" else reply.body
    return reply.head + date + end + body
