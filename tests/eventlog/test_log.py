"""A log that is written and read at once: each line once, in order, durable when it is told."""

from pathlib import Path

import pytest

from msys_track.errors import SinkError
from msys_track.eventlog.position import Position, PositionFile
from msys_track.eventlog.reader import LogReader
from msys_track.eventlog.retention import remove_segments
from msys_track.eventlog.segments import list_segments, segment_path
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
    with pytest.raises(SinkError, match="line 1 is gone"):
        LogReader(tmp_path, Position(1, 0, 1)).read()


def test_a_position_is_kept(tmp_path: Path) -> None:
    file = PositionFile(tmp_path / "positions" / "store.json")
    assert file.load() == Position()
    file.save(Position(5, 70, 9))
    assert file.load() == Position(5, 70, 9)
    (tmp_path / "positions" / "store.json").write_text("[]")
    with pytest.raises(SinkError, match="not a position"):
        file.load()
