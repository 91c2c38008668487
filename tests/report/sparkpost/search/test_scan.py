"""A page looks at a bounded number of rows, and passes over hours that have nothing of it."""

from pathlib import Path
from typing import Any

import pytest
from tests.report.sparkpost.made_events import newest_first
from tests.report.sparkpost.search.conftest import FILTERS, LINES, MARKED, read_pages
from tests.sinks.store.events import AT
from tests.thoroughness import some_of

from msys_track.report.sparkpost.search.cursor import Cursor
from msys_track.report.sparkpost.search.page import find_page
from msys_track.report.sparkpost.search.wanted import Wanted
from msys_track.sinks.store.reading import open_store


def test_a_page_looks_at_a_bounded_number_of_rows_and_the_next_goes_on(
    many: tuple[Path, list[bytes]],
) -> None:
    path, _ = many
    wanted = Wanted(texts={"transmission_id": ("7",)})
    with open_store(path) as store:
        cursor = Cursor.begin(store, AT + MARKED // 2, 2**40)
        first = find_page(store, wanted, cursor, 10)
        assert (first.events, first.total) == ([], 0)
        assert first.next is not None
        second = find_page(store, wanted, first.next, 10)
    assert [each["transmission_id"] for each in second.events] == ["7"]
    assert (second.total, second.next) == (1, None)


def test_a_rare_campaign_is_not_searched_for_where_it_never_was(
    many: tuple[Path, list[bytes]],
) -> None:
    path, _ = many
    with open_store(path) as store:
        page = find_page(store, Wanted(campaigns=("Once",)), Cursor.begin(store, 0, 2**40), 10)
    assert (len(page.events), page.total, page.next) == (1, 1, None)


def test_a_campaign_s_few_events_among_many_come_in_full_pages(
    many: tuple[Path, list[bytes]],
) -> None:
    path, lines = many
    wanted = Wanted(campaigns=("Rare",))
    with open_store(path) as store:
        first = find_page(store, wanted, Cursor.begin(store, 0, 2**40), 1_000)
    assert (len(first.events), first.total) == (1_000, 1_500)
    found, totals = read_pages(path, wanted, size=333)
    assert found == newest_first([each for each in lines if b'"Rare"' in each])
    assert set(totals) == {1_500}


@pytest.mark.parametrize("most", [1, 300])
@pytest.mark.parametrize(("wanted", "filters"), some_of(FILTERS, 3))
def test_however_few_rows_a_page_may_look_at_all_pages_have_what_a_plain_script_finds(
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    wanted: Wanted,
    filters: dict[str, Any],
    most: int,
) -> None:
    for limit in ("scan._MAX_ROWS", "scan.MAX_ROWS_READ", "keyed.MAX_ROWS_READ"):
        monkeypatch.setattr(f"msys_track.report.sparkpost.search.{limit}", most)
    found, _ = read_pages(path, wanted, size=7)
    assert found == newest_first(LINES, **filters)
