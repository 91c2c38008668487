"""Events as lines of a file: on disk, once each, rotated, and whatever becomes of the file."""

# ruff: noqa: ASYNC240 - a test may wait for its own disk

import gzip
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.sinks.store.events import batch, line
from tests.small_disk import small_disk

from msys_track.errors import SinkError
from msys_track.sinks.file import FileSettings, FileSink, list_finished

pytestmark = pytest.mark.anyio

LINES = tuple(line(message_id=f"{number:020x}") for number in range(30))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.ndjson"


def read(path: Path) -> list[bytes]:
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return data.splitlines()


async def write(settings: FileSettings, *batches: tuple[bytes, ...]) -> None:
    sink = FileSink("day", settings)
    await sink.open()
    for lines in batches:
        await sink.write(batch(*lines))
    await sink.close()


async def test_each_event_is_a_line_that_its_owner_can_read(path: Path) -> None:
    await write(FileSettings(path=path), LINES[:10], LINES[10:20])
    await write(FileSettings(path=path), LINES[20:])
    assert read(path) == list(LINES)
    assert path.stat().st_mode & 0o777 == 0o600


async def test_a_batch_that_comes_again_is_written_once(path: Path) -> None:
    await write(FileSettings(path=path), LINES[:10], LINES[:10], LINES[5:15])
    await write(FileSettings(path=path), LINES[10:20], LINES[15:])
    assert read(path) == list(LINES)


async def test_a_line_that_a_crash_cut_off_is_written_whole(path: Path) -> None:
    path.write_bytes(LINES[0] + b"\n" + LINES[1][:50])
    await write(FileSettings(path=path), LINES[:2])
    assert read(path) == list(LINES[:2])


async def test_a_new_file_is_begun_at_a_size_and_the_old_one_is_compressed(path: Path) -> None:
    settings = FileSettings(path=path, rotate_bytes=len(LINES[0]), gzip=True)
    await write(settings, *((each,) for each in LINES[:4]))
    finished = list_finished(path)
    assert [each.suffix for each in finished] == [".gz"] * 3
    assert [row for each in (*finished, path) for row in read(each)] == list(LINES[:4])


async def test_a_new_file_is_begun_with_a_new_day(path: Path) -> None:
    await write(FileSettings(path=path), LINES[:1])
    yesterday = path.stat().st_mtime - 86_400
    os.utime(path, (yesterday, yesterday))
    await write(FileSettings(path=path), LINES[1:2])
    (finished,) = list_finished(path)
    assert (read(finished), read(path)) == ([LINES[0]], [LINES[1]])


async def test_only_so_many_finished_files_are_kept(path: Path) -> None:
    settings = FileSettings(path=path, rotate_bytes=1, keep_files=2)
    await write(settings, *((each,) for each in LINES[:6]))
    assert [read(each) for each in list_finished(path)] == [[LINES[3]], [LINES[4]]]


async def test_what_was_not_compressed_before_a_crash_is_compressed_later(path: Path) -> None:
    old = path.with_name("events-20261128T000000Z.ndjson")
    old.write_bytes(LINES[0] + b"\n")
    old.with_name(f"{old.name}.gz.new").write_bytes(b"half")
    await write(FileSettings(path=path, gzip=True))
    (finished,) = list_finished(path)
    assert read(finished) == [LINES[0]]
    assert sorted(each.name for each in path.parent.iterdir()) == [
        "events-20261128T000000Z.ndjson.gz",
        "events.ndjson",
    ]


async def test_a_file_that_was_moved_away_is_begun_anew(path: Path) -> None:
    sink = FileSink("day", FileSettings(path=path))
    await sink.open()
    await sink.write(batch(LINES[0]))
    path.rename(path.with_name("moved"))
    await sink.write(batch(LINES[1]))
    await sink.close()
    assert read(path) == [LINES[1]]


async def test_a_second_writer_is_refused(path: Path) -> None:
    sink, other = (FileSink(name, FileSettings(path=path)) for name in ("day", "other"))
    await sink.open()
    with pytest.raises(SinkError, match="another sink writes it"):
        await other.open()
    await sink.close()
    await other.open()
    await other.close()


async def test_a_place_that_is_no_file_is_named(tmp_path: Path) -> None:
    for path, wording in (
        (tmp_path / "missing" / "events", "does not exist; make it"),
        (tmp_path, "can't be written: "),
    ):
        sink = FileSink("day", FileSettings(path=path))
        with pytest.raises(SinkError, match=wording):
            await sink.open()
        await sink.close()


def test_standard_output_has_the_lines_too() -> None:
    script = """
import asyncio
from msys_track.sinks.delivery import EventBatch
from msys_track.sinks.file import FileSettings, FileSink

async def main():
    sink = FileSink("out", FileSettings())
    await sink.open()
    await sink.write(EventBatch((b"{}", b"{1}"), 1))
    await sink.write(EventBatch((b"{1}", b"{2}"), 2))
    await sink.close()

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)  # noqa: S603
    assert done.stdout == b"{}\n{1}\n{2}\n"


async def test_standard_output_that_is_closed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)  # as Python has it then
    sink = FileSink("out", FileSettings())
    with pytest.raises(SinkError, match="standard output is closed: open it, or give the file"):
        await sink.open()
    await sink.close()


async def test_a_full_disk_delays_and_leaves_no_half_line(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", 64 << 10) as disk:
        ballast = disk / "ballast"
        ballast.write_bytes(b"x" * (50 << 10))
        path = disk / "events.ndjson"
        sink = FileSink("day", FileSettings(path=path))
        await sink.open()
        await sink.write(batch(*LINES[:5]))
        with pytest.raises(SinkError, match="No space left on device"):
            await sink.write(batch(*LINES * 2))
        assert read(path) == list(LINES[:5])
        ballast.unlink()
        await sink.write(batch(*LINES))
        await sink.close()
        assert read(path) == list(LINES)
