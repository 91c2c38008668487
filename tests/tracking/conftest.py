"""A tracker on a real port, with real tokens and a real hit log."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from msys_track.eventlog.hits import HitLog, PlainHitLog, open_hit_log
from msys_track.eventlog.reader import LogReader
from msys_track.eventlog.settings import EventsSettings
from msys_track.keys.ring import Claims, Engagement, KeyRing
from msys_track.tracking.server import Tracker, serve
from msys_track.tracking.settings import TrackerSettings

INJECTED_AT = 1_460_989_500
EXPIRES_AT = INJECTED_AT + 31_536_000
TARGET = "https://shop.test/sale?a=1&b="
# For what is the same under either loop.
UVLOOP = pytest.mark.parametrize("anyio_backend", ["uvloop"], indirect=True)
# For what breaks parts of the tracker in Python, which the core does not ask.
IN_PYTHON = pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)


class Harness:
    """A tracker and the two ends a test looks at: its socket and its hit log."""

    def __init__(self, tracker: Tracker, log: HitLog, folder: Path) -> None:
        self.tracker = tracker
        self.log = log
        self._folder = folder
        self._connections: list[asyncio.StreamWriter] = []

    async def get_pipelined(self, targets: Sequence[bytes]) -> list[bytes]:
        """The answers to GETs of these targets on one connection, which the last one ends."""
        requests = [b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n" for target in targets]
        return split_answers(await self.exchange(b"".join(requests)))

    async def exchange(self, sent: bytes) -> bytes:
        """Send bytes, say that no more will come, and read until the tracker closes."""
        reader, writer = await self.connect()
        writer.write(sent)
        writer.write_eof()
        answer = await reader.read()
        writer.close()
        return answer

    async def get(self, target: str, *header_lines: str, method: str = "GET") -> bytes:
        """One request on a connection of its own."""
        lines = [f"{method} {target} HTTP/1.1", "Host: click.test", "Connection: close"]
        head = "\r\n".join([*lines, *header_lines, "", ""])
        return await self.exchange(head.encode("latin-1"))

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a connection that ends with the test, if not before."""
        opened = await asyncio.open_connection("127.0.0.1", self.tracker.port, limit=2**20)
        self._connections.append(opened[1])
        return opened

    def hang_up(self) -> None:
        for connection in self._connections:
            connection.close()

    async def hits(self) -> list[dict[str, Any]]:
        """What is in the log once everything so far is written, in the order of arrival."""
        assert await asyncio.to_thread(self.log.flush, 30)
        reader = LogReader(self._folder / "hits" / "0")
        batches = iter(lambda: reader.read(max_lines=1_000), None)
        return [json.loads(line) for batch in batches for line in batch.lines]


def split_answers(received: bytes) -> list[bytes]:
    """Take answers apart by their Content-Length."""
    answers = []
    while received:
        head, blank, rest = received.partition(b"\r\n\r\n")
        length = int(head.partition(b"\r\nContent-Length: ")[2].partition(b"\r\n")[0])
        answers.append(head + blank + rest[:length])
        received = rest[length:]
    return answers


Start: TypeAlias = Callable[..., Awaitable[Harness]]


@pytest.fixture(params=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": request.param == "uvloop"}


@pytest.fixture(scope="session")
def keys() -> KeyRing:
    return KeyRing.temporary()


@pytest.fixture(scope="session")
def engagement() -> Engagement:
    return Engagement(
        message_id="000443ee14578172be22",
        recipient="Recipient@Example.com",
        injected_at=INJECTED_AT,
        expires_at=EXPIRES_AT,
        customer_id=1,
        transmission_id=65_832_150_921_904_138,
        campaign_id="Spring",
        metadata='{"customer":{"id":7},"vip":true}',
        tags=["male", "US"],
        open_tracking=True,
        click_tracking=True,
    )


@pytest.fixture(scope="session")
def path_to(keys: KeyRing, engagement: Engagement) -> Callable[[str], str]:
    """Seal a click that leads to a target."""
    return lambda target: (
        "/" + keys.seal(Claims(kind="click", engagement=engagement, target=target))
    )


@pytest.fixture(scope="session")
def click_path(path_to: Callable[[str], str]) -> str:
    return path_to(TARGET)


@pytest.fixture(scope="session")
def open_path(keys: KeyRing, engagement: Engagement) -> str:
    return "/" + keys.seal(Claims(kind="open", engagement=engagement))


@pytest.fixture
async def start(
    keys: KeyRing, tmp_path: Path, anyio_backend: tuple[str, dict[str, Any]]
) -> AsyncIterator[Start]:
    """Start trackers with settings of the test's; they end with it.

    On asyncio's own loop all is Python; on uvloop the compiled core answers what is plain.
    """
    harnesses: list[Harness] = []
    is_compiled = anyio_backend[1]["use_uvloop"]

    async def start_one(
        *,
        now: float = INJECTED_AT + 7,
        keys_by_host: Mapping[str, KeyRing] | None = None,
        limits: EventsSettings = EventsSettings(batch_seconds=0.001),  # noqa: B008 - frozen
        **settings: Any,
    ) -> Harness:
        folder = tmp_path / f"log{len(harnesses)}"
        log = open_hit_log(folder, limits) if is_compiled else PlainHitLog(folder / "hits", limits)
        tracker = await serve(
            TrackerSettings(**{"listen_port": 0, "store": Path("unused"), **settings}),
            keys,
            log,
            keys_by_host=keys_by_host,
            clock=lambda: now,
        )
        harnesses.append(Harness(tracker, log, folder))
        return harnesses[-1]

    yield start_one
    for harness in harnesses:
        harness.hang_up()
        await harness.tracker.close()
        harness.log.close(30)


@pytest.fixture
async def harness(start: Start) -> Harness:
    return await start()
