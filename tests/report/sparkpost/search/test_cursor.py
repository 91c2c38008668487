"""A cursor comes from outside: one that we did not write is refused, or finds nothing."""

from pathlib import Path

import pytest

from msys_track.report.sparkpost.search.cursor import Cursor
from msys_track.report.sparkpost.search.page import find_page
from msys_track.report.sparkpost.search.wanted import Wanted
from msys_track.sinks.store.reading import open_store


@pytest.mark.parametrize(
    "text", ["", "initial?", "W10=", "WzEsMiwzLDQsNSw2XQ", "WzEsMiwzLDQsNSwiNiJd", "é", "e30="]
)
def test_a_made_up_cursor_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="cursor"):
        Cursor.read(text)


def test_a_cursor_of_numbers_that_no_store_has_finds_nothing(path: Path) -> None:
    cursor = Cursor(since=-(2**61), until=2**61, newest=-1, at=2**61, sequence=-(2**61), total=-9)
    with open_store(path) as store:
        assert find_page(store, Wanted(), cursor, 10).events == []
