"""One recipient's events are erased in each place that there is, and a fault names its file."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.sinks.store.events import batch, line

from msys_track.errors import SinkError
from msys_track.eventlog.erasing import is_erased
from msys_track.sinks.erasing import Places, erase_recipient
from msys_track.sinks.store.reading import Filter, open_store
from msys_track.sinks.store.sink import SqliteSink

pytestmark = pytest.mark.anyio

ADDRESS = "a@b.test"
OTHERS = line(rcpt_to="other@b.test", raw_rcpt_to="other@b.test")


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look again at once: nothing is under way in these tests."""
    monkeypatch.setattr("msys_track.sinks.erasing._PAUSE_SECONDS", 0.0)


def make_theirs() -> bytes:
    return line(rcpt_to=ADDRESS, raw_rcpt_to="A@b.test")


def erase(places: Places, note: Callable[[int], None] = lambda _: None) -> list[tuple[str, int]]:
    """Erase; return names of files and how many lines, each look behind the other."""
    found = erase_recipient("A@B.test", places, note)
    return [(Path(each.place).name, each.events) for each in found]


async def test_a_store_alone_is_erased(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    async with SqliteSink(path) as sink:
        await sink.write(batch(make_theirs(), OTHERS, make_theirs()))
    assert erase(Places(store=path)) == [("events.sqlite", 2), ("events.sqlite", 0)]
    with open_store(path) as store:
        assert [event for page in store.pages(Filter()) for _, event in page] == [OTHERS]


def test_files_are_erased_with_what_was_finished_and_compressed(tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    path.write_bytes(make_theirs() + b"\n" + OTHERS + b"\n")
    finished = tmp_path / "events-20260101T000000Z.ndjson.gz"
    finished.write_bytes(gzip.compress(OTHERS + b"\n" + make_theirs() + b"\n"))
    erased = erase(Places(files=(path,), store=tmp_path / "missing.sqlite"))
    assert erased == [(path.name, 1), (finished.name, 1), (path.name, 0), (finished.name, 0)]
    first, second = path.read_bytes().splitlines()
    assert is_erased(first)
    assert second == OTHERS
    assert gzip.decompress(finished.read_bytes()) == OTHERS + b"\n"


def test_what_keeps_coming_is_erased_three_times_and_no_more(tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    path.write_bytes(make_theirs() + b"\n")

    def append(_: int) -> None:
        with path.open("ab") as file:
            file.write(make_theirs() + b"\n")

    assert erase(Places(files=(path,)), append) == [(path.name, 1)] * 3


def test_a_file_that_goes_meanwhile_holds_up_nothing(tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    path.write_bytes(OTHERS + b"\n")
    finished = tmp_path / "events-20260101T000000Z.ndjson.gz"
    finished.write_bytes(gzip.compress(make_theirs() + b"\n"))
    erased = erase(Places(files=(path,)), lambda _: finished.unlink())
    assert erased == [(path.name, 0), (finished.name, 0)]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (gzip.compress(make_theirs() * 9)[:-9], "it is cut off"),
        (b"no gzip", "Not a gzipped file"),
    ],
    ids=["cut", "other"],
)
def test_a_compressed_file_that_can_not_be_read_is_named(
    tmp_path: Path, content: bytes, why: str
) -> None:
    finished = tmp_path / "events-20260101T000000Z.ndjson.gz"
    finished.write_bytes(content)
    with pytest.raises(SinkError, match=f"{finished}: can't be erased: .*{why}"):
        erase(Places(files=(tmp_path / "events.ndjson",)))
