"""The search behind the Events API: all that fits, once, newest first, however it is asked for."""

import random
from pathlib import Path
from typing import Any

import pytest
from tests.report.sparkpost.made_events import CAMPAIGNS, DAY, MIDNIGHT, newest_first
from tests.report.sparkpost.search.conftest import FILTERS, LINES, read_pages
from tests.report.sparkpost.served import store_events
from tests.sinks.store.events import AT, line
from tests.thoroughness import some_of

from msys_track.report.sparkpost.search.cursor import Cursor
from msys_track.report.sparkpost.search.page import find_page
from msys_track.report.sparkpost.search.wanted import Wanted
from msys_track.sinks.store.reading import open_store


@pytest.mark.parametrize(("wanted", "filters"), FILTERS)
@pytest.mark.parametrize("size", [7, 1_000])
def test_the_pages_have_what_a_plain_script_finds(
    path: Path, wanted: Wanted, filters: dict[str, Any], size: int
) -> None:
    expected = newest_first(LINES, **filters)
    assert expected
    found, totals = read_pages(path, wanted, size=size)
    assert found == expected
    assert totals[-1] == len(expected)


@pytest.mark.parametrize("place", some_of(range(20), 2))
def test_a_time_is_kept_to_the_second(path: Path, place: int) -> None:
    chance = random.Random(place)  # noqa: S311 - not a secret
    since, until = sorted(MIDNIGHT + int(chance.random() * 3 * DAY) for _ in range(2))
    campaign = chance.choice(CAMPAIGNS[:4])
    assert campaign is not None
    for wanted, filters in (
        (Wanted(), {}),
        (
            Wanted(campaigns=(campaign,), types=("open",)),
            {"campaigns": (campaign,), "types": ("open",)},
        ),
        (Wanted(recipients=("r5@b.test",)), {"recipients": ("r5@b.test",)}),
    ):
        expected = newest_first(LINES, since=since, until=until, **filters)
        found, totals = read_pages(path, wanted, size=50, since=since, until=until)
        assert found == expected
        assert totals[-1] == len(expected)


@pytest.mark.parametrize("seed", some_of(range(60), 3))
def test_filters_at_random_find_what_a_plain_script_finds(path: Path, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - not a secret
    known: dict[str, Any] = {}
    for name, values in (
        ("types", ("open", "click", "injection", "reclassified", "link_unsubscribe")),
        ("campaigns", ("Summer Sale", "*Sale", "Grün [1]", "Black Friday*", "none")),
        ("domains", ("b.test", "*b.test", "c.test")),
        ("recipients", tuple(f"r{place}@b.test" for place in range(20))),
    ):
        if chance.random() < 0.5:
            known[name] = tuple(chance.sample(values, chance.randrange(1, 3)))
    since, until = sorted(MIDNIGHT + int(chance.random() * 3 * DAY) for _ in range(2))
    expected = newest_first(LINES, since=since, until=until, **known)
    size = chance.choice((1 + len(expected) // 3, 10 + len(expected) // 10, 5_000))
    found, totals = read_pages(path, Wanted(**known), size=size, since=since, until=until)
    assert found == expected
    assert totals[-1] == len(expected)


@pytest.mark.parametrize(
    "wanted", [Wanted(), Wanted(types=("click",)), Wanted(recipients=("r3@b.test",))]
)
def test_each_page_says_how_many_there_are_on_all(path: Path, wanted: Wanted) -> None:
    found, totals = read_pages(path, wanted, size=10)
    assert set(totals) == {len(found)}


def test_where_only_reading_tells_the_total_grows_from_page_to_page(path: Path) -> None:
    found, totals = read_pages(path, Wanted(domains=("c.test",)), size=50)
    assert totals == [*range(50, len(found), 50), len(found)]


def test_events_that_come_meanwhile_are_in_no_page(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    lines = [line(at=AT + place // 3, message_id=f"{place:020x}") for place in range(100)]
    store_events(path, lines)
    with open_store(path) as store:
        cursor: Cursor | None = Cursor.begin(store, 0, 2**40)
        found: list[str] = []
        while cursor is not None:
            page = find_page(store, Wanted(), cursor, 9)
            found += [each["event_id"] for each in page.events]
            cursor = page.next
            # As old as those that were seen, as those to come, and new.
            store_events(path, [line(at=AT + shift) for shift in (0, 10, 20, 33, 99)])
    assert found == newest_first(lines)


def test_what_is_no_event_is_in_no_page(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    store_events(path, [b"no JSON", b'{"msys": {}}', b'{"msys": {"track_event": {}}}', line()])
    found, totals = read_pages(path, Wanted(), size=10)
    assert (len(found), totals) == (1, [1])


@pytest.mark.parametrize("minutes", [1, 58])
def test_less_than_an_hour_is_counted_too(path: Path, minutes: int) -> None:
    since = MIDNIGHT + DAY // 2 + 30
    found, totals = read_pages(path, Wanted(), size=5, since=since, until=since + 60 * minutes)
    assert found == newest_first(LINES, since=since, until=since + 60 * minutes)
    assert set(totals) == {len(found)}


def test_where_an_hour_has_too_many_events_to_count_the_total_grows_from_page_to_page(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("msys_track.report.sparkpost.search.page._MAX_EDGE_ROWS", 0)
    since = AT + 10
    found, totals = read_pages(path, Wanted(), size=50, since=since)
    assert found == newest_first(LINES, since=since)
    assert totals == sorted(totals)
    assert totals[-1] == len(found)
