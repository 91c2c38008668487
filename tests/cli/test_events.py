"""`msys-track events`: a store's events as lines, for pipes and while trackers go on writing."""

import asyncio
import json
from pathlib import Path

import pytest
from tests.processes import Run, shell

from msys_track.events import Event, EventType
from msys_track.sinks.sqlite import SqliteSink


def event(number: int) -> Event:
    return Event(
        type=EventType.CLICK,
        event_id=str(number),
        timestamp=1_700_000_000 + number,
        message_id="000443ee14578172be22",
        raw_rcpt_to="Grün@b.test",
        customer_id=1,
        injection_time=1_700_000_000,
        rcpt_meta={"name": "Jö\n\u2028"},
        target_link_url="https://shop.test/?ü",
    )


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with more events than are read at a time."""
    file = tmp_path / "events.sqlite"

    async def fill() -> None:
        async with SqliteSink(file) as sink:
            await sink.write([event(number) for number in range(1_200)])

    asyncio.run(fill())
    return file


def test_each_event_is_one_line_in_the_order_it_came(run: Run, store: Path) -> None:
    ended = run("events", "--store", store, env={"PYTHONIOENCODING": "ascii"})
    assert (ended.code, ended.errors) == (0, "")
    lines = ended.output.decode("utf-8").split("\n")
    assert [json.loads(line) for line in lines[:-1]] == [
        json.loads(event(number).as_json()) for number in range(1_200)
    ]
    assert lines[-1] == ""


def test_the_environment_names_the_store_too(run: Run, store: Path) -> None:
    ended = run("events", env={"MSYS_TRACK_STORE": store.name})
    assert ended.output.count(b"\n") == 1_200


def test_two_readers_and_a_writer_use_one_store_together(run: Run, store: Path) -> None:
    async def write_while_they_read() -> list[int]:
        async with SqliteSink(store) as sink:
            readers = [asyncio.to_thread(run, "events", "--store", store) for _ in range(2)]
            tasks = [asyncio.create_task(reader) for reader in readers]
            number = 1_200
            while not all(task.done() for task in tasks):
                await sink.write([event(number)])
                number += 1
                await asyncio.sleep(0.01)
            return [task.result().output.count(b"\n") for task in tasks]

    assert all(count >= 1_200 for count in asyncio.run(write_while_they_read()))
    assert run("events", "--store", store).output.count(b"\n") > 1_200


def test_a_reader_that_has_seen_enough_is_no_fault_of_the_store(
    tmp_path: Path, store: Path
) -> None:
    ended = shell(tmp_path, f"msys-track events --store {store} | head -n 1")
    assert (ended.code, ended.output.count(b"\n")) == (0, 1)
    assert ended.errors in (
        "",
        "msys-track: standard output was closed before everything was written\n",
    )


@pytest.mark.parametrize(
    ("content", "wording"),
    [
        (None, "no such event store; the tracker makes it when it starts"),
        (b"", "another program's database; give the event store another place"),
        (b"no database at all " * 100, "not an SQLite file"),
        (b"SQLite format 3\0" + b"\xff" * 1_000, ""),
    ],
)
def test_what_is_no_store_is_told(
    run: Run, tmp_path: Path, content: bytes | None, wording: str
) -> None:
    file = tmp_path / "file"
    if content is not None:
        file.write_bytes(content)
    ended = run("events", "--store", file)
    assert (ended.code, ended.output) == (1, b"")
    assert ended.errors.startswith(f"msys-track: {file}: ")
    assert wording in ended.errors
    assert ended.errors.count("\n") == 1


def test_a_missing_folder_and_a_folder_are_told(run: Run, tmp_path: Path) -> None:
    ended = run("events", "--store", tmp_path / "no" / "events.sqlite")
    assert (ended.code, ended.output) == (1, b"")
    assert "no such event store" in ended.errors
    ended = run("events", "--store", tmp_path)
    assert (ended.code, ended.output) == (2, b"")
    assert "is a directory" in ended.errors
