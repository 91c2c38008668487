"""The store behind the event log: whatever befalls it, each event is there in the end, once."""

# ruff: noqa: ASYNC240 - a test may wait for its own disk

import asyncio
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path

import pytest
from tests.sinks.store.events import AT, batch, event_id, line
from tests.small_disk import small_disk

from msys_track.databases import open_database, transaction
from msys_track.errors import SinkError
from msys_track.eventlog.position import PositionFile
from msys_track.eventlog.retention import remove_segments
from msys_track.eventlog.writer import LogWriter
from msys_track.metrics import Counters
from msys_track.sinks.delivery import Delivery
from msys_track.sinks.store.form import FORM
from msys_track.sinks.store.reading import Filter, open_store
from msys_track.sinks.store.sink import SqliteSink, insert, remove_step

pytestmark = pytest.mark.anyio

LINES = tuple(line(message_id=f"{number:020x}") for number in range(1, 601))
LAST = line(message_id="last")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.sqlite"


@pytest.fixture
def log(tmp_path: Path) -> Iterator[LogWriter]:
    with LogWriter(tmp_path / "log") as writer:
        yield writer


@asynccontextmanager
async def delivering(path: Path, folder: Path) -> AsyncIterator[Delivery]:
    """Deliver the log to the store; on leaving, wait until all is delivered."""
    sink = SqliteSink(path, busy_timeout_seconds=0.05)
    sink.max_events = 100
    delivery = Delivery(
        folder / "log", PositionFile(folder / "positions" / "store.json"), sink, Counters()
    )
    task = asyncio.create_task(delivery.run())
    yield delivery
    delivery.finish()
    async with asyncio.timeout(30):
        await task


async def until_failing(delivery: Delivery, wording: str) -> None:
    async with asyncio.timeout(30):
        while delivery.last_error is None:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
    assert wording in str(delivery.last_error)


async def until_stored(path: Path, count: int) -> None:
    async with asyncio.timeout(30):
        while not path.exists() or stored(path) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@contextmanager
def database(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


def stored(path: Path) -> int:
    try:
        with open_store(path) as store:
            return sum(map(len, store.pages(Filter())))
    except SinkError:
        return 0


def read(path: Path) -> list[bytes]:
    with open_store(path) as store:
        return [event for page in store.pages(Filter()) for _, event in page]


def read_counts(path: Path) -> tuple[int, int]:
    with database(path) as connection:
        (events,) = connection.execute("SELECT sum(events) FROM counts").fetchone()
        (messages,) = connection.execute(
            "SELECT sum(messages) FROM uniques WHERE action = 'click'"
        ).fetchone()
    return events, messages


async def test_a_store_that_is_locked_gets_everything_afterwards(
    tmp_path: Path, path: Path, log: LogWriter
) -> None:
    async with delivering(path, tmp_path) as delivery:
        log.append(LINES[:300])
        await until_stored(path, 300)
        with database(path) as other:
            other.execute("BEGIN IMMEDIATE")
            log.append(LINES[300:])
            await until_failing(delivery, "locked by another program")
            other.execute("ROLLBACK")
    assert read(path) == list(LINES)
    assert read_counts(path) == (600, 600)


async def test_a_store_that_was_deleted_is_filled_again_from_the_log(
    tmp_path: Path, path: Path, log: LogWriter
) -> None:
    async with delivering(path, tmp_path):
        log.append(LINES[:300])
        await until_stored(path, 300)
        for file in path.parent.glob(f"{path.name}*"):
            file.unlink()
        log.append(LINES[300:])
    assert read(path) == list(LINES)


async def test_a_store_that_was_deleted_meanwhile_is_filled_with_what_the_log_still_has(
    tmp_path: Path, path: Path
) -> None:
    with LogWriter(tmp_path / "log", segment_bytes=1_000) as log:
        for start in range(0, 600, 50):
            log.append(LINES[start : start + 50])
        async with delivering(path, tmp_path):
            pass
        for file in path.parent.glob(f"{path.name}*"):
            file.unlink()
        remove_segments(tmp_path / "log", 101, written_before=time.time() + 1)
        log.append([LAST])
        async with delivering(path, tmp_path):
            pass
    assert read(path) == [*LINES[100:], LAST]


async def test_a_damaged_store_is_named_until_it_is_moved_away(
    tmp_path: Path, path: Path, log: LogWriter
) -> None:
    path.write_bytes(b"SQLite format 3\0" + b"\xff" * 8_000)
    async with delivering(path, tmp_path) as delivery:
        log.append(LINES)
        await until_failing(delivery, "move it away")
        path.unlink()
    assert read(path) == list(LINES)


async def test_a_store_that_is_damaged_while_it_is_used_is_filled_again(
    tmp_path: Path, path: Path, log: LogWriter
) -> None:
    async with delivering(path, tmp_path) as delivery:
        log.append(LINES[:300])
        await until_stored(path, 300)
        with database(path) as other:
            other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with path.open("r+b") as file:
            file.write(b"\xff" * path.stat().st_size)
        log.append(LINES[300:])
        await until_failing(delivery, str(path))
        for each in path.parent.glob(f"{path.name}*"):
            each.unlink()
    assert read(path) == list(LINES)


async def test_a_full_disk_delays_and_loses_nothing(tmp_path: Path, log: LogWriter) -> None:
    with small_disk(tmp_path / "small", 8 << 20) as disk:
        ballast = disk / "ballast"
        ballast.write_bytes(b"x" * (7_500 << 10))
        path = disk / "events.sqlite"
        async with delivering(path, tmp_path) as delivery:
            log.append(LINES)
            await until_failing(delivery, "the disk is full; make room")
            ballast.unlink()
            assert stored(path) < 600
        assert read(path) == list(LINES)
        assert read_counts(path) == (600, 600)


async def test_a_clock_that_was_set_back_changes_no_order(path: Path) -> None:
    late, early = line(at=AT + 86_400), line(at=AT)
    async with SqliteSink(path) as sink:
        await sink.write(batch(late))
        await sink.write(batch(early))
    assert read(path) == [late, early]
    with open_store(path) as store:
        wanted = Filter(since=AT, until=AT + 1)
        assert [event for page in store.pages(wanted) for _, event in page] == [early]


async def test_what_was_erased_in_the_log_is_not_stored(
    tmp_path: Path, path: Path, log: LogWriter
) -> None:
    erased = b'{"msys":{}}'.ljust(300)
    log.append([LINES[0], erased, LINES[1], *[erased] * 250, LINES[2]])
    async with delivering(path, tmp_path) as delivery:
        pass
    assert read(path) == list(LINES[:3])
    assert delivery.position.sequence == 255


async def test_a_repeated_kill_leaves_each_event_once(
    tmp_path: Path, path: Path, log: LogWriter
) -> None:
    log.append(LINES)
    positions = PositionFile(tmp_path / "positions" / "store.json")
    for _ in range(5):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", DELIVER, tmp_path, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        await process.stdout.readline()
        process.kill()
        await process.wait()
    assert positions.load().sequence < 601
    async with delivering(path, tmp_path):
        pass
    assert sorted(map(event_id, read(path))) == sorted(map(event_id, LINES))
    assert read_counts(path) == (600, 600)


DELIVER = """
import asyncio, sys
from pathlib import Path
from msys_track.eventlog.position import PositionFile
from msys_track.metrics import Counters
from msys_track.sinks.delivery import Delivery
from msys_track.sinks.store.sink import SqliteSink

class Sink(SqliteSink):
    max_events = 20
    async def write(self, batch):
        await super().write(batch)
        print(batch.first_sequence, flush=True)
        await asyncio.sleep(0.001)

folder = Path(sys.argv[1])
sink = Sink(folder / "events.sqlite")
position = PositionFile(folder / "positions" / "store.json")
asyncio.run(Delivery(folder / "log", position, sink, Counters()).run())
"""


async def test_old_events_are_removed_a_few_at_a_time_and_their_counts_stay(path: Path) -> None:
    now = int(time.time())
    old = [line(at=now - 40 * 86_400, message_id=str(number)) for number in range(2_000)]
    new = line(at=now - 20 * 86_400)
    async with SqliteSink(path) as sink:
        await sink.write(batch(*old, new))
    async with SqliteSink(path, keep_days=30) as sink:
        async with asyncio.timeout(30):
            while stored(path) > 1:
                # Events are written meanwhile, each soon.
                begun = time.monotonic()
                await sink.write(batch(line(at=now - 35 * 86_400)))
                assert time.monotonic() - begun < 5
    assert read(path)[:1] == [new]
    with database(path) as connection:
        (events,) = connection.execute("SELECT sum(events) FROM counts").fetchone()
    assert events > 2_001


def test_removing_takes_small_steps(path: Path) -> None:
    lines = [line(at=AT, message_id=str(number)) for number in range(1_200)]
    with closing(open_database(path, FORM, 5)) as connection:
        with transaction(connection):
            insert(connection, lines, AT)
        assert [remove_step(connection, AT + 1) for _ in range(4)] == [500, 500, 200, 0]
