"""A log that is written and read at once: each line once, in order, durable when it is told."""

import os
import shutil
import time
from pathlib import Path

import pytest
from tests.small_disk import small_disk

from msys_track.errors import SinkError
from msys_track.eventlog import reader as reader_room
from msys_track.eventlog.position import Position, PositionFile
from msys_track.eventlog.reader import LinesGoneError, LogReader
from msys_track.eventlog.retention import remove_segments
from msys_track.eventlog.segments import list_segments, read_end, segment_path
from msys_track.eventlog.writer import LogLockedError, LogWriter


def read_all(folder: Path, position: Position | None = None, step: int = 3) -> list[bytes]:
    reader, lines = LogReader(folder, position), list[bytes]()
    while batch := reader.read(max_lines=step):
        assert batch.first_sequence == len(lines) + (position.sequence if position else 1)
        lines += batch.lines
    reader.close()
    return lines


def test_lines_come_back_in_order_over_many_segments(tmp_path: Path) -> None:
    wanted = [b'{"n":%d}' % number for number in range(100)]
    with LogWriter(tmp_path, segment_bytes=64) as writer:
        for start in range(0, 100, 7):
            assert writer.append(wanted[start : start + 7]) == start + 1
    assert len(list_segments(tmp_path)) > 5
    assert read_all(tmp_path) == wanted


def test_the_folders_of_a_log_are_their_owner_s_alone(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "events.sqlite.d"
    PositionFile(folder / "positions" / "store.json").save(Position())
    with LogWriter(folder / "events", segment_bytes=64):
        pass
    made = [folder.parent, folder, folder / "positions", folder / "events"]
    assert [each.stat().st_mode & 0o777 for each in made] == [0o700] * 4


def test_a_folder_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o750)
    with LogWriter(tmp_path / "events", segment_bytes=64):
        assert tmp_path.stat().st_mode & 0o777 == 0o750


def test_a_reader_follows_a_writer(tmp_path: Path) -> None:
    reader = LogReader(tmp_path)
    assert reader.read() is None
    with LogWriter(tmp_path, segment_bytes=16) as writer:
        for number in range(20):
            writer.append([b'{"n":%d}' % number])
            batch = reader.read()
            assert batch is not None
            assert batch.lines == (b'{"n":%d}' % number,)
            assert reader.read() is None
    reader.close()


def test_a_line_that_a_crash_cut_off_is_dropped_and_its_sequence_used(tmp_path: Path) -> None:
    with LogWriter(tmp_path) as writer:
        writer.append([b"one", b"two"])
    with segment_path(tmp_path, 1).open("ab") as file:
        file.write(b"thr")
    assert read_all(tmp_path) == [b"one", b"two"]
    with LogWriter(tmp_path) as writer:
        assert writer.next_sequence == 3
        writer.append([b"four"])
    assert read_all(tmp_path) == [b"one", b"two", b"four"]


def test_a_second_writer_is_told_so(tmp_path: Path) -> None:
    with LogWriter(tmp_path), pytest.raises(LogLockedError, match="another process"):
        LogWriter(tmp_path)


def test_retention_keeps_the_sequence(tmp_path: Path) -> None:
    with LogWriter(tmp_path, segment_bytes=4) as writer:
        for line in (b"one", b"two", b"three"):
            writer.append([line])
    assert remove_segments(tmp_path, 4, written_before=2e10) == 2
    with LogWriter(tmp_path, segment_bytes=4) as writer:
        assert writer.next_sequence == 4
    with pytest.raises(LinesGoneError, match="line 1 is gone"):
        LogReader(tmp_path, Position(1, 0, 1)).read()
    assert read_on(LogReader(tmp_path, Position(2, 3, 3))) == [b"three"]


EVENT = b'{"msys":{"track_event":{"type":"click","timestamp":"%d"}}}'


def test_a_segment_that_was_begun_long_ago_is_followed_by_a_new_one(tmp_path: Path) -> None:
    with LogWriter(tmp_path) as writer:
        writer.begin_segment(begun_before=2e10)
        assert list_segments(tmp_path) == [1]  # it is empty
        writer.append([EVENT % 1_000])
        writer.begin_segment(begun_before=time.time() - 60)
        assert list_segments(tmp_path) == [1]
        writer.begin_segment(begun_before=time.time() + 60)
        writer.begin_segment(begun_before=time.time() + 60)
        assert list_segments(tmp_path) == [1, 2]
        assert read_all(tmp_path) == [EVENT % 1_000]
        writer.append([b"two"])
    assert read_all(tmp_path) == [EVENT % 1_000, b"two"]


def test_a_writer_that_goes_on_knows_how_old_the_first_event_is(tmp_path: Path) -> None:
    with LogWriter(tmp_path) as writer:
        writer.append([b"erased", EVENT % 1_000, EVENT % 2_000])
    with LogWriter(tmp_path) as writer:
        writer.append([b"young"])
        writer.begin_segment(begun_before=999)
        assert list_segments(tmp_path) == [1]
        writer.begin_segment(begun_before=1_000)
        assert list_segments(tmp_path) == [1, 5]
    with LogWriter(tmp_path) as writer:
        assert writer.next_sequence == 5


def test_a_position_is_kept(tmp_path: Path) -> None:
    file = PositionFile(tmp_path / "positions" / "store.json")
    assert file.load() == Position()
    file.save(Position(5, 70, 9))
    assert file.load() == Position(5, 70, 9)
    (tmp_path / "positions" / "store.json").write_text("[]")
    with pytest.raises(SinkError, match="not a position"):
        file.load()


def test_a_position_that_can_not_be_read_or_kept_is_told(tmp_path: Path) -> None:
    (tmp_path / "store.json").mkdir()
    with pytest.raises(SinkError, match="can't be read: Is a directory"):
        PositionFile(tmp_path / "store.json").load()
    (tmp_path / "positions").write_text("")
    with pytest.raises(SinkError, match="can't be written: "):
        PositionFile(tmp_path / "positions" / "store.json").save(Position(5, 70, 9))


def test_a_reader_waits_for_a_log_that_does_not_exist_yet(tmp_path: Path) -> None:
    reader = LogReader(tmp_path / "events")
    assert reader.read() is None
    with LogWriter(tmp_path / "events") as writer:
        assert reader.read() is None
        writer.append([b"one"])
    assert read_on(reader) == [b"one"]


def test_a_line_longer_than_a_read_comes_alone(tmp_path: Path) -> None:
    with LogWriter(tmp_path) as writer:
        writer.append([b"x" * 5_000, b"short"])
    reader = LogReader(tmp_path)
    batches = [reader.read(max_bytes=10), reader.read(max_bytes=10)]
    assert [each.lines for each in batches if each] == [(b"x" * 5_000,), (b"short",)]
    reader.close()


def test_a_reader_that_ended_behind_a_removed_segment_goes_on(tmp_path: Path) -> None:
    with LogWriter(tmp_path, segment_bytes=4) as writer:
        writer.append([b"one"])
        reader = LogReader(tmp_path)
        assert read_on(reader) == [b"one"]
        writer.append([b"two"])
    assert remove_segments(tmp_path, 2, written_before=2e10) == 1
    assert read_on(LogReader(tmp_path, reader.position)) == [b"two"]
    reader.close()


def test_lines_that_were_deleted_are_told_and_left_out_on_request(tmp_path: Path) -> None:
    with LogWriter(tmp_path, segment_bytes=4) as writer:
        for line in (b"one", b"two", b"three", b"four"):
            writer.append([line])
    reader = LogReader(tmp_path)
    assert reader.read(max_lines=1) is not None
    segment_path(tmp_path, 2).unlink()
    segment_path(tmp_path, 3).unlink()
    for position in (reader.position, Position(2, 0, 2)):
        reader = LogReader(tmp_path, position)
        with pytest.raises(LinesGoneError, match=r"line 2 is .*gone"):
            reader.read()
        assert reader.skip_gone() == 2
        assert read_on(reader) == [b"four"]


def test_a_log_that_begins_anew_is_read_from_its_first_line(tmp_path: Path) -> None:
    log = tmp_path / "events"
    with LogWriter(log, segment_bytes=4) as writer:
        writer.append([b"one"])
        writer.append([b"two"])
    reader = LogReader(log)
    assert read_on(reader) == [b"one", b"two"]
    shutil.rmtree(log)
    assert reader.read() is None
    with LogWriter(log) as writer:
        writer.append([b"three"])
    with pytest.raises(LinesGoneError, match="line 3 was deleted"):
        reader.read()
    assert reader.skip_gone() == 0
    assert read_on(reader) == [b"three"]


def test_a_reader_whose_log_was_deleted_waits_for_another(tmp_path: Path) -> None:
    with LogWriter(tmp_path / "events") as writer:
        writer.append([b"one"])
    reader = LogReader(tmp_path / "events")
    assert read_on(reader) == [b"one"]
    shutil.rmtree(tmp_path / "events")
    assert LogReader(tmp_path / "events", reader.position).read() is None
    reader.close()


@pytest.mark.parametrize("last", [[], [b"two"]])
def test_a_segment_that_is_finished_while_it_is_read_is_read_whole(
    last: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LogWriter(tmp_path) as writer:
        writer.append([b"one"])
        reader = LogReader(tmp_path)
        assert read_on(reader) == [b"one"]

        def finish_and_read_end(folder: Path) -> tuple[int, int]:
            """Let the writer go on just behind the reader's back."""
            monkeypatch.undo()
            if last:
                writer.append(last)
            writer.begin_segment(begun_before=2e10)
            writer.append([b"three"])
            return read_end(folder)

        monkeypatch.setattr(reader_room, "read_end", finish_and_read_end)
        assert read_on(reader) == [*last, b"three"]
    reader.close()


@pytest.mark.parametrize("damage", [b"one\n\0\0\0\nfive\n", b"one\ntw", b"one\n"])
def test_a_damaged_segment_is_told_and_left_out_on_request(tmp_path: Path, damage: bytes) -> None:
    with LogWriter(tmp_path, segment_bytes=10) as writer:
        writer.append([b"one", b"two", b"five"])
        writer.append([b"six"])
    segment_path(tmp_path, 1).write_bytes(damage)
    reader = LogReader(tmp_path)
    assert (batch := reader.read()) is not None
    assert batch.lines == (b"one",)
    with pytest.raises(LinesGoneError, match="line 2 is damaged"):
        reader.read()
    assert reader.skip_gone() == 2
    assert read_on(reader) == [b"six"]


def test_room_that_is_not_written_yet_is_not_read(tmp_path: Path) -> None:
    with LogWriter(tmp_path) as writer:
        writer.append([b"one"])
        segment = segment_path(tmp_path, 1)
        # As another process may see a batch while it is written, a page after the other.
        segment.write_bytes(b"one\n\0\0\0\0\0\0\0\0three\n")
        reader = LogReader(tmp_path)
        assert read_on(reader) == [b"one"]
        segment.write_bytes(b"one\ntwo\nxyz\nthree\n")
        assert read_on(reader) == [b"two", b"xyz", b"three"]


def test_a_position_in_another_log_is_told(tmp_path: Path) -> None:
    with LogWriter(tmp_path) as writer:
        writer.append([b"one", b"two"])
    for offset in (3, 400):
        with pytest.raises(LinesGoneError, match="line 9 is not what it was"):
            LogReader(tmp_path, Position(1, offset, 9)).read()


def test_what_is_read_is_durable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced, sync = list[int](), os.fdatasync

    def note_and_sync(file: int) -> None:
        synced.append(file)
        sync(file)

    monkeypatch.setattr(os, "fdatasync", note_and_sync)
    with LogWriter(tmp_path) as writer:
        writer.append([b"one"])
        by_writer = len(synced)
        reader = LogReader(tmp_path)
        assert read_on(reader) == [b"one"]
        assert len(synced) == by_writer
        # As it stands between writing and syncing.
        with segment_path(tmp_path, 1).open("ab") as file:
            file.write(b"two\n")
        assert read_on(reader) == [b"two"]
        assert len(synced) == by_writer + 1
    reader.close()


def test_a_deleted_folder_is_made_again_and_the_sequence_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "events"
    with LogWriter(log) as writer:
        assert writer.append([b"one", b"two"]) == 1
        shutil.rmtree(log)
        assert writer.append([b"three"]) == 3
        with pytest.raises(LogLockedError):
            LogWriter(log)
    assert segment_path(log, 3).read_bytes() == b"three\n"


def test_the_newest_segment_is_made_again_and_the_sequence_goes_on(tmp_path: Path) -> None:
    with LogWriter(tmp_path, segment_bytes=4) as writer:
        writer.append([b"one"])
        writer.append([b"two"])
        segment_path(tmp_path, 2).unlink()
        assert writer.append([b"three"]) == 3
    assert list_segments(tmp_path) == [1, 3]


def test_a_writer_without_a_folder_goes_on_once_there_can_be_one(tmp_path: Path) -> None:
    log = tmp_path / "events"
    with LogWriter(log) as writer:
        writer.append([b"one"])
        shutil.rmtree(log)
        log.write_text("in the way")
        with pytest.raises(SinkError, match="can't be written: "):
            writer.begin_segment(begun_before=0)
        with pytest.raises(SinkError, match="can't be written: "):
            writer.append([b"two"])
        log.unlink()
        assert writer.append([b"two"]) == 2
    assert segment_path(log, 2).read_bytes() == b"two\n"


def test_a_writer_whose_log_was_taken_goes_on_once_it_is_free(tmp_path: Path) -> None:
    log = tmp_path / "events"
    with LogWriter(log) as writer:
        writer.append([b"one"])
        shutil.rmtree(log)
        with LogWriter(log), pytest.raises(LogLockedError, match="another process"):
            writer.append([b"two"])
        assert writer.append([b"two"]) == 2
    assert segment_path(log, 2).read_bytes() == b"two\n"


def test_a_log_that_is_no_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "events").write_text("")
    reader = LogReader(tmp_path / "events")
    for act in (reader.read, reader.skip_gone):
        with pytest.raises(SinkError, match="can't be read: Not a directory"):
            act()


def test_of_lines_that_do_not_fit_on_the_disk_none_is_written(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 64 << 10) as disk, LogWriter(disk / "events") as writer:
        writer.append([b"one"])
        many = [b"x" * 1_000] * 100
        for _ in range(2):
            with pytest.raises(SinkError, match="No space left on device"):
                writer.append(many)
            reader = LogReader(disk / "events")
            assert read_on(reader) == [b"one"]
            reader.close()
        assert writer.append([b"two"]) == 2
        assert read_all(disk / "events") == [b"one", b"two"]


def read_on(reader: LogReader) -> list[bytes]:
    lines = list[bytes]()
    while batch := reader.read():
        lines += batch.lines
    return lines
