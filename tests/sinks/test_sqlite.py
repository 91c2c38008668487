"""The embedded store: durable, idempotent, shared, and clear about what is wrong with a file."""

# ruff: noqa: ASYNC240 - a test may wait for its own disk

import asyncio
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from msys_track.errors import SinkError
from msys_track.events import Event, EventType
from msys_track.sinks.sqlite import SqliteSink, events

pytestmark = pytest.mark.anyio


def event(number: int, name: str = "") -> Event:
    return Event(
        type=EventType.CLICK,
        event_id=f"{name}{number}",
        timestamp=number,
        message_id="000443ee14578172be22",
        raw_rcpt_to="grün@b.test",
        customer_id=1,
        injection_time=0,
        rcpt_meta={"a": ["'\"\x00", 1.5]},
        target_link_url="https://shop.test/",
    )


EVENTS = [event(number) for number in range(1_200)]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.sqlite"


@contextmanager
def database(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


async def test_what_was_written_is_read_in_its_order_and_once(path: Path) -> None:
    for start, end in ((0, 3), (0, 700), (600, 1_200)):
        async with SqliteSink(path) as sink:
            await sink.write(EVENTS[start:end])
    assert list(events(path)) == EVENTS


async def test_a_reader_sees_events_while_the_sink_is_open(path: Path) -> None:
    async with SqliteSink(path) as sink:
        await sink.write(EVENTS[:1])
        reading = events(path)
        assert next(reading) == EVENTS[0]
        await sink.write(EVENTS[1:2])
        assert next(reading) == EVENTS[1]


async def test_the_file_is_a_wal_of_our_own_that_its_owner_can_query(path: Path) -> None:
    async with SqliteSink(path) as sink:
        await sink.write(EVENTS[:1])
        files = list(path.parent.iterdir())
        assert {file.name for file in files} >= {"events.sqlite", "events.sqlite-wal"}
        assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
        with database(path) as connection:
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
            assert connection.execute("PRAGMA user_version").fetchone() == (1,)
            assert connection.execute("PRAGMA application_id").fetchone() == (0x6D737973,)
            query = "SELECT event ->> '$.msys.track_event.target_link_url' FROM events"
            assert connection.execute(query).fetchall() == [("https://shop.test/",)]


async def explain_refusal(path: Path) -> str:
    """What is said when an event is to be written there."""
    sink = SqliteSink(path)
    with pytest.raises(SinkError) as refused:
        await sink.write(EVENTS[:1])
    await sink.close()
    return str(refused.value)


async def test_a_place_that_is_no_store_is_named(tmp_path: Path) -> None:
    missing = await explain_refusal(tmp_path / "missing" / "events.sqlite")
    assert f"the folder {tmp_path / 'missing'} does not exist; make it" in missing
    assert "is a folder; give the event store a file name" in await explain_refusal(tmp_path)


async def test_a_file_of_another_kind_is_left_alone(path: Path) -> None:
    content = b"these are my holiday plans\n" * 100
    path.write_bytes(content)
    assert "not an SQLite file; move it away" in await explain_refusal(path)
    assert path.read_bytes() == content


async def test_a_store_of_another_program_or_a_later_release_is_left_alone(path: Path) -> None:
    with database(path) as connection:
        connection.execute("CREATE TABLE events (mine)")
    assert "another program's database" in await explain_refusal(path)
    with pytest.raises(SinkError, match="another program's database"):
        next(events(path))
    path.unlink()
    async with SqliteSink(path):
        assert list(events(path)) == []
    with database(path) as connection:
        connection.execute("PRAGMA user_version = 2")
    assert "schema version 2, this msys-track knows 1" in await explain_refusal(path)


async def test_a_locked_store_is_an_error_and_then_takes_the_same_batch(path: Path) -> None:
    async with SqliteSink(path, busy_timeout_seconds=0.05) as sink:
        with database(path) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(SinkError, match="locked by another program"):
                await sink.write(EVENTS[:2])
            other.execute("ROLLBACK")
        await sink.write(EVENTS[:2])
    assert list(events(path)) == EVENTS[:2]


async def test_waiting_for_a_lock_does_not_stop_the_event_loop(path: Path) -> None:
    async with SqliteSink(path, busy_timeout_seconds=60) as sink:
        with database(path) as other:
            other.execute("BEGIN IMMEDIATE")
            writing = asyncio.create_task(sink.write(EVENTS[:2]))
            await asyncio.sleep(0.1)
            assert not writing.done()
            other.execute("ROLLBACK")
        async with asyncio.timeout(30):
            await writing
    assert list(events(path)) == EVENTS[:2]


async def test_a_store_that_was_moved_away_is_made_anew(path: Path) -> None:
    async with SqliteSink(path) as sink:
        await sink.write(EVENTS[:2])
        old = path.with_name("old.sqlite")
        path.rename(old)
        await sink.write(EVENTS[2:3])
        assert list(events(path)) == EVENTS[2:3]
    assert old.exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_a_store_that_may_not_be_written_says_so(path: Path) -> None:
    async with SqliteSink(path):
        pass
    path.chmod(0o400)
    wanted = r"this user can't write it|can this user write"
    assert re.search(wanted, await explain_refusal(path))


def test_reading_a_store_that_is_not_there_says_who_makes_it(path: Path) -> None:
    with pytest.raises(SinkError, match="no such event store; the tracker makes it"):
        next(events(path))
    assert not path.exists()


async def test_a_row_that_is_no_event_is_named(path: Path) -> None:
    async with SqliteSink(path):
        pass
    with database(path) as connection:
        connection.execute("INSERT INTO events (event_id, event) VALUES ('a', '{}')")
    with pytest.raises(SinkError, match=r"row 1: not an event"):
        next(events(path))


WRITER = """
import asyncio, sys
from pathlib import Path
from msys_track.events import Event, EventType
from msys_track.sinks.sqlite import SqliteSink

async def main(path, name):
    async with SqliteSink(path) as sink:
        for batch in range(20):
            await sink.write([
                Event(type=EventType.OPEN, event_id=f"{name}-{batch}-{number}", timestamp=0,
                      message_id="0", raw_rcpt_to="a@b.test", customer_id=1, injection_time=0)
                for number in range(10)
            ])

asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
"""


def test_processes_share_a_store_from_its_first_moment(path: Path) -> None:
    names = ["a", "b", "c", "d"]
    processes = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), name])  # noqa: S603
        for name in names
    ]
    assert [process.wait(50) for process in processes] == [0] * 4
    stored = [one.event_id for one in events(path)]
    for name in names:
        own = [identifier for identifier in stored if identifier.startswith(name)]
        assert own == [f"{name}-{batch}-{number}" for batch in range(20) for number in range(10)]


def test_what_was_written_survives_the_death_of_the_process(path: Path) -> None:
    dying = WRITER.replace("asyncio.run", "import os\nasyncio.run").replace(
        "            ])\n", "            ])\n            if batch == 4: os._exit(9)\n"
    )
    done = subprocess.run([sys.executable, "-c", dying, str(path), "a"], check=False)  # noqa: S603
    assert done.returncode == 9
    assert len(list(events(path))) == 50
