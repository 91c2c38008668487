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
from typing import Any

import pytest
from tests.sinks.store.events import AT, HOUR, batch, event_id, line
from tests.waiting import until

from msys_track.errors import SinkError
from msys_track.event_fields import NO_MESSAGE_ID
from msys_track.sinks.delivery import EventBatch
from msys_track.sinks.store.counting import Grouping, count_new
from msys_track.sinks.store.erasing import erase_in_store
from msys_track.sinks.store.reading import Filter, open_store
from msys_track.sinks.store.sink import SqliteSink

pytestmark = pytest.mark.anyio

LINES = tuple(line(message_id=f"{number:020x}") for number in range(1, 1_201))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.sqlite"


@contextmanager
def database(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


def read(path: Path, wanted: Filter = Filter()) -> list[bytes]:  # noqa: B008 - it is frozen
    with open_store(path) as store:
        return [event for page in store.pages(wanted) for _, event in page]


def read_counts(path: Path) -> list[tuple[object, ...]]:
    query = "SELECT campaign_id, hour, type, class, events FROM counts WHERE events"
    with database(path) as connection:
        return sorted(connection.execute(query).fetchall())


def read_uniques(path: Path) -> list[tuple[object, ...]]:
    query = (
        "SELECT hour, action, reader, messages, new_messages FROM uniques"
        " WHERE messages AND action <> 'confirmed'"
    )
    with database(path) as connection:
        return sorted(connection.execute(query).fetchall())


async def test_what_was_written_is_read_in_its_order_and_once(path: Path) -> None:
    for start, end in ((0, 3), (0, 700), (600, 1_200)):
        async with SqliteSink(path) as sink:
            await sink.write(batch(*LINES[start:end]))
    assert read(path) == list(LINES)
    assert read_counts(path) == [("Summer Sale", HOUR, "click", "human", 1_200)]
    assert read_uniques(path) == [(HOUR, "click", "people", 1_200, 1_200)]


async def test_a_reader_sees_events_while_the_sink_is_open(path: Path) -> None:
    async with SqliteSink(path) as sink:
        await sink.write(batch(*LINES[:1]))
        with open_store(path) as store:
            assert list(store.pages(Filter())) == [[(1, LINES[0])]]
            await sink.write(batch(*LINES[1:2]))
            assert list(store.pages(Filter(after=1))) == [[(2, LINES[1])]]


async def test_the_file_is_a_wal_of_our_own_that_its_owner_can_query(path: Path) -> None:
    async with SqliteSink(path) as sink:
        await sink.write(batch(LINES[0]))
        files = list(path.parent.iterdir())
        assert {file.name for file in files} >= {"events.sqlite", "events.sqlite-wal"}
        assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
        with database(path) as connection:
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
            assert connection.execute("PRAGMA user_version").fetchone() == (3,)
            assert connection.execute("PRAGMA application_id").fetchone() == (0x6D737973,)
            query = "SELECT event ->> '$.msys.track_event.target_link_url' FROM events"
            assert connection.execute(query).fetchall() == [("https://shop.test/",)]


@pytest.mark.parametrize(
    ("column", "index", "steps"),
    [
        ("rcpt_to", "events_recipient", "ANY(block) AND rcpt_to=?"),
        ("campaign_id", "events_campaign", "ANY(block) AND campaign_id=?"),
        ("at", "events_at", "at=?"),
        ("event_id", "events_id", "event_id=?"),
    ],
)
async def test_an_owner_s_query_finds_the_index(
    path: Path, column: str, index: str, steps: str
) -> None:
    async with SqliteSink(path):
        pass
    with database(path) as connection:
        query = f"EXPLAIN QUERY PLAN SELECT event FROM events WHERE {column} = 'a'"  # noqa: S608
        plan = connection.execute(query).fetchone()[3]
    assert plan == f"SEARCH events USING INDEX {index} ({steps})"


async def test_a_sequence_is_never_reused(path: Path) -> None:
    async with SqliteSink(path) as sink:
        await sink.write(batch(*LINES[:3]))
        with database(path) as connection:
            connection.execute("DELETE FROM events WHERE sequence > 1")
        await sink.write(batch(*LINES[3:5]))
    with database(path) as connection:
        found = connection.execute("SELECT sequence FROM events").fetchall()
    assert found == [(1,), (4,), (5,)]


async def test_a_line_that_is_no_event_known_here_is_kept_as_it_stands(path: Path) -> None:
    strange = (
        b'{"msys":{"gen_event":{"type":"generation_failure","event_id":"92356927693813856"}}}',
        b'{"msys":{"track_event":{"type":7,"timestamp":"soon"}}}',
        b'{"msys":{"track_event":[]}}',
        b'{"msys":{"track_event":{"type":"click","timestamp":"99999999999999999999"}}}',
        b'{"msys":{"track_event":{"type":"click","rcpt_to":["a@b.test"]}}}',
        b'{"msys":{"track_event":{"type":"click","target_link_url":{}}}}',
        b'{"msys":{"track_event":{"type":["click"],"campaign_id":1e400}}}',
        b'{"msys":{"track_event":{"type":null}}}',
        b'{"msys":{"track_event":{"type":"click","x_msys_track":{"class":null}}}}',
        b'{"msys":{}}x',
        b"no JSON",
        b"[1,2]",
        b'{"msys":{"track_event":{"type":"open","event_id":"%s"}}}' % (b"-" * 36),
        b'{"msys":{"track_event":{"type":"open","event_id":"%s"}}}' % (b"z" * 36),
    )
    async with SqliteSink(path) as sink:
        await sink.write(batch(*strange))
        await sink.write(batch(*strange))
    assert read(path) == list(strange)


async def test_an_erased_line_leaves_no_event(path: Path) -> None:
    async with SqliteSink(path) as sink:
        await sink.write(batch(LINES[0], b'{"msys":{}}' + b" " * 300, LINES[1]))
    assert read(path) == list(LINES[:2])


async def test_what_no_message_can_be_told_of_is_in_totals_only(path: Path) -> None:
    nobodys: dict[str, Any] = {
        "message_id": "0" * 20,
        "rcpt_to": None,
        "raw_rcpt_to": None,
        "class_": "unknown",
    }
    own = {"privacy": "aggregate"}
    async with SqliteSink(path) as sink:
        await sink.write(batch(line(own=own, **nobodys), line(own=own, **nobodys)))
        await sink.write(batch(line("open", own=own, **nobodys)))
        await sink.write(batch(line("list_unsubscribe", own=own, **nobodys)))
    assert sum(int(str(row[-1])) for row in read_counts(path)) == 4
    assert read_uniques(path) == []


async def test_a_message_counts_once_for_people_once_for_machines_and_once_in_all(
    path: Path,
) -> None:
    async with SqliteSink(path) as sink:
        await sink.write(batch(line("injection", class_=None)))
        await sink.write(
            batch(line("initial_open", class_="prefetch"), line("open", class_="proxy"))
        )
        await sink.write(batch(line("open", at=AT + 3600), line("click", class_="scanner")))
        await sink.write(batch(line(at=AT + 7200), line(at=AT + 7201), line(class_=None)))
    assert read_uniques(path) == [
        (HOUR, "click", "machines", 1, 1),
        (HOUR, "click", "unknown", 1, 0),
        (HOUR, "open", "machines", 1, 1),
        (HOUR, "open", "people", 1, 0),
        (HOUR, "sent", "unknown", 1, 1),
        (HOUR + 2, "click", "people", 1, 0),
    ]


async def test_a_later_verdict_costs_as_much_however_many_events_its_message_has(
    path: Path,
) -> None:
    steps = []
    async with SqliteSink(path) as sink:
        for count in (500, 5_000):
            lines = [line(class_="scanner") for _ in range(count)]
            clicked = line()
            verdict = line(
                "reclassified",
                class_=None,
                own={"class": "scanner", "reclassifies": event_id(clicked)},
            )
            await sink.write(batch(*lines, clicked, verdict))
            steps.append(count_steps_to_recount(path))
    assert steps[1] < 2 * steps[0]


def count_steps_to_recount(path: Path) -> int:
    """How many steps SQLite takes to count the newest event, a later verdict."""
    steps = []
    with database(path) as connection:
        ((newest,),) = connection.execute("SELECT max(sequence) FROM events").fetchall()
        connection.execute("BEGIN")
        connection.set_progress_handler(lambda: steps.append(1), 10)
        count_new(connection, newest, Grouping())
        connection.set_progress_handler(None, 0)
        connection.rollback()
    return len(steps)


async def test_a_later_verdict_moves_an_event_and_leaves_its_json(path: Path) -> None:
    first, second = line(), line(at=AT + 3600)
    verdict = line(
        "reclassified", class_=None, own={"class": "scanner", "reclassifies": event_id(first)}
    )
    async with SqliteSink(path) as sink:
        await sink.write(batch(first))
        await sink.write(batch(second, verdict))
        assert read(path) == [first, second, verdict]
        assert read(path, Filter(classes=("scanner",), types=("click",))) == [first]
        assert read_counts(path) == [
            ("Summer Sale", HOUR, "click", "scanner", 1),
            ("Summer Sale", HOUR, "reclassified", "scanner", 1),
            ("Summer Sale", HOUR + 1, "click", "human", 1),
        ]
        moved = [(HOUR, "click", "machines", 1, 1), (HOUR + 1, "click", "people", 1, 0)]
        assert read_uniques(path) == moved
        await sink.write(batch(verdict))
    assert read_uniques(path) == moved


async def test_a_later_verdict_on_mail_without_ids_changes_no_unique_counts(path: Path) -> None:
    clicks = [line(message_id=NO_MESSAGE_ID) for _ in range(3)]
    verdict = line(
        "reclassified", class_=None, own={"class": "scanner", "reclassifies": event_id(clicks[0])}
    )
    async with SqliteSink(path) as sink:
        await sink.write(batch(*clicks, verdict))
    assert read_counts(path) == [
        ("Summer Sale", HOUR, "click", "human", 2),
        ("Summer Sale", HOUR, "click", "scanner", 1),
        ("Summer Sale", HOUR, "reclassified", "scanner", 1),
    ]
    assert read_uniques(path) == []


@pytest.mark.parametrize(
    "own",
    [
        {"class": "scanner", "reclassifies": "0195f7a0-0000-7000-8000-000000000000"},
        {"class": 7, "reclassifies": 7},
        {},
    ],
    ids=["not-stored", "damaged", "empty"],
)
async def test_a_later_verdict_on_what_is_not_there_moves_nothing(
    path: Path, own: dict[str, Any]
) -> None:
    async with SqliteSink(path) as sink:
        await sink.write(batch(line(), line("reclassified", class_=None, own=own)))
    assert read_counts(path)[0] == ("Summer Sale", HOUR, "click", "human", 1)
    assert read_uniques(path) == [(HOUR, "click", "people", 1, 1)]


async def test_more_events_than_a_page_or_a_step_are_read_and_erased(path: Path) -> None:
    others = line(campaign_id="Winter Sale", rcpt_to="b@b.test")
    async with SqliteSink(path) as sink:
        await sink.write(batch(*LINES, others))
        assert read(path, Filter(campaign="Summer Sale")) == list(LINES)
        assert erase_in_store(path, "GRÜN@b.test") == len(LINES)
    assert read(path) == [others]


async def test_what_a_message_did_before_is_known(path: Path) -> None:
    own = {"target_link_position": {"part": "html", "number": 3}}
    sink = SqliteSink(path)
    with pytest.raises(SinkError, match="no such event store"):
        sink.has_seen("a", ["click"])
    async with sink:
        await sink.write(batch(line(message_id="a", own=own), line("open", message_id="b")))
        seen = [
            sink.has_seen("a", ["click", "amp_click"]),
            sink.has_seen("a", ["click"], "html:3"),
            sink.has_seen("b", ["open"]),
        ]
        unseen = [
            sink.has_seen("a", ["open"]),
            sink.has_seen("a", ["click"], "html:1"),
            sink.has_seen("c", ["click"]),
        ]
    assert (seen, unseen) == ([True] * 3, [False] * 3)


async def explain_refusal(path: Path) -> str:
    """What is said when an event is to be written there."""
    sink = SqliteSink(path)
    with pytest.raises(SinkError) as refused:
        await sink.write(batch(LINES[0]))
    await sink.close()
    return str(refused.value)


async def test_a_store_that_was_closed_is_one_whole_file_whoever_asked_it(path: Path) -> None:
    async with SqliteSink(path) as sink:
        await sink.write(batch(line(message_id="a", type_="click")))
        assert await asyncio.to_thread(sink.has_seen, "a", ["click"])
    assert [each.name for each in path.parent.iterdir()] == ["events.sqlite"]


async def test_a_place_that_is_no_store_is_named(tmp_path: Path) -> None:
    missing = await explain_refusal(tmp_path / "missing" / "events.sqlite")
    assert f"the folder {tmp_path / 'missing'} does not exist; make it" in missing
    assert "is a folder; give the event store a file name" in await explain_refusal(tmp_path)


async def test_a_file_of_another_kind_is_left_alone(path: Path) -> None:
    content = b"these are my holiday plans\n" * 100
    path.write_bytes(content)
    assert "not an SQLite file; move it away" in await explain_refusal(path)
    assert path.read_bytes() == content


async def test_a_store_of_another_program_or_another_release_is_left_alone(path: Path) -> None:
    with database(path) as connection:
        connection.execute("CREATE TABLE events (mine)")
    assert "another program's database" in await explain_refusal(path)
    path.unlink()
    async with SqliteSink(path):
        assert read(path) == []
    with database(path) as connection:
        connection.execute("PRAGMA user_version = 4")
    assert "schema version 4, this msys-track knows 3" in await explain_refusal(path)
    with database(path) as connection:
        connection.execute("PRAGMA user_version = 1")
    assert '"msys-track events import"' in await explain_refusal(path)


async def test_a_locked_store_is_an_error_and_then_takes_the_same_batch(path: Path) -> None:
    async with SqliteSink(path, busy_timeout_seconds=0.05) as sink:
        with database(path) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(SinkError, match="locked by another program"):
                await sink.write(batch(*LINES[:2]))
            other.execute("ROLLBACK")
        await sink.write(batch(*LINES[:2]))
    assert read(path) == list(LINES[:2])


async def test_waiting_for_a_lock_does_not_stop_the_event_loop(path: Path) -> None:
    async with SqliteSink(path, busy_timeout_seconds=60) as sink:
        with database(path) as other:
            other.execute("BEGIN IMMEDIATE")
            writing = asyncio.create_task(sink.write(batch(*LINES[:2])))
            await asyncio.sleep(0.1)
            assert not writing.done()
            other.execute("ROLLBACK")
        async with asyncio.timeout(30):
            await writing
    assert read(path) == list(LINES[:2])


async def test_what_was_written_is_copied_into_the_file_while_the_sink_is_open(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A log of 32 MiB would take a test too long.
    monkeypatch.setattr("msys_track.sinks.store.sink.CHECKPOINT_BYTES", 1 << 16)
    long = [line(rcpt_meta={"note": "x" * 100_000}) for _ in range(4)]
    async with SqliteSink(path) as sink:
        await sink.write(batch(long[0]))
        await until(lambda: count_in_file_alone(path) == 1)
        erase_in_store(path, "grün@b.test")  # it empties the write-ahead log too
        await sink.write(batch(LINES[0], first=2))
        await until(lambda: count_in_file_alone(path) == 1)
        await sink.write(batch(long[1], first=3))
        await until(lambda: count_in_file_alone(path) == 2)
        for first, each in enumerate(long[2:], start=4):
            await sink.write(batch(each, first=first))
    assert read(path) == [LINES[0], *long[1:]]


def count_in_file_alone(path: Path) -> int:
    """Count the events that stand in the file without its write-ahead log; -1: it is written."""
    try:
        with closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as connection:
            return int(connection.execute("SELECT count(*) FROM events").fetchone()[0])
    except sqlite3.Error:
        return -1


async def test_a_store_that_is_moved_away_during_a_write_gets_the_batch_again(path: Path) -> None:
    class MovingLines(tuple[bytes, ...]):
        __slots__ = ()

        def __iter__(self) -> Iterator[bytes]:
            path.rename(path.with_name("old.sqlite"))
            return super().__iter__()

    async with SqliteSink(path) as sink:
        with pytest.raises(SinkError, match="was moved away while events were written"):
            await sink.write(EventBatch(MovingLines(LINES[:2]), 1))
        await sink.write(batch(*LINES[:2]))
    assert read(path) == list(LINES[:2])


async def test_a_store_that_was_moved_away_is_made_anew(path: Path) -> None:
    async with SqliteSink(path) as sink:
        await sink.write(batch(*LINES[:2]))
        old = path.with_name("old.sqlite")
        path.rename(old)
        await sink.write(batch(LINES[2]))
        assert read(path) == [LINES[2]]
    assert old.exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_a_store_that_may_not_be_written_says_so(path: Path) -> None:
    async with SqliteSink(path):
        pass
    path.chmod(0o400)
    wanted = r"this user can't write it|can this user write"
    assert re.search(wanted, await explain_refusal(path))


def test_reading_a_store_that_is_not_there_says_who_makes_it(path: Path) -> None:
    with (
        pytest.raises(SinkError, match="no such event store; the tracker makes it"),
        open_store(path),
    ):
        pass
    assert not path.exists()


WRITER = """
import asyncio, sys
from pathlib import Path
from msys_track.sinks.delivery import EventBatch
from msys_track.sinks.store.sink import SqliteSink

async def main(path, name):
    async with SqliteSink(path) as sink:
        for batch in range(20):
            await sink.write(EventBatch(tuple(
                b'{"msys":{"track_event":{"type":"open","event_id":"%s-%d-%d"}}}'
                % (name.encode(), batch, number)
                for number in range(10)
            ), 1))

asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
"""


def test_processes_share_a_store_from_its_first_moment(path: Path) -> None:
    names = ["a", "b", "c", "d"]
    processes = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), name])  # noqa: S603
        for name in names
    ]
    assert [process.wait(50) for process in processes] == [0] * 4
    stored = [event_id(each) for each in read(path)]
    for name in names:
        own = [identifier for identifier in stored if identifier.startswith(name)]
        assert own == [f"{name}-{batch}-{number}" for batch in range(20) for number in range(10)]


def test_what_was_written_survives_the_death_of_the_process(path: Path) -> None:
    dying = WRITER.replace("asyncio.run", "import os\nasyncio.run").replace(
        "            ), 1))\n", "            ), 1))\n            if batch == 4: os._exit(9)\n"
    )
    done = subprocess.run([sys.executable, "-c", dying, str(path), "a"], check=False)  # noqa: S603
    assert done.returncode == 9
    assert len(read(path)) == 50
