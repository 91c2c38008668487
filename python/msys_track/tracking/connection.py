"""One HTTP connection: bytes in, replies out, then hits.

The connection decides when it ends and who waits; `request.py` knows what a request is,
`routes.py` what the answer is.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import cast

from msys_track.eventlog.hits import HitLog
from msys_track.keys.ring import KeyRing
from msys_track.logs import event_logger
from msys_track.metrics import Counters
from msys_track.smtp.address import parse_ip
from msys_track.tracking.access_log import AccessLog
from msys_track.tracking.click_path import ClickPath, make_click_path
from msys_track.tracking.client import (
    decode_header,
    find_client_address,
    is_loopback,
    normalize_peer,
)
from msys_track.tracking.crowd import Crowd, Member
from msys_track.tracking.facts import find_facts, write_facts
from msys_track.tracking.hosts import HOST_PATH, Hosts, normalize_host
from msys_track.tracking.replies import Replies, Response, make_date_line
from msys_track.tracking.request import Request, RequestReader
from msys_track.tracking.routes import Outcome, Routes
from msys_track.tracking.settings import TrackerSettings

log = event_logger(__name__)

# A reader sends a request in one go.
_PATIENCE_SECONDS = 1.0

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

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
        routes: Those of hosts that are no tenant's.
        routes_by_host: Those of tenants, by hosts in lower case, without ports.
        hits: Takes the hits.
        click_path: Answers what is plain, if the core can; see `renew`.
        clock: Unix seconds, for hits and expiry; time-outs go by the event loop's clock.
        crowd: Says who may come in, and who has to go.
        access_log: Logs a share of the requests.
        hosts: Answers a front server's question.
        is_retiring: Whether each connection is to end with its next answer.
        only_loopback: Whether every client so far was on this machine.
        connections: The open ones; they add and remove themselves.
    """

    settings: TrackerSettings
    routes: Routes
    routes_by_host: Mapping[str, Routes] = field(default_factory=dict)
    replies: Replies
    hits: HitLog
    click_path: ClickPath | None = None
    counters: Counters
    clock: Callable[[], float]
    crowd: Crowd
    access_log: AccessLog
    hosts: Hosts
    is_retiring: bool = False
    only_loopback: bool = True
    connections: "set[ReaderConnection]" = field(default_factory=set)

    def __post_init__(self) -> None:
        self.counters.add_source(self._count_plain)

    def renew(self, keys: KeyRing, keys_by_host: Mapping[str, KeyRing]) -> None:
        """Answer from now on with these keys, and with what the routes have of files now."""
        self.switch(keys, keys_by_host, self.make_click_path(keys, keys_by_host))

    def switch(
        self,
        keys: KeyRing,
        keys_by_host: Mapping[str, KeyRing],
        click_path: ClickPath | None,
    ) -> None:
        """Do the same with a click path that was made of them."""
        self._count_plain()
        self.routes.use(keys)
        self.routes_by_host = {
            host: self.routes.with_keys(each) for host, each in keys_by_host.items()
        }
        self.click_path = click_path

    def make_click_path(
        self, keys: KeyRing, keys_by_host: Mapping[str, KeyRing]
    ) -> ClickPath | None:
        """Make the core's part, from any thread."""
        return make_click_path(
            self.settings,
            self.replies,
            self.hits,
            keys,
            keys_by_host=keys_by_host,
            overrides=self.routes.overrides,
            withdrawal=self.routes.withdrawal,
        )

    def find_routes(self, request: Request) -> Routes:
        """Return the routes of the host that a request is for (RFC 9112 section 3.3)."""
        if not self.routes_by_host:
            return self.routes
        host = request.value(b"host") or b""
        if not request.target.startswith(b"/"):
            host = request.target.partition(b"://")[2].partition(b"/")[0]
        return self.routes_by_host.get(normalize_host(host.decode("latin-1")), self.routes)

    def _count_plain(self) -> None:
        if self.click_path is not None:
            clicks, opens = self.click_path.take_counts()
            self.counters.add("requests", clicks + opens)
            self.counters.add("clicks", clicks)
            self.counters.add("opens", opens)


class ReaderConnection(asyncio.Protocol):
    """Answers requests in their order: one write for each read, and then the hits.

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
        # Made once it is needed: most connections send one request, which the core answers.
        self._reader: RequestReader | None = None
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
            self._peer = normalize_peer(name[0]) if name else None
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
            logs = self._service.access_log.samples()
            if logs or not self._serve_plain(data):
                self._serve(data, logs=logs)
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
        elif self._in_request:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)
        else:
            self._close()

    @property
    def quiet_since(self) -> float:
        """When a request last began or ended, by the event loop's clock."""
        settings = self._service.settings
        return self.deadline - (
            settings.request_timeout_seconds if self._in_request else settings.idle_timeout_seconds
        )

    def may_give_way(self, now: float) -> bool:
        """Whether no request is under way, or one that trickles in."""
        return not self._in_request or now - self.quiet_since >= _PATIENCE_SECONDS

    @property
    def _in_request(self) -> bool:
        return self._reader is not None and self._reader.in_request

    def give_way(self) -> None:
        """End now, for others."""
        self._closing = True
        self.abort()

    def finish(self) -> None:
        """The tracker is closing: end now, unless a request is under way."""
        if not self._in_request:
            self._close()

    def abort(self) -> None:
        """End now, whatever is on its way."""
        if self._transport is not None:
            self._transport.abort()

    def _serve_plain(self, data: bytes) -> bool:
        """Let the core answer a read of whole, plain GETs; return False for any other read."""
        service, transport = self._service, self._transport
        path = service.click_path
        if path is None or self._in_request or service.is_retiring or transport is None:
            return False
        answer = path.answer(data, self._peer, int(service.clock() * 1_000))
        if answer is None:
            return False
        reply, closes = answer
        transport.write(reply)
        self.deadline = self._loop.time() + service.settings.idle_timeout_seconds
        if closes:
            self._close()
        return True

    def _serve(self, data: bytes, *, logs: bool) -> None:
        service = self._service
        reader = self._reader = self._reader or RequestReader(service.settings)
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
        self._write(answered, now)
        # The reader is on the way to the target; hits come only now.
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

    def _write(self, answered: Sequence[tuple[Request, Outcome]], now: float) -> None:
        if self._transport is None:
            return
        if answered:
            self._transport.write(self._encode(answered, make_date_line(int(now))))
        if self._reader is not None and self._reader.awaits_continue:
            self._reader.awaits_continue = False
            self._transport.write(_CONTINUE)

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
        return service.find_routes(request).answer(
            request.method,
            request.target,
            now,
            content_type=request.value(b"content-type") or b"",
            body=request.body,
        )

    def _may_ask(self, request: Request) -> bool:
        """Whether this is a front server's own request, and none that it hands on."""
        if not request.target.startswith(HOST_PATH) or request.value(b"x-forwarded-for"):
            return False
        peer = None if self._peer is None else parse_ip(self._peer)
        trusted = self._service.settings.trusted_proxies
        return peer is not None and (peer.is_loopback or any(peer in each for each in trusted))

    def _record(self, request: Request, outcome: Outcome, now: float) -> None:
        """Log and record an answered request; a defect costs only its hit."""
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
            service.hits.put_hit(
                outcome.claims,
                int(now * 1_000),
                address,
                decode_header(request.value(b"user-agent")),
                decode_header(request.value(b"accept-language")),
                write_facts(find_facts(request.target, request.headers, outcome.facts)),
            )
        except Exception:
            service.counters.add("failures")
            log.exception("tracker.hit_failed")

    def _log_access(self, request: Request, outcome: Outcome) -> None:
        transport = self._transport
        try:
            self._service.access_log.note(
                request.method,
                request.target,
                outcome.reply.head,
                is_encrypted=transport is not None
                and bool(transport.get_extra_info("sslcontext")),
            )
        except Exception:
            # The reader has the answer already: a 500 behind it would be another request's.
            self._service.counters.add("failures")
            log.exception("tracker.access_log_failed")

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
