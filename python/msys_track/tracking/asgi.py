"""The tracker as an ASGI application, for programs that have a web server already."""

import time
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, TypeAlias

from msys_track.errors import SettingsError
from msys_track.events import Event
from msys_track.keys.ring import KeyRing
from msys_track.logs import event_logger
from msys_track.metrics import TRACKER_COUNTERS, Counters
from msys_track.settings.addresses import Network
from msys_track.tracking import forms
from msys_track.tracking.classify.classifier import Classifier
from msys_track.tracking.classify.settings import ClassificationSettings
from msys_track.tracking.client import Client, decode_header, find_client_address
from msys_track.tracking.replies import Replies, Response
from msys_track.tracking.routes import Outcome, Routes
from msys_track.tracking.settings import REFUSE, UNKNOWN_LINKS, Expired
from msys_track.tracking.visit import Visit, make_events

log = event_logger(__name__)

_Message: TypeAlias = MutableMapping[str, Any]
_Receive: TypeAlias = Callable[[], Awaitable[_Message]]
_Send: TypeAlias = Callable[[_Message], Awaitable[None]]


class TrackerApp:
    """Answers tracked links (ASGI 3, HTTP), and calls `on_event` once the reader has the answer.

    Mount it at `/`: the paths of tracked links are `/f/…`, `/q/…` and `/u/…`.

    Args:
        keys: opens the links; those of every key that it holds are answered.
        on_event: takes each event. What it raises is logged, and the event is lost: the reader
            has the answer already.
        expired: `redirect` also follows links past their time, `gone` answers 410.
        unknown_links: `refuse`, or the origin of the tracker that made the links which none of
            `keys` did: those are sent on to it, with path and query as they came.
        confirm_unsubscribe: a link that unsubscribes leads to a page with a button first.
        unsubscribe_also_click: a link that unsubscribes makes a `click` as well.
        trusted_proxies: networks whose `X-Forwarded-For` is believed.
        classification: which rules tell people from machines. Each request is judged by itself
            here: what takes several, such as bursts, takes a tracker of its own.
        clock: Unix seconds.

    Attributes:
        counters: what it has done so far.

    Raises:
        SettingsError: `unknown_links` is neither.
    """

    def __init__(  # noqa: PLR0913 - the settings of a tracker
        self,
        keys: KeyRing,
        on_event: Callable[[Event], Awaitable[None]],
        *,
        expired: Expired = "redirect",
        unknown_links: str = REFUSE,
        confirm_unsubscribe: bool = False,
        unsubscribe_also_click: bool = False,
        trusted_proxies: Sequence[Network] = (),
        classification: ClassificationSettings | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.counters = Counters(TRACKER_COUNTERS)
        if not UNKNOWN_LINKS.allows(unknown_links):
            raise SettingsError(
                f"unknown_links: found {unknown_links!r}, allowed: {UNKNOWN_LINKS.allowed}"
            )
        self._routes = Routes(
            keys,
            Replies("msys-http"),
            self.counters,
            expired,
            unknown_links=unknown_links,
            confirms=confirm_unsubscribe,
        )
        self._on_event = on_event
        self._classifier = Classifier(classification)
        self._also_click = unsubscribe_also_click
        self._trusted = tuple(trusted_proxies)
        self._clock = clock

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        """Serve one request, or the life of the server.

        Raises:
            ValueError: the connection is neither HTTP nor the life of the server.
        """
        if scope["type"] == "lifespan":
            return await _live(receive, send)
        if scope["type"] != "http":
            raise ValueError(f"TrackerApp serves http, not {scope['type']}")
        now = self._clock()
        body = await _receive_form(receive) if scope["method"] == "POST" else b""
        outcome = self._answer(scope, body, now)
        await _send_reply(outcome.reply, scope["method"], send)
        if outcome.defect is not None:
            log.error("tracker.location_failed", exc_info=outcome.defect)
        if outcome.claims is not None:
            visit = Visit(claims=outcome.claims, client=self._find_client(scope), at=now)
            await self._report(visit)
        return None

    def _answer(self, scope: _Message, body: bytes, now: float) -> Outcome:
        self.counters.add("requests")
        # `raw_path` is optional, and `path` is decoded: what it had escaped is escaped no more.
        target = scope.get("raw_path") or scope["path"].encode("utf-8", "replace")
        if query := scope.get("query_string"):
            target += b"?" + query
        named = (value for name, value in scope["headers"] if name.lower() == b"content-type")
        method = scope["method"].encode()
        outcome = self._routes.answer(
            method, target, now, content_type=next(named, b""), body=body
        )
        # What a HEAD says of the GET that follows, a classifier of single requests can't use.
        return outcome if method != b"HEAD" else outcome._replace(claims=None)

    def _find_client(self, scope: _Message) -> Client:
        fields: dict[bytes, list[bytes]] = {}
        for name, value in scope["headers"]:
            fields.setdefault(name.lower(), []).append(value)
        peer = scope["client"][0] if scope.get("client") else None
        agent, language = fields.get(b"user-agent", [b""]), fields.get(b"accept-language", [b""])
        return Client(
            ip_address=find_client_address(
                peer, fields.get(b"x-forwarded-for", ()), self._trusted
            ),
            user_agent=decode_header(agent[0]),
            accept_language=decode_header(language[0]),
        )

    async def _report(self, visit: Visit) -> None:
        try:
            for event in make_events(visit, self._classifier, also_click=self._also_click):
                await self._on_event(event)
        except Exception:
            self.counters.add("failures")
            log.exception("tracker.event_failed")


async def _receive_form(receive: _Receive) -> bytes:
    """Receive the body of a POST, as far as a form of ours goes; the server discards the rest."""
    body, has_more = b"", True
    while has_more and len(body) <= forms.MAX_FORM_BYTES:
        message = await receive()
        body += message.get("body", b"")
        has_more = message.get("more_body", False)
    return body[: forms.MAX_FORM_BYTES]


async def _send_reply(reply: Response, method: str, send: _Send) -> None:
    status, *lines = reply.head.split(b"\r\n")
    fields = [line.partition(b": ") for line in lines if line]
    headers = [(name.lower(), value) for name, _, value in fields]
    start = {"type": "http.response.start", "status": int(status.split()[1]), "headers": headers}
    await send(start)
    body = b"" if method == "HEAD" else reply.body
    await send({"type": "http.response.body", "body": body})


async def _live(receive: _Receive, send: _Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
