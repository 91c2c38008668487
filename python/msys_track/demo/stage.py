"""The stage: the product's own servers on free ports of this machine, and mailboxes behind them.

They are put together as for production; only the mail server behind the proxy is a stand-in.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, TypeAlias

from msys_track.dispatch.dispatcher import Dispatcher
from msys_track.errors import SettingsError, describe_os_error
from msys_track.event_fields import EventType
from msys_track.eventlog.hits import HitLog, open_hit_log
from msys_track.eventlog.settings import EventsSettings
from msys_track.events import Event
from msys_track.injection import server as injection
from msys_track.injection.server import Proxy
from msys_track.injection.settings import ProxySettings
from msys_track.keys import file as keys
from msys_track.keys.ring import KeyRing
from msys_track.metrics import Counters
from msys_track.options.tracking import TrackingOptions
from msys_track.recording.recorder import Recorder, run_recorder
from msys_track.relay.settings import UpstreamSettings
from msys_track.relay.upstream import Upstream
from msys_track.sinks.delivery import EventBatch
from msys_track.sinks.store.reading import Filter, open_store
from msys_track.sinks.store.sink import SqliteSink
from msys_track.testing import sender
from msys_track.testing.browser import Browser, BrowserResponse
from msys_track.testing.sender import Answer
from msys_track.testing.sink import Arrival, open_mailboxes
from msys_track.tracking import server as tracking
from msys_track.tracking.classify.settings import ClassificationSettings
from msys_track.tracking.server import Tracker
from msys_track.tracking.settings import TrackerSettings

HOST: Final = "127.0.0.1"

# A client that does not disconnect must not keep the demo from ending.
_CLOSE_SECONDS: Final = 1.0
_BATCH_SECONDS: Final = 0.01
_CATCH_UP_SECONDS: Final = 30.0

News: TypeAlias = "asyncio.Queue[Arrival | Event]"


@dataclass(slots=True, kw_only=True)
class Stage:
    """The running servers, and a queue of what happens there."""

    keys_file: Path
    store: Path
    options: TrackingOptions
    rewriter: Dispatcher
    """The proxy's own; it explains why something was left alone."""
    proxy: Proxy
    tracker: Tracker
    mailbox_port: int
    news: News
    """Mails that arrived and events that were stored, as they come."""
    _recording: "_Recording"
    _browser: Browser
    _events_seen: int = field(default=0, init=False)

    @property
    def origin(self) -> str:
        """The beginning of every tracked URL."""
        return self._browser.origin

    def is_tracked(self, url: str) -> bool:
        """Whether a URL leads to the tracker."""
        return url.startswith(f"{self.origin}/")

    async def send(self, from_: str, recipients: Sequence[str], message: bytes) -> Answer:
        """Send a message in wire form to the proxy, as an application would."""
        return await asyncio.to_thread(sender.send, self.proxy.port, from_, recipients, message)

    def arrivals(self) -> list[Arrival]:
        """Take all mails that arrived since the last call, also one just answered with 250."""
        news = [self.news.get_nowait() for _ in range(self.news.qsize())]
        return [each for each in news if isinstance(each, Arrival)]

    async def fetch(self, urls: Sequence[str], *, method: str = "GET") -> list[BrowserResponse]:
        """Fetch tracked URLs, as a reader's programs do."""
        return await asyncio.to_thread(self._browser.fetch, urls, method=method)

    async def new_events(self) -> list[Event]:
        """Read from the store what has come into it since the last call."""
        await self._recording.catch_up()
        events = await asyncio.to_thread(_read_events, self.store)
        new = events[self._events_seen :]
        self._events_seen = len(events)
        return [each for each in new if each.type is not EventType.RECLASSIFIED]


@asynccontextmanager
async def open_stage() -> AsyncIterator[Stage]:
    """Start the servers; when left, they end and their files are removed.

    Raises:
        SettingsError: no port, or no folder for temporary files, is available.
    """
    news: News = asyncio.Queue()
    async with AsyncExitStack() as exits:
        with _require("a folder for temporary files"):
            folder = Path(exits.enter_context(TemporaryDirectory(prefix="msys-track-demo-")))
        keys_file, store = folder / "keys.toml", folder / "events.sqlite"
        keys.create(keys_file)
        ring = KeyRing.load(keys_file)

        recording = _Recording(folder / "events.d")
        exits.push_async_callback(recording.close)
        await recording.start(_AnnouncingSink(SqliteSink(store), news))
        settings = TrackerSettings(
            store=store,
            listen_port=0,
            close_timeout_seconds=_CLOSE_SECONDS,
            # Elsewhere clients of this machine alone are a fault, a front server that hides the
            # readers; here they are all that is meant to come.
            trusted_proxies=(ip_network(HOST),),
        )
        tracker = await tracking.serve(settings, ring, recording.hits)
        exits.push_async_callback(tracker.close)

        with _require(f"a port of {HOST} for the mail server"):
            mailbox_port = await exits.enter_async_context(open_mailboxes(HOST, news.put_nowait))
        upstream = Upstream(UpstreamSettings(host=HOST, port=mailbox_port))
        exits.push_async_callback(upstream.close)
        options = TrackingOptions(
            open_tracking=True, click_tracking=True, tracking_domain=f"{HOST}:{tracker.port}"
        )
        rewriter = Dispatcher(keys=ring, options=options, source="configuration")
        listener = ProxySettings(listen_port=0, drain_seconds=_CLOSE_SECONDS)
        with _require(f"a port of {HOST} for the proxy"):
            proxy = await injection.serve(listener, rewriter, upstream)
        exits.push_async_callback(proxy.close)
        yield Stage(
            keys_file=keys_file,
            store=store,
            options=options,
            rewriter=rewriter,
            proxy=proxy,
            tracker=tracker,
            mailbox_port=mailbox_port,
            news=news,
            _recording=recording,
            _browser=Browser(HOST, tracker.port),
        )


@contextmanager
def _require(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SettingsError(f"demo: needs {what}: {describe_os_error(error)}") from error


def _read_events(store: Path) -> list[Event]:
    with open_store(store) as opened:
        return [
            Event.from_json(line.decode()) for page in opened.pages(Filter()) for _, line in page
        ]


class _Recording:
    """The log of hits and its recorder, in this process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._settings = EventsSettings(
            batch_seconds=_BATCH_SECONDS, close_timeout_seconds=_CLOSE_SECONDS
        )
        self._stop = asyncio.Event()
        self._started: asyncio.Future[Recorder] = asyncio.get_running_loop().create_future()
        self.hits: HitLog = open_hit_log(folder, self._settings)

    async def start(self, sink: "_AnnouncingSink") -> None:
        self._task = asyncio.create_task(
            run_recorder(
                self._folder,
                [sink],
                events=self._settings,
                classification=ClassificationSettings(),
                also_click=False,
                counters=Counters(),
                stop=self._stop,
                on_started=self._started.set_result,
            )
        )
        opened = asyncio.create_task(sink.is_open.wait())
        await asyncio.wait((self._task, opened), return_when=asyncio.FIRST_COMPLETED)
        opened.cancel()
        if self._task.done():
            self._task.result()

    async def catch_up(self) -> None:
        """Wait until what readers did so far is in the store."""
        await asyncio.to_thread(self.hits.flush, _CATCH_UP_SECONDS)
        recorder = await self._started
        async with asyncio.timeout(_CATCH_UP_SECONDS):
            while any(  # noqa: ASYNC110 - nobody else needs an event
                left for name, left in recorder.gauges().items() if "lag_events" in name
            ):
                await asyncio.sleep(_BATCH_SECONDS)

    async def close(self) -> None:
        await asyncio.to_thread(self.hits.close, _CLOSE_SECONDS)
        self._stop.set()
        await asyncio.gather(self._task, return_exceptions=True)


class _AnnouncingSink:
    """The store, and a queue of news that gets what is in it."""

    def __init__(self, store: SqliteSink, news: News) -> None:
        self._store = store
        self._news = news
        self.name = store.name
        self.max_events = store.max_events
        self.max_age_seconds = 0.0
        self.is_open = asyncio.Event()

    async def open(self) -> None:
        await self._store.open()
        self.is_open.set()

    async def write(self, batch: EventBatch) -> None:
        await self._store.write(batch)
        for line in batch.lines:
            event = Event.from_json(line.decode())
            if event.type is not EventType.RECLASSIFIED:
                self._news.put_nowait(event)

    async def close(self) -> None:
        await self._store.close()
