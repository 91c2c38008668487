"""Live numbers, by server-sent events: what happened in the last minute, told each second.

One thread reads for all who watch, only what has come since it last looked. So what it costs does
not grow with who watches, and little with what happens.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from typing import Final, TypeAlias

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from msys_track.errors import SinkError
from msys_track.logs import event_logger
from msys_track.sinks.store.reading import Filter, Store, connect_to_read
from msys_track.sinks.store.rows import ACTIONS, UNKNOWN

log = event_logger(__name__)

SHOWN_SECONDS: Final = 60
MAX_WATCHERS: Final = 50

_LOOK_SECONDS: Final = 1.0
# More than came in a minute is not looked at, however long nobody did.
_MAX_EVENTS: Final = 200_000
# A client that takes nothing for so long is gone.
_SEND_SECONDS: Final = 20.0
_RETRY_MILLISECONDS: Final = 5_000
_UNREAD: Final = b": the store can't be read\n\n"
_WHO: Final = ("people", "machines", UNKNOWN)
_WHAT: Final = ("open", "click", "unsubscribe")
# Two pixels tell of one look at a mail, but where the mail was cut off only the upper one does.
_UPPER: Final = frozenset({"initial_open", "amp_initial_open"})

_Kind: TypeAlias = tuple[str, str]
"""Type and reader."""


class LastMinute:
    """What happened in the last minute, of a store that is read on and on by one thread."""

    def __init__(self, store: Path, now: Callable[[], float] = time.time) -> None:
        self._path = store
        self._now = now
        self._store: Store | None = None
        self._file: tuple[int, int] | None = None
        self._seen = 0
        self._by_second: dict[int, Counter[_Kind]] = {}

    def look(self) -> dict[str, int]:
        """Read what is new, and count: `sent.all`, `open.people`, `click.machines` and so on.

        Raises:
            SinkError: the store can't be read; the next look tries again.
        """
        since = int(self._now()) - SHOWN_SECONDS
        file = _find_file(self._path)
        if file != self._file:  # another one took its place
            self.close()
        try:
            if self._store is None:
                self._file = file
                self._store = Store(self._path, connect_to_read(self._path))
                self._by_second.clear()
                self._seen = self._store.bounds(Filter(since=since))[0] - 1
            self._read_on(self._store)
        except SinkError:
            self.close()
            raise
        self._by_second = {at: each for at, each in self._by_second.items() if at > since}
        return self._count()

    def close(self) -> None:
        """Close the store; the next look opens it again."""
        if self._store is not None:
            self._store.close()
            self._store = None

    def _read_on(self, store: Store) -> None:
        last = store.last_sequence()
        first = max(self._seen, last - _MAX_EVENTS) + 1
        if last < first:
            self._seen = min(self._seen, last)
            return
        for at, type_, reader, count in store.select(
            "SELECT at, type, reader, count(*) FROM events WHERE sequence BETWEEN ? AND ?"
            " GROUP BY 1, 2, 3",
            first,
            last,
        ):
            kind = type_.decode(), reader.decode() or UNKNOWN
            self._by_second.setdefault(at, Counter())[kind] += count
        self._seen = last

    def _count(self) -> dict[str, int]:
        lower, upper = Counter[_Kind](), Counter[_Kind]()
        for kinds in self._by_second.values():
            for (type_, reader), count in kinds.items():
                (upper if type_ in _UPPER else lower)[ACTIONS.get(type_, ""), reader] += count
        counts = {"sent.all": sum(n for (what, _), n in lower.items() if what == "sent")}
        for what in _WHAT:
            by_who = {who: max(lower[what, who], upper[what, who]) for who in _WHO}
            counts |= {f"{what}.{who}": count for who, count in by_who.items()}
            counts[f"{what}.all"] = sum(by_who.values())
        return counts


class Live:
    """Tells all who watch the same; reads only while somebody does."""

    def __init__(self, store: Path) -> None:
        self._path = store
        self._watchers = 0
        self._task: asyncio.Task[None] | None = None
        self._told = asyncio.Event()
        self._message = b""
        self._is_closed = False

    @property
    def watchers(self) -> int:
        """How many watch."""
        return self._watchers

    async def watch(self) -> AsyncGenerator[bytes, None]:
        """Yield messages of `text/event-stream`; one that is too slow misses those between."""
        with self._count_watcher():
            yield b"retry: %d\n\n" % _RETRY_MILLISECONDS
            if self._message:
                yield self._message
            while not self._is_closed:
                await self._told.wait()
                if self._message:
                    yield self._message

    def close(self) -> None:
        """Let nobody watch any more."""
        self._is_closed = True
        self._told.set()

    @contextmanager
    def _count_watcher(self) -> Iterator[None]:
        self._watchers += 1
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())
        try:
            yield
        finally:
            self._watchers -= 1

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        minute, is_good = LastMinute(self._path), True
        with ThreadPoolExecutor(1, thread_name_prefix="msys-track-live") as thread:
            try:
                while self._watchers and not self._is_closed:
                    try:
                        counts = await loop.run_in_executor(thread, minute.look)
                    except SinkError as error:
                        if is_good:
                            log.error("live.unread", why=str(error))  # noqa: TRY400 - not ours
                        is_good = False
                        self._tell(_UNREAD)
                    except Exception:
                        # A defect: without this all who watch would wait for ever.
                        if is_good:
                            log.exception("live.failed")
                        is_good = False
                        self._tell(_UNREAD)
                    else:
                        is_good = True
                        said = json.dumps({"at": int(time.time()), "counts": counts})
                        self._tell(b"data: %b\n\n" % said.encode())
                    await asyncio.sleep(_LOOK_SECONDS)
            finally:
                self._task, self._message = None, b""
                thread.submit(minute.close)

    def _tell(self, message: bytes) -> None:
        self._message = message
        told, self._told = self._told, asyncio.Event()
        told.set()


class _Stream(Response):
    """Sends until the client is gone, takes nothing, or its session is over."""

    media_type = "text/event-stream"

    def __init__(self, messages: AsyncGenerator[bytes, None], goes_on: Callable[[], bool]) -> None:
        super().__init__()
        del self.headers["content-length"]
        self._messages = messages
        self._goes_on = goes_on

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Send."""
        gone = asyncio.ensure_future(_wait_until_gone(receive))
        sending = asyncio.ensure_future(self._send_all(send))
        try:
            await asyncio.wait((gone, sending), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (gone, sending):
                task.cancel()
                with suppress(asyncio.CancelledError, TimeoutError, OSError):
                    await task

    async def _send_all(self, send: Send) -> None:
        start = {"status": self.status_code, "headers": self.raw_headers}
        await send({"type": "http.response.start", **start})
        async with aclosing(self._messages) as messages:
            async for message in messages:
                if not self._goes_on():
                    break
                async with asyncio.timeout(_SEND_SECONDS):
                    await send({"type": "http.response.body", "body": message, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


async def stream(request: Request) -> Response:
    """Tell what happened in the last minute, until the client goes or its session ends."""
    live: Live = request.app.state.live
    if live.watchers >= MAX_WATCHERS:
        raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, headers={"Retry-After": "30"})
    session, sessions = request.state.session, request.app.state.door.sessions
    return _Stream(live.watch(), lambda: sessions.goes_on(session))


ROUTES: Final = (Route("/live", stream, methods=["GET"]),)


def _find_file(path: Path) -> tuple[int, int] | None:
    """Say which file a path leads to."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


async def _wait_until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
