"""What servers keep: whether somebody works on it, and whether it can be used."""

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
from tests.recording.conftest import write_hits
from tests.recording.hits import make_hit_line
from tests.sinks.store.events import AT, batch, line
from tests.spool.conftest import DOWN, FakeUpstream, SetClock, delivery

from msys_track.config.configuration import Configuration
from msys_track.config.load import load
from msys_track.keys.file import create
from msys_track.metrics import Counters
from msys_track.recording import state as recording
from msys_track.service.probing import files
from msys_track.service.probing.finding import Finding, State
from msys_track.sinks.store.sink import SqliteSink
from msys_track.spool.spool import Spool

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


async def test_hits_that_nobody_records_are_a_fault(
    read: Configuration, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_WAIT_SECONDS", 0)
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


def test_a_configuration_without_keys_has_none_to_look_at(tmp_path: Path) -> None:
    file = tmp_path / "report.toml"
    file.write_text('[report]\nstore = "events.sqlite"\n', encoding="utf-8")
    assert files.probe_keys(load(file)) == []


def test_a_proxy_alone_has_no_store(tmp_path: Path) -> None:
    create(tmp_path / "keys.toml")
    file = tmp_path / "proxy.toml"
    file.write_text('keys = "keys.toml"\n[proxy]\nupstream = "127.0.0.1:9"\n', encoding="utf-8")
    assert files.probe_store(load(file)) == ([], None)


def test_a_store_that_can_not_be_made_is_a_fault(read: Configuration, tmp_path: Path) -> None:
    (found,), newest = files.probe_store(with_store(read, tmp_path / "nowhere" / "events.sqlite"))
    assert (found.state, newest) == (State.FAULT, None)
    assert found.found == "is not there, and this user can't make it"


async def test_clicks_that_all_come_from_one_private_address_are_a_warning(
    read: Configuration,
) -> None:
    found = await probe_clicks(read, "10.0.0.7")
    assert states(found) == [State.OK, State.WARNING]
    assert found[1].found == "the newest 20 clicks and opens all come from 10.0.0.7"
    assert 'trusted_proxies = ["10.0.0.7"]' in found[1].advice


async def test_clicks_that_all_come_from_one_public_address_are_good(read: Configuration) -> None:
    assert states(await probe_clicks(read, "8.8.8.8")) == [State.OK]


async def probe_clicks(read: Configuration, address: str) -> list[Finding]:
    """Probe a store with clicks from one address."""
    assert read.report_store is not None
    lines = [line("click", at=AT + number, ip_address=address) for number in range(20)]
    async with SqliteSink(read.report_store) as sink:
        await sink.write(batch(*lines))
    return files.probe_store(read)[0]


async def test_many_hits_that_are_being_recorded_are_a_warning(
    read: Configuration, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_WAIT_SECONDS", 0)
    assert read.events_folder is not None
    write_hits(read.events_folder, [make_hit_line()])
    (segment,) = (read.events_folder / "hits" / "0").glob("*.ndjson")
    with segment.open("ab") as file:
        file.truncate(20 * 1024 * 1024)  # of which the disk has nothing
    noted = recording.StateFile(read.events_folder / "positions" / "recorder.json")
    noted.save(recording.State())
    (found,) = await files.probe_event_log(read)
    assert found.state is State.WARNING
    assert found.found == "20 MiB of it are no events yet"


@pytest.mark.parametrize(
    ("seconds", "state", "text"),
    [
        (60, State.OK, "1 copies wait for the upstream"),
        (7_200, State.WARNING, "1 copies wait for the upstream, the oldest for 2 h"),
    ],
)
async def test_mail_that_waits_for_long_is_a_warning(
    seconds: float, state: State, text: str, read: Configuration
) -> None:
    spool = await start_spool(read, SetClock(wall=time.time() - seconds))
    await spool.keep((), [delivery()], envelope_id="1", why="451 4.4.1 Down")
    await spool.close()
    (found,) = files.probe_spool(read)
    assert (found.state, found.found) == (state, text)


async def test_a_spool_in_which_nothing_waits_is_good(read: Configuration) -> None:
    await (await start_spool(read, SetClock())).close()
    (found,) = files.probe_spool(read)
    assert (found.state, found.found) == (State.OK, "nothing waits")


async def start_spool(read: Configuration, clock: SetClock) -> Spool:
    """Start a spool whose upstream takes nothing."""
    spool = Spool(
        read.spool, FakeUpstream(down=DOWN), Counters(), hostname="e.com", clock=clock.clock
    )
    await spool.start()
    return spool


async def test_a_name_that_no_system_can_have_is_a_fault(read: Configuration) -> None:
    long = read.path.parent / ("x" * 300)
    spoiled = replace(
        with_store(read, long),
        spool=replace(read.spool, path=long),
        events=replace(read.events, folder=long),
    )
    found = [
        *files.probe_store(spoiled)[0],
        *await files.probe_event_log(spoiled),
        *files.probe_spool(spoiled),
        *files.probe_disks(spoiled),
    ]
    assert states(found) == [State.FAULT] * 4


def with_store(read: Configuration, store: Path) -> Configuration:
    assert read.tracker is not None
    return replace(read, tracker=replace(read.tracker, store=store))
