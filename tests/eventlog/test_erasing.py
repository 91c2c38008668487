"""Erasing a recipient's lines: all of theirs, nobody else's, and every reader keeps its place."""

import json
from pathlib import Path

import pytest

from msys_track.errors import SinkError
from msys_track.eventlog.erasing import (
    ERASED_EVENT,
    Recipient,
    erase_in_file,
    erase_in_log,
    is_erased,
)
from msys_track.eventlog.reader import LogReader
from msys_track.eventlog.writer import LogWriter


def event(address: str, **more: object) -> bytes:
    fields = {"type": "open", "rcpt_to": address.lower(), "raw_rcpt_to": address, **more}
    text = json.dumps({"msys": {"track_event": fields}}, ensure_ascii=False)
    return text.encode()


def hit(address: str) -> bytes:
    return json.dumps({"id": "1", "recipient": address}, ensure_ascii=False).encode()


def erase(folder: Path, address: str) -> int:
    return erase_in_log(folder, Recipient(address), lambda _: None)


def read(folder: Path) -> list[bytes]:
    batch = LogReader(folder).read()
    assert batch is not None
    return list(batch.lines)


@pytest.mark.parametrize(
    ("address", "stored"),
    [
        ("jo@shop.test", "Jo@Shop.test"),
        ("JO@shop.test", "jo@shop.test"),
        ("grün@münchen.test", "GRÜN@MÜNCHEN.test"),
        ('"a\\"b"@shop.test', '"A\\"b"@shop.test'),
        ("a/b@shop.test", "a/b@shop.test"),
    ],
)
@pytest.mark.parametrize("make", [event, hit])
def test_an_address_is_found_however_it_is_written(
    tmp_path: Path, address: str, stored: str, make: object
) -> None:
    assert callable(make)
    folder = tmp_path / ("hits" if make is hit else "events") / "0"
    with LogWriter(folder) as log:
        log.append([make(stored)])
    assert erase(folder, address) == 1
    (line,) = read(folder)
    assert line.rstrip() == (b"{}" if make is hit else ERASED_EVENT)
    assert len(line) == len(make(stored))


def test_lines_of_others_stay_even_where_they_name_the_address(tmp_path: Path) -> None:
    others = [
        event("mo.jo@shop.test"),
        event("jo@shop.test.example"),
        event("mo@shop.test", rcpt_meta={"friend": "jo@shop.test"}),
        b"no JSON about jo@shop.test",
        b'{"msys":{}}',
        b'{"msys":{"a":{},"b":{"rcpt_to":"jo@shop.test"}}}',
    ]
    with LogWriter(tmp_path) as log:
        log.append(others)
    assert erase(tmp_path, "jo@shop.test") == 0
    assert read(tmp_path) == others


def test_a_writer_and_a_reader_go_on_at_their_places(tmp_path: Path) -> None:
    lines = [event("jo@shop.test"), event("mo@shop.test")] * 3
    reader = LogReader(tmp_path)
    with LogWriter(tmp_path, segment_bytes=100) as log:
        log.append(lines)
        batch = reader.read(max_lines=3)
        assert batch is not None
        assert erase(tmp_path, "jo@shop.test") == 3
        log.append([event("jo@shop.test")])
        rest: list[bytes] = []
        while batch := reader.read():
            rest += batch.lines
    assert [is_erased(line) for line in rest] == [False, True, False, False]
    assert reader.position.sequence == 8
    assert erase(tmp_path, "jo@shop.test") == 1
    reader.close()


def test_a_line_that_is_being_written_is_left(tmp_path: Path) -> None:
    with LogWriter(tmp_path) as log:
        log.append([event("mo@shop.test")])
    (segment,) = tmp_path.glob("*.ndjson")
    with segment.open("ab") as file:
        file.write(event("jo@shop.test"))
    before = segment.read_bytes()
    assert erase(tmp_path, "jo@shop.test") == 0
    assert segment.read_bytes() == before


def test_a_file_without_lines_has_none_to_erase(tmp_path: Path) -> None:
    noted: list[int] = []
    empty = tmp_path / "empty.ndjson"
    empty.touch()
    for path in (empty, tmp_path / "removed.ndjson"):
        assert erase_in_file(path, Recipient("jo@shop.test"), noted.append) == 0
    assert noted == [0]


def test_a_file_that_can_not_be_erased_in_is_told(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="can't be written: Is a directory"):
        erase_in_file(tmp_path, Recipient("jo@shop.test"), lambda _: None)
