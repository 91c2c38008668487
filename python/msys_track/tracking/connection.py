"""One HTTP connection: bytes in, replies out, then events.

The connection decides when it ends and who waits; `request.py` knows what a request is,
`routes.py` what the answer is.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import cast

from msys_track.logs import event_logger
from msys_track.metrics import Counters
from msys_track.sinks.writer import EventWriter
from msys_track.smtp.address import parse_ip
from msys_track.tracking.access_log import AccessLog
from msys_track.tracking.client import (
    Client,
    decode_header,
    find_client_address,
    is_loopback,
)
from msys_track.tracking.crowd import Crowd, Member
from msys_track.tracking.hosts import HOST_PATH, Hosts
from msys_track.tracking.replies import Replies, Response, make_date_line
from msys_track.tracking.request import Request, RequestReader
from msys_track.tracking.routes import Outcome, Routes
from msys_track.tracking.settings import TrackerSettings
from msys_track.tracking.visit import Visit, make_events

log = event_logger(__name__)

# A reader sends a request in one go.
_PATIENCE_SECONDS = 1.0

# What a refusal counts as; the others are bad requests.
_REFUSALS = {
    HTTPStatus.METHOD_NOT_ALLOWED: "refused_methods",
    HTTPStatus.REQUEST_TIMEOUT: "timeouts",
    HTTPStatus.INTERNAL_SERVER_ERROR: "failures",
    HTTPStatus.SERVICE_UNAVAILABLE: "",  # the crowd has counted it
}


@dataclass(slots=True, kw_only=True)
class Service:
    """The state that all connections of one tracker share.

    Attributes:
        clock: Unix seconds, for events and expiry; time-outs go by the event loop's clock.
        crowd: Says who may come in, and who has to go.
        access_log: Logs a share of the requests.
        hosts: Answers a front server's question.
        is_retiring: Whether each connection is to end with its next answer.
        only_loopback: Whether every client so far was on this machine.
        connections: The open ones; they add and remove themselves.
    """

    settings: TrackerSettings
    routes: Routes
    replies: Replies
    writer: EventWriter
    counters: Counters
    clock: Callable[[], float]
    crowd: Crowd
    access_log: AccessLog
    hosts: Hosts
    is_retiring: bool = False
    only_loopback: bool = True
    connections: "set[ReaderConnection]" = field(default_factory=set)


class ReaderConnection(asyncio.Protocol):
    """Answers requests in their order: one write for each read, and then the events.

    Attributes:
        deadline: Event loop time after which `expire` is due.
    """

    __slots__ = (
        "_arrival", "_closing", "_loop", "_peer", "_reader", "_service", "_transport", "deadline",
    )  # fmt: skip

    def __init__(
        self,
        service: Service,
        loop: asyncio.AbstractEventLoop,
        arrival: Member | None = None,
        peer: str | None = None,
    ) -> None:
        """Wait for a connection.

        Args:
            service: What it shares with others.
            loop: The running loop.
            arrival: The place in the crowd that it takes over; None: it has none yet.
            peer: The client's address where a PROXY header said it.
        """
        self._service = service
        self._loop = loop
        self._reader = RequestReader(service.settings)
        self._transport: asyncio.Transport | None = None
        self._arrival = arrival
        self._peer = peer
        self._closing = False
        self.deadline = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, or turn it away when there are too many."""
        service = self._service
        self._transport = transport = cast("asyncio.Transport", transport)
        if self._peer is None:
            name = transport.get_extra_info("peername")
            self._peer = find_client_address(name[0], (), ()) if name else None
        self.deadline = self._loop.time() + service.settings.idle_timeout_seconds
        if self._arrival is not None:
            if not service.crowd.replace(self._arrival, self):
                self.give_way()
                return
        elif not service.crowd.admit(self, self._peer):
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE)
            return
        if service.only_loopback:
            service.only_loopback = is_loopback(self._peer)
        service.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        """Forget the connection."""
        self._closing = True
        self._transport = None
        self._service.connections.discard(self)
        self._service.crowd.remove(self)

    def data_received(self, data: bytes) -> None:
        """Answer what is complete."""
        if self._closing:
            return
        try:
            self._serve(data, logs=self._service.access_log.samples())
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

    @property
    def quiet_since(self) -> float:
        """When a request last began or ended, by the event loop's clock."""
        settings = self._service.settings
        return self.deadline - (
            settings.request_timeout_seconds
            if self._reader.in_request
            else settings.idle_timeout_seconds
        )

    def may_give_way(self, now: float) -> bool:
        """Whether no request is under way, or one that trickles in."""
        return not self._reader.in_request or now - self.quiet_since >= _PATIENCE_SECONDS

    def give_way(self) -> None:
        """End now, for others."""
        self._closing = True
        self.abort()

    def finish(self) -> None:
        """The tracker is closing: end now, unless a request is under way."""
        if not self._reader.in_request:
            self._close()

    def abort(self) -> None:
        """End now, whatever is on its way."""
        if self._transport is not None:
            self._transport.abort()

    def _serve(self, data: bytes, *, logs: bool) -> None:
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
            self._transport.write(self._encode(answered, date))
        # The reader is on the way to the target; events come only now.
        for request, outcome in answered:
            self._record(request, outcome, now)
            if logs:
                self._log_access(request, outcome)
        if failure is not None:
            raise failure
        if reader.refused is not None:
            self._refuse(reader.refused)
        elif reader.finished or (requests and service.is_retiring):
            self._close()

    def _encode(self, answered: Sequence[tuple[Request, Outcome]], date: bytes) -> bytes:
        """Encode the replies of one read; where the tracker retires, the last one is the last."""
        *before, (request, outcome) = answered
        replies = [_encode_reply(each, out.reply, date) for each, out in before]
        if self._service.is_retiring:
            request = request._replace(keep_alive=False)
        return b"".join([*replies, _encode_reply(request, outcome.reply, date)])

    def _answer(self, request: Request, now: float) -> Outcome:
        service = self._service
        service.counters.add("requests")
        is_ours = service.hosts.answer(request.target) if self._may_ask(request) else None
        if is_ours is not None and request.method == b"GET":
            replies = service.replies
            return Outcome(replies.host_is_ours if is_ours else replies.not_found)
        if request.method == b"GET":
            return service.routes.outcome(request.target, now)
        if request.method == b"HEAD":
            # Scanners use HEAD; readers don't.
            return service.routes.outcome(request.target, now)._replace(claims=None)
        service.counters.add("refused_methods")
        return Outcome(service.replies.refusals[HTTPStatus.METHOD_NOT_ALLOWED])

    def _may_ask(self, request: Request) -> bool:
        """Whether this is a front server's own request, and none that it hands on."""
        if not request.target.startswith(HOST_PATH) or request.value(b"x-forwarded-for"):
            return False
        peer = None if self._peer is None else parse_ip(self._peer)
        trusted = self._service.settings.trusted_proxies
        return peer is not None and (peer.is_loopback or any(peer in each for each in trusted))

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

    def _log_access(self, request: Request, outcome: Outcome) -> None:
        transport = self._transport
        self._service.access_log.note(
            request.method,
            request.target,
            outcome.reply.head,
            is_encrypted=transport is not None and bool(transport.get_extra_info("sslcontext")),
        )

    def _refuse(self, status: HTTPStatus) -> None:
        """Say why in a few bytes, and close."""
        service = self._service
        if counter := _REFUSALS.get(status, "bad_requests"):
            service.counters.add(counter)
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
