"""Hits are written down in order, without the caller waiting, and none twice."""

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.eventlog.hit_logs import OPENERS, read_hits
from tests.eventlog.hit_writer import OLD_LINES
from tests.processes import PATIENCE_SECONDS, environment
from tests.small_disk import small_disk
from tests.thoroughness import examples
from tests.tokens import TOKENS, claims, claims_of
from tests.waiting import ask_until

from msys_track.errors import SinkError
from msys_track.event_fields import truncate_address
from msys_track.eventlog import hits
from msys_track.eventlog.hits import HitLog, HitLogWatch, PlainHitLog, open_hit_log
from msys_track.eventlog.lines import write_hit
from msys_track.eventlog.reader import LogReader
from msys_track.eventlog.settings import EventsSettings
from msys_track.keys.ring import Claims

CLAIMS = claims_of(next(each for each in TOKENS if "link_number" in each))
SETTINGS = EventsSettings()
ROOT = Path(__file__).parents[2]

Opener: TypeAlias = Callable[[Path, EventsSettings], HitLog]


def test_a_hit_says_what_its_token_says_and_who_came(open_log: Opener, tmp_path: Path) -> None:
    log = open_log(tmp_path, SETTINGS)
    assert log.put_hit(CLAIMS, 1_700_000_000_123, "192.0.2.7", "Mozilla/5.0", "de", '{"a":1}')
    assert log.flush(5)
    assert log.close(5) == 0
    (line,) = read_hits(tmp_path)
    hit = json.loads(line)
    assert hit["id"].startswith("018bcfe5-687b-7")
    assert hit["at"] == 1_700_000_000_123
    assert hit["kind"] == CLAIMS.kind
    assert hit["target"] == CLAIMS.target
    assert hit["recipient"] == CLAIMS.engagement.recipient
    assert (hit["address"], hit["agent"], hit["language"]) == ("192.0.2.7", "Mozilla/5.0", "de")
    assert hit["request"] == {"a": 1}


TEXTS = st.none() | st.text(st.characters(), max_size=80)
ADDRESSES = st.none() | st.ip_addresses().map(str) | st.just("fe80::1%eth0") | st.text(max_size=9)
AGES = st.integers(0, 2**48 - 1)


@settings(max_examples=examples(20), deadline=None)
@given(st.lists(st.tuples(claims(), AGES, ADDRESSES, TEXTS, TEXTS), min_size=1, max_size=20))
def test_the_core_writes_the_lines_that_python_writes(
    read: list[tuple[Claims, int, str | None, str | None, str | None]],
) -> None:
    with TemporaryDirectory() as folder:
        log = open_hit_log(Path(folder), SETTINGS)
        for hit in read:
            assert log.put_hit(*hit, '{"suffix":"\\""}')
        assert log.close(30) == 0
        lines = read_hits(Path(folder))
    for line, (said, at, address, agent, language) in zip(lines, read, strict=True):
        wanted = write_hit(said, at, address, agent, language, '{"suffix":"\\""}')
        assert without_id(line) == without_id(wanted)
        assert json.loads(line)["id"][:14] == json.loads(wanted)["id"][:14]


def without_id(line: bytes) -> bytes:
    start = b'{"id":"'
    assert line.startswith(start)
    return line[len(start) + 36 :]


def test_ids_are_of_version_7_and_unique(open_log: Opener, tmp_path: Path) -> None:
    log = open_log(tmp_path, SETTINGS)
    for _ in range(2_000):
        log.put_hit(CLAIMS, 0)
    assert log.close(30) == 0
    ids = {json.loads(line)["id"] for line in read_hits(tmp_path)}
    assert len(ids) == 2_000
    assert {(each[14], each[19] in "89ab") for each in ids} == {("7", True)}
    # Each of the 74 random bits is now this, now that.
    values = [int(each.replace("-", ""), 16) for each in ids]
    varying = 0
    for value in values:
        varying |= value ^ values[0]
    assert varying == 0x0FFF << 64 | 0x3FFF_FFFF_FFFF_FFFF


def test_each_process_has_a_log_of_its_own(open_log: Opener, tmp_path: Path) -> None:
    logs = [open_log(tmp_path, SETTINGS) for _ in range(3)]
    for number, log in enumerate(logs):
        log.put_line(b'{"msys":{"n":%d}}' % number)
        log.close(5)
    for number in range(3):
        assert read_hits(tmp_path, number) == [b'{"msys":{"n":%d}}' % number]


def test_a_closed_log_is_free_for_the_next_process(open_log: Opener, tmp_path: Path) -> None:
    for number in range(3):
        log = open_log(tmp_path, SETTINGS)
        log.put_line(b'{"n":%d}' % number)
        assert log.close(5) == 0
    assert read_hits(tmp_path) == [b'{"n":0}', b'{"n":1}', b'{"n":2}']


def test_what_does_not_fit_into_memory_is_dropped_and_counted(
    open_log: Opener, tmp_path: Path
) -> None:
    log = open_log(tmp_path, EventsSettings(max_queued=2, batch_seconds=60))
    assert [log.put_line(b"{}") for _ in range(3)] == [True, True, False]
    figures = log.figures()
    assert (figures["accepted"], figures["dropped"], figures["waiting"]) == (2, 1, 2)
    assert log.close(5) == 0
    assert not log.put_line(b"{}")
    figures = log.figures()
    assert (figures["written"], figures["dropped"], figures["waiting"]) == (2, 2, 0)


def test_many_lines_do_not_wait_for_the_end_of_their_time(
    open_log: Opener, tmp_path: Path
) -> None:
    log = open_log(tmp_path, EventsSettings(batch_seconds=600))
    for _ in range(20_000):
        log.put_line(b"{}")
    ends = time.monotonic() + PATIENCE_SECONDS
    while log.figures()["written"] < 8_192:
        assert time.monotonic() < ends
        time.sleep(0.01)
    assert log.close(30) == 0
    assert len(read_hits(tmp_path)) == 20_000


@pytest.mark.parametrize("line", [b"", b'{\n"n":1}'])
def test_what_is_not_one_line_is_refused(open_log: Opener, tmp_path: Path, line: bytes) -> None:
    log = open_log(tmp_path, SETTINGS)
    with pytest.raises(ValueError, match="no line end in it"):
        log.put_line(line)
    log.close(5)


def test_a_folder_that_cannot_be_used_is_said(open_log: Opener, tmp_path: Path) -> None:
    (tmp_path / "hits").write_text("")
    with pytest.raises(SinkError, match=r"hits.*can't be written: (File exists|Not a directory)"):
        open_log(tmp_path, SETTINGS)


def test_a_torn_line_is_dropped_and_its_sequence_used(open_log: Opener, tmp_path: Path) -> None:
    log = open_log(tmp_path, SETTINGS)
    log.put_line(b"one")
    log.close(5)
    (segment,) = (tmp_path / "hits" / "0").glob("*.ndjson")
    for torn in (b"tw", b"\0\0\0\0\nthree\n"):
        with segment.open("ab") as file:
            file.write(torn)
        open_log(tmp_path, SETTINGS).close(5)
        assert segment.read_bytes() == b"one\n"


def test_a_clock_that_is_set_back_changes_no_order(open_log: Opener, tmp_path: Path) -> None:
    log = open_log(tmp_path, SETTINGS)
    for at in (2_000_000_000_000, 1_000_000_000_000, 0):
        log.put_hit(CLAIMS, at)
    assert log.close(5) == 0
    lines = [json.loads(line) for line in read_hits(tmp_path)]
    assert [line["at"] for line in lines] == [2_000_000_000_000, 1_000_000_000_000, 0]


# Faults


def test_a_folder_deleted_while_it_is_written_is_made_again(
    open_log: Opener, tmp_path: Path
) -> None:
    log = open_log(tmp_path, SETTINGS)
    reader = LogReader(tmp_path / "hits" / "0")
    log.put_line(b"before")
    assert log.flush(5)
    batch = reader.read()
    assert batch is not None
    shutil.rmtree(tmp_path / "hits")
    log.put_line(b"after")
    assert log.flush(5)
    # The sequence goes on, so that a reader does too.
    batch = reader.read()
    assert batch is not None
    assert (batch.lines, batch.first_sequence) == ((b"after",), 2)
    log.close(5)
    reader.close()


def test_a_segment_deleted_while_it_is_written_is_made_again(
    open_log: Opener, tmp_path: Path
) -> None:
    log = open_log(tmp_path, SETTINGS)
    log.put_line(b"before")
    assert log.flush(5)
    (segment,) = (tmp_path / "hits" / "0").glob("*.ndjson")
    segment.unlink()
    log.put_line(b"after")
    assert log.close(5) == 0
    (segment,) = (tmp_path / "hits" / "0").glob("*.ndjson")
    assert (segment.name, segment.read_bytes()) == (f"{2:020}.ndjson", b"after\n")


def test_hits_after_a_day_stand_in_another_segment_so_that_the_old_ones_can_go(
    open_log: Opener, tmp_path: Path
) -> None:
    day_ago = time.time() - 86_400
    for line, written_at in ((b"first", day_ago + 60), (b"second", day_ago - 1), (b"third", None)):
        log = open_log(tmp_path, SETTINGS)
        log.put_line(line)
        assert log.close(5) == 0
        *_, newest = sorted((tmp_path / "hits" / "0").glob("*.ndjson"))
        if written_at is not None:
            os.utime(newest, (written_at, written_at))
    segments = sorted((tmp_path / "hits" / "0").glob("*.ndjson"))
    assert [each.read_bytes() for each in segments] == [b"first\nsecond\n", b"third\n"]
    assert read_hits(tmp_path) == [b"first", b"second", b"third"]


def test_a_deleted_log_that_another_process_has_taken_is_left_to_it(
    open_log: Opener, tmp_path: Path
) -> None:
    log = open_log(tmp_path, SETTINGS)
    log.put_line(b"before")
    assert log.flush(5)
    shutil.rmtree(tmp_path / "hits")
    other = open_log(tmp_path, SETTINGS)
    log.put_line(b"ours")
    other.put_line(b"theirs")
    assert log.close(5) == other.close(5) == 0
    assert read_hits(tmp_path, 0) == [b"theirs"]
    assert read_hits(tmp_path, 1) == [b"ours"]


def test_no_process_gets_a_log_where_there_are_too_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hits, "_MAX_WRITERS", 2)  # that of the core is compiled in
    logs = [PlainHitLog(tmp_path, SETTINGS) for _ in range(2)]
    with pytest.raises(SinkError, match="2 processes write hits there; end some"):
        PlainHitLog(tmp_path, SETTINGS)
    assert [log.close(5) for log in logs] == [0, 0]


def test_without_the_core_hits_are_written_in_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hits, "_CoreHitLog", None)
    log = open_hit_log(tmp_path, SETTINGS)
    assert isinstance(log, PlainHitLog)
    assert log.put_line(b"one")
    assert log.close(5) == 0
    assert read_hits(tmp_path) == [b"one"]


def test_a_full_disk_delays_hits_and_loses_what_memory_cannot_hold(
    open_log: Opener, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, hits.__name__)
    lines = [b'{"n":%d,"x":"%s"}' % (number, b"x" * 1_000) for number in range(1_200)]
    with small_disk(tmp_path / "disk", 2 << 20) as disk:
        filler = disk / "filler"
        filler.write_bytes(b"x" * (1_800 << 10))
        log = open_log(disk, EventsSettings(max_queued=700, batch_seconds=0.01))
        watch, reader = HitLogWatch(log), LogReader(disk / "hits" / "0")
        taken = [line for line in lines[:400] if log.put_line(line)]
        ask_until(lambda: log.figures()["last_error"] is not None)
        watch.look()
        figures = log.figures()
        assert "No space left on device" in figures["last_error"]
        assert figures["failures"] >= 1
        read = read_on(reader)
        taken += [line for line in lines[400:] if log.put_line(line)]
        watch.look()
        dropped = log.figures()["dropped"]
        assert dropped == len(lines) - len(taken) > 0
        assert not log.flush(0.2)
        read += read_on(reader)
        filler.unlink()
        assert log.flush(PATIENCE_SECONDS)
        watch.look()
        assert log.figures()["last_error"] is None
        assert log.close(5) == 0
        assert read + read_on(reader) == taken == read_hits(disk)
        reader.close()
    said = [record.message.split(" ") for record in caplog.records]
    assert [words[0] for words in said if words[0].startswith("hits.")] == [
        "hits.not_written", "hits.dropped", "hits.written_again",
    ]  # fmt: skip


def test_closing_over_a_full_disk_ends_in_time_and_says_what_was_lost(
    open_log: Opener, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", 64 << 10) as disk:
        log = open_log(disk, EventsSettings(batch_seconds=0.01))
        for _ in range(200):
            assert log.put_line(b"x" * 1_000)
        ask_until(lambda: log.figures()["last_error"] is not None)
        started = time.monotonic()
        lost = log.close(0.5)
        assert time.monotonic() - started < 0.5 + PATIENCE_SECONDS
        assert lost == 200 - len(read_hits(disk)) > 0


def test_a_kill_loses_no_line_older_than_a_second(opener: str, tmp_path: Path) -> None:
    with hit_writer(tmp_path, opener, 100_000, 1.1) as (process, said):
        assert said.readline() == b"old\n"
        assert said.readline() == b"put\n"
        process.send_signal(signal.SIGKILL)
    killed = read_hits(tmp_path)
    assert killed == [b'{"n":%d}' % number for number in range(len(killed))]
    assert len(killed) >= OLD_LINES
    log = OPENERS[opener](tmp_path, SETTINGS)
    log.put_line(b"next")
    assert log.close(5) == 0
    assert read_hits(tmp_path) == [*killed, b"next"]


def test_two_processes_on_one_folder_write_a_log_each(opener: str, tmp_path: Path) -> None:
    with (
        hit_writer(tmp_path, opener, 3_000, 0) as (one, first),
        hit_writer(tmp_path, opener, 3_000, 0) as (two, second),
    ):
        for said in (first, second):
            assert (said.readline(), said.readline()) == (b"old\n", b"put\n")
        ask_until(lambda: len(read_hits(tmp_path, 0)) == len(read_hits(tmp_path, 1)) == 3_000)
        for process in (one, two):
            process.kill()
    lines = Counter(read_hits(tmp_path, 0) + read_hits(tmp_path, 1))
    assert lines == {b'{"n":%d}' % number: 2 for number in range(3_000)}


@contextmanager
def hit_writer(
    folder: Path, opener: str, count: int, seconds: float
) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    """Start `hit_writer.py`; it is killed at the end."""
    module = "tests.eventlog.hit_writer"
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", module, str(folder), opener, str(count), str(seconds)],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env=environment(),
    )
    assert process.stdout is not None
    try:
        with process.stdout:
            yield process, process.stdout
    finally:
        process.kill()
        process.wait()


def read_on(reader: LogReader) -> list[bytes]:
    lines = list[bytes]()
    while batch := reader.read(max_lines=7):
        lines += batch.lines
    return lines


# Addresses


def test_an_address_is_cut_to_its_network() -> None:
    assert truncate_address("192.0.2.77") == "192.0.2.0"
    assert truncate_address("2001:db8:1:2::3") == "2001:db8:1::"
    assert truncate_address("unknown") is None
    assert truncate_address(None) is None
    assert truncate_address("fe80::1%eth0") is None


@given(st.ip_addresses())
def test_a_cut_address_is_one_of_the_same_kind(address: object) -> None:
    cut = truncate_address(str(address))
    assert cut is not None
    assert ip_address(cut).version == ip_address(str(address)).version
