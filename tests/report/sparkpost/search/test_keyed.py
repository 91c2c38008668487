"""Of an id, a message or a recipient there may be many events: they come in pages too."""

from pathlib import Path

import pytest
from tests.report.sparkpost.made_events import newest_first
from tests.report.sparkpost.search.conftest import OF_ONE_RECIPIENT, read_pages
from tests.report.sparkpost.served import store_events
from tests.sinks.store.events import AT, line

from msys_track.report.sparkpost.search.wanted import Wanted


def test_many_events_of_one_recipient_are_read_in_pages_too(
    many: tuple[Path, list[bytes]],
) -> None:
    path, lines = many
    found, _ = read_pages(path, Wanted(recipients=("grün@one.test",)), size=10_000)
    assert found == newest_first(lines[1 : 1 + OF_ONE_RECIPIENT])


def test_a_page_reads_a_bounded_number_of_one_recipient_s_events_and_the_next_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("msys_track.report.sparkpost.search.keyed.MAX_ROWS_READ", 500)
    path = tmp_path / "events.sqlite"
    store_events(path, [line(at=AT + n, subject="x" if n else "wanted") for n in range(1_100)])
    wanted = Wanted(recipients=("grün@b.test",), texts={"subject": ("wanted",)})
    found, totals = read_pages(path, wanted, size=10)
    assert (len(found), totals) == (1, [0, 0, 1])
