"""The addresses of SparkPost's read APIs: the key is checked, the store is read, JSON is sent."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, TypeAlias

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from msys_track.errors import ApiKeysError, SinkError
from msys_track.logs import event_logger
from msys_track.report.sparkpost.api_keys import ApiKey, ApiKeys, Scope
from msys_track.report.sparkpost.events import (
    EARLIER_PATH,
    MESSAGE_PATH,
    answer_events,
    read_event_request,
)
from msys_track.report.sparkpost.lists import ListName, answer_list, read_list_request
from msys_track.report.sparkpost.metrics import (
    PATH,
    Grouping,
    answer_metrics,
    answer_root,
    read_metric_request,
)
from msys_track.report.sparkpost.problems import RequestError
from msys_track.sinks.store.reading import Store, open_store

log = event_logger(__name__)

_Pairs: TypeAlias = list[tuple[str, str]]
_Read: TypeAlias = Callable[[Store], dict[str, Any]]
_Prepare: TypeAlias = Callable[[_Pairs, float], _Read | dict[str, Any]]

MAX_URI_BYTES: Final = 4_096
"""As with SparkPost, which has it in its page on the Events API."""
REQUESTS_A_SECOND: Final = 20
"""Of one key, over a longer time."""
REQUESTS_AT_ONCE: Final = 200
"""Of one key, after a pause."""

_READERS_AT_ONCE: Final = 4
_MAX_WAITING: Final = 100
_MAX_KEYS: Final = 1_000


class Gate:
    """Who may ask, how often, and how many read at the same time.

    Args:
        path: The file of API keys; None: nobody may ask.
    """

    def __init__(self, path: Path | None) -> None:
        self._keys = ApiKeys(path)
        self._spent: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._turns = asyncio.Semaphore(_READERS_AT_ONCE)
        self._waiting = 0

    def admit(self, authorization: str | None, scope: Scope, now: float) -> ApiKey:
        """Return the key of a request that may be answered.

        Args:
            authorization: The header.
            scope: What is asked for.
            now: Seconds of a clock that never goes back.

        Raises:
            RequestError: no key, a wrong one, one for something else, or too many requests.
        """
        try:
            key = self._keys.find(authorization)
        except ApiKeysError as error:
            log.warning("report.api_keys_failed", error=str(error))
            raise RequestError(503, "Service unavailable", "the API keys can't be read") from error
        if key is None:
            raise RequestError(
                401,
                "Unauthorized.",
                "the header Authorization must be an API key",
                headers={"WWW-Authenticate": 'Basic realm="API key", charset="UTF-8"'},
            )
        self._count(key.digest, now)
        if scope not in key.scopes:
            raise RequestError(403, "Forbidden.", f"this key has not the scope {scope}")
        return key

    async def read(self, path: Path, read: _Read) -> dict[str, Any]:
        """Read a store in a thread, when it is the request's turn.

        Raises:
            RequestError: too many wait, or the request can't be answered.
            SinkError: the store can't be read.
        """
        if self._waiting >= _MAX_WAITING:
            raise RequestError(
                503, "Service unavailable", "too many requests wait", headers={"Retry-After": "1"}
            )
        self._waiting += 1
        try:
            async with self._turns:
                return await run_in_threadpool(_read_store, path, read)
        finally:
            self._waiting -= 1

    def _count(self, digest: str, now: float) -> None:
        spent, at = self._spent.get(digest, (0.0, now))
        spent = max(0.0, spent - (now - at) * REQUESTS_A_SECOND)
        if spent + 1 > REQUESTS_AT_ONCE:
            raise RequestError(
                429,
                "Too many requests",
                f"a key may ask {REQUESTS_A_SECOND} times a second",
                headers={"Retry-After": "1"},
            )
        self._spent[digest] = (spent + 1, now)
        self._spent.move_to_end(digest)
        if len(self._spent) > _MAX_KEYS:
            self._spent.popitem(last=False)


def _read_store(path: Path, read: _Read) -> dict[str, Any]:
    with open_store(path) as store:
        # One transaction, so that all that a page says is of the same moment.
        store.select("BEGIN")
        return read(store)


def _endpoint(scope: Scope, prepare: _Prepare) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        state = request.app.state
        gate: Gate | None = getattr(state, "api_gate", None)
        if gate is None:
            gate = state.api_gate = Gate(state.settings.api_keys)
        try:
            key = gate.admit(request.headers.get("authorization"), scope, time.monotonic())
            request.state.api_key = key.name
            _check_length(request)
            prepared = prepare(request.query_params.multi_items(), time.time())
            if not isinstance(prepared, dict):
                prepared = await gate.read(state.store, prepared)
        except RequestError as error:
            return _respond(error.as_json(), error.status, error.headers)
        except SinkError as error:
            log.warning("report.store_failed", error=str(error))
            problem = RequestError(503, "Service unavailable", "the event store can't be read")
            return _respond(problem.as_json(), 503, {"Retry-After": "10"})
        return _respond(prepared)

    return answer


def _check_length(request: Request) -> None:
    if len(request.scope["raw_path"]) + len(request.scope["query_string"]) >= MAX_URI_BYTES:
        raise RequestError(414, "URI too long", f"at most {MAX_URI_BYTES} bytes")


def _respond(
    content: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    return Response(
        orjson.dumps(content), status, {"Cache-Control": "no-store", **(headers or {})},
        "application/json",
    )  # fmt: skip


def _events(path: str) -> _Prepare:
    def prepare(pairs: _Pairs, now: float) -> _Read:
        request = read_event_request(path, pairs, now)
        return lambda store: answer_events(store, request)

    return prepare


def _metrics(grouping: Grouping) -> _Prepare:
    def prepare(pairs: _Pairs, now: float) -> _Read:
        request = read_metric_request(grouping, pairs, now)
        return lambda store: answer_metrics(store, request)

    return prepare


def _list(name: ListName) -> _Prepare:
    def prepare(pairs: _Pairs, now: float) -> _Read:
        request = read_list_request(name, pairs, now)
        return lambda store: answer_list(store, request)

    return prepare


async def _find_nothing(request: Request) -> Response:
    problem = RequestError(404, "Resource could not be found", f"{request.url.path[:200]}")
    return _respond(problem.as_json(), 404)


async def _refuse_method(_: Request) -> Response:
    problem = RequestError(405, "Method not allowed", "these APIs only read: use GET")
    return _respond(problem.as_json(), 405, {"Allow": "GET, HEAD"})


_HANDLERS: Final = {
    MESSAGE_PATH: _endpoint(Scope.EVENTS, _events(MESSAGE_PATH)),
    EARLIER_PATH: _endpoint(Scope.EVENTS, _events(EARLIER_PATH)),
    PATH: _endpoint(Scope.METRICS, lambda *_: answer_root()),
    f"{PATH}/": _endpoint(Scope.METRICS, lambda *_: answer_root()),
    f"{PATH}/campaigns": _endpoint(Scope.METRICS, _list("campaigns")),
    f"{PATH}/domains": _endpoint(Scope.METRICS, _list("domains")),
    f"{PATH}/deliverability": _endpoint(Scope.METRICS, _metrics("")),
    f"{PATH}/deliverability/time-series": _endpoint(Scope.METRICS, _metrics("time-series")),
    f"{PATH}/deliverability/campaign": _endpoint(Scope.METRICS, _metrics("campaign")),
    f"{PATH}/deliverability/domain": _endpoint(Scope.METRICS, _metrics("domain")),
    f"{PATH}/deliverability/link-name": _endpoint(Scope.METRICS, _metrics("link-name")),
}

_OTHER_METHODS: Final = ("POST", "PUT", "PATCH", "DELETE", "OPTIONS")

ROUTES: Final[list[BaseRoute]] = [
    *(Route(path, handler, methods=["GET"]) for path, handler in _HANDLERS.items()),
    *(Route(path, _refuse_method, methods=_OTHER_METHODS) for path in _HANDLERS),
    Route("/api/{path:path}", _find_nothing, methods=["GET", *_OTHER_METHODS]),
]
"""Below `/api/`. They check an API key by themselves: a person's session opens nothing here."""
