"""What servers keep: whether somebody works on it, and whether it can be used."""

import os
import time
from pathlib import Path

import pytest
from tests.recording.conftest import write_hits
from tests.recording.hits import make_hit_line
from tests.sinks.store.events import AT, batch, line

from msys_track.config.configuration import Configuration
from msys_track.config.load import load
from msys_track.keys.file import create
from msys_track.service.probing import files
from msys_track.service.probing.finding import Finding, State
from msys_track.sinks.store.sink import SqliteSink

pytestmark = pytest.mark.anyio


@pytest.fixture
def read(tmp_path: Path) -> Configuration:
    create(tmp_path / "keys.toml")
    file = tmp_path / "msys-track.toml"
    file.write_text(
        'keys = "keys.toml"\n[tracker]\nstore = "events.sqlite"\n'
        '[proxy]\nupstream = "127.0.0.1:9"\n[spool]\nmode = "partial"\n',
        encoding="utf-8",
    )
    return load(file)


def states(found: list[Finding]) -> list[State]:
    return [each.state for each in found]


async def test_hits_that_nobody_records_are_a_fault(read: Configuration) -> None:
    assert read.events_folder is not None
    write_hits(read.events_folder, [make_hit_line() for _ in range(3)])
    (found,) = await files.probe_event_log(read)
    assert found.state is State.FAULT
    assert found.found.startswith("nobody makes events of it: ")


async def test_a_log_that_is_not_there_yet_is_no_fault(read: Configuration) -> None:
    assert await files.probe_event_log(read) == []


async def test_a_state_that_is_none_is_a_fault_that_says_what_to_do(read: Configuration) -> None:
    assert read.events_folder is not None
    positions = read.events_folder / "positions"
    positions.mkdir(parents=True)
    (positions / "recorder.json").write_text("{")
    (found,) = await files.probe_event_log(read)
    assert found.state is State.FAULT
    assert "not a recorder's state; delete it" in found.found


def test_a_store_that_is_none_is_a_fault(read: Configuration) -> None:
    assert read.report_store is not None
    read.report_store.write_bytes(b"no database " * 100)
    (found,), newest = files.probe_store(read)
    assert (found.state, newest) == (State.FAULT, None)
    assert "not an SQLite file" in found.found


async def test_mail_that_was_sent_is_in_a_store_too(read: Configuration) -> None:
    assert read.report_store is not None
    async with SqliteSink(read.report_store) as sink:
        await sink.write(batch(line(), line("injection", at=AT + 5, class_=None)))
    (found,), newest = files.probe_store(read)
    assert found.state is State.OK
    assert newest == AT + 5


def test_a_store_that_is_not_there_is_a_warning(read: Configuration) -> None:
    (found,), newest = files.probe_store(read)
    assert (found.state, newest) == (State.WARNING, None)
    assert read.report_store is not None
    assert not read.report_store.exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_can_not_be_written_is_a_fault(read: Configuration, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    (found,), _ = files.probe_store(read)
    tmp_path.chmod(0o700)
    assert found.state is State.FAULT


def test_keys_are_counted_and_not_shown(read: Configuration) -> None:
    (found,) = files.probe_keys(read)
    assert found.state is State.OK
    assert (
        found.found == f"1 key; new links have key 1 of {time.strftime('%Y-%m-%d', time.gmtime())}"
    )


def test_keys_that_others_may_read_are_a_fault(read: Configuration, tmp_path: Path) -> None:
    (tmp_path / "keys.toml").chmod(0o644)
    (found,) = files.probe_keys(read)
    assert found.state is State.FAULT
    assert "chmod 600" in found.found


def test_a_spool_that_is_none_is_a_fault(read: Configuration) -> None:
    assert states(files.probe_spool(read)) == [State.OK]
    read.spool.path.mkdir()
    assert states(files.probe_spool(read)) == [State.FAULT]


def test_a_disk_is_looked_at_once(read: Configuration) -> None:
    assert len(files.probe_disks(read)) == 1
