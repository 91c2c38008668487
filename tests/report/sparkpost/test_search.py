"""The search behind the Events API: all that fits, once, newest first, however it is asked for."""

import random
from pathlib import Path
from typing import Any

import pytest
from tests.report.sparkpost.made_events import CAMPAIGNS, DAY, MIDNIGHT, make_events, newest_first
from tests.report.sparkpost.served import store_events
from tests.sinks.store.events import AT, line
from tests.thoroughness import some_of

from msys_track.report.sparkpost.search import Cursor, Wanted, find_page, fits_pattern
from msys_track.sinks.store.reading import open_store

LINES = make_events(1_500, seed=14)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("search") / "events.sqlite"
    for first in range(0, len(LINES), 400):
        store_events(path, LINES[first : first + 400])
    return path


# More than a page looks at, and than is found by a recipient's key at once; over two blocks.
MANY = 70_000
OF_ONE_RECIPIENT = 21_000
MARKED = MANY - 25_000


def make_many() -> list[bytes]:
    """Make the events of a campaign, and those that are to be found among them."""
    return [
        line(at=AT - 7_200, campaign_id="Once"),
        *(
            line(
                at=AT + place // 2,
                campaign_id="Rare" if place % 50 == 0 else "Frequent",
                rcpt_to="grün@one.test" if place < OF_ONE_RECIPIENT else "other@b.test",
                transmission_id="7" if place == MARKED else None,
            )
            for place in range(MANY)
        ),
        *(line(at=AT + place, campaign_id="Rare") for place in range(100)),
    ]


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[bytes]]:
    """A store of many events, and these."""
    path, lines = tmp_path_factory.mktemp("many") / "events.sqlite", make_many()
    store_events(path, lines)
    return path, lines


def read_pages(
    path: Path, wanted: Wanted, *, size: int, since: int = 0, until: int = 2**40
) -> tuple[list[str], list[int]]:
    """Follow the cursors to the end; return the events' ids and each page's total."""
    with open_store(path) as store:
        cursor: Cursor | None = Cursor.begin(store, since, until)
        found: list[str] = []
        totals: list[int] = []
        while cursor is not None:
            page = find_page(store, wanted, Cursor.read(cursor.write()), size)
            assert len(page.events) <= size
            found += [each["event_id"] for each in page.events]
            totals.append(page.total)
            cursor = page.next
    return found, totals


FILTERS: list[tuple[Wanted, dict[str, Any]]] = [
    (Wanted(), {}),
    (Wanted(types=("click",)), {"types": ("click",)}),
    (Wanted(types=("reclassified", "open")), {"types": ("reclassified", "open")}),
    (Wanted(campaigns=("Summer Sale",)), {"campaigns": ("Summer Sale",)}),
    (Wanted(campaigns=("*ummer*", "Grün [1]")), {"campaigns": ("*ummer*", "Grün [1]")}),
    (Wanted(campaigns=("Grün [*",)), {"campaigns": ("Grün [*",)}),
    (Wanted(recipients=("R3@b.test", "r4@c.test")), {"recipients": ("r3@b.test", "r4@c.test")}),
    (
        Wanted(recipients=("r3@b.test",), types=("click", "open")),
        {"recipients": ("r3@b.test",), "types": ("click", "open")},
    ),
    (Wanted(domains=("b.test",)), {"domains": ("b.test",)}),
    (Wanted(domains=("*.b.test",)), {"domains": ("*.b.test",)}),
    (Wanted(messages=(f"{7:020x}", f"{8:020x}")), {"messages": (f"{7:020x}", f"{8:020x}")}),
    (Wanted(texts={"transmission_id": ("7001",)}), {"transmissions": ("7001",)}),
    (Wanted(texts={"subject": ("*2 for*",)}), {"subject": "*2 for*"}),
    (
        Wanted(recipients=("r3@b.test",), texts={"transmission_id": ("7003",)}),
        {"recipients": ("r3@b.test",), "transmissions": ("7003",)},
    ),
]


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


def test_many_events_of_one_recipient_are_read_in_pages_too(
    many: tuple[Path, list[bytes]],
) -> None:
    path, lines = many
    found, _ = read_pages(path, Wanted(recipients=("grün@one.test",)), size=10_000)
    assert found == newest_first(lines[1 : 1 + OF_ONE_RECIPIENT])


def test_what_is_no_event_is_in_no_page(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    store_events(path, [b"no JSON", b'{"msys": {}}', b'{"msys": {"track_event": {}}}', line()])
    found, totals = read_pages(path, Wanted(), size=10)
    assert (len(found), totals) == (1, [1])


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


@pytest.mark.parametrize(
    ("text", "pattern", "fits"),
    [
        ("abc", "abc", True), ("abc", "ab", False), ("abc", "a*", True), ("abc", "*c", True),
        ("abc", "*", True), ("", "*", True), ("abc", "a*c", True), ("aba", "ab*ba", False),
        ("abc", "*b*", True), ("abc", "*x*", False), ("a?c", "a?c", True), ("abc", "a?c", False),
    ],
)  # fmt: skip
def test_a_star_is_any_text(text: str, pattern: str, fits: bool) -> None:  # noqa: FBT001
    assert fits_pattern(text, pattern) is fits


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


@pytest.mark.parametrize("minutes", [1, 58])
def test_less_than_an_hour_is_counted_too(path: Path, minutes: int) -> None:
    since = MIDNIGHT + DAY // 2 + 30
    found, totals = read_pages(path, Wanted(), size=5, since=since, until=since + 60 * minutes)
    assert found == newest_first(LINES, since=since, until=since + 60 * minutes)
    assert set(totals) == {len(found)}


def test_where_an_hour_has_too_many_events_to_count_the_total_grows_from_page_to_page(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("msys_track.report.sparkpost.search._MAX_EDGE_ROWS", 0)
    since = AT + 10
    found, totals = read_pages(path, Wanted(), size=50, since=since)
    assert found == newest_first(LINES, since=since)
    assert totals == sorted(totals)
    assert totals[-1] == len(found)


def test_a_page_reads_a_bounded_number_of_one_recipient_s_events_and_the_next_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("msys_track.report.sparkpost.search._MAX_ROWS_READ", 500)
    path = tmp_path / "events.sqlite"
    store_events(path, [line(at=AT + n, subject="x" if n else "wanted") for n in range(1_100)])
    wanted = Wanted(recipients=("grün@b.test",), texts={"subject": ("wanted",)})
    found, totals = read_pages(path, wanted, size=10)
    assert (len(found), totals) == (1, [0, 0, 1])


@pytest.mark.parametrize("most", [1, 300])
@pytest.mark.parametrize(("wanted", "filters"), some_of(FILTERS, 3))
def test_however_few_rows_a_page_may_look_at_all_pages_have_what_a_plain_script_finds(
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    wanted: Wanted,
    filters: dict[str, Any],
    most: int,
) -> None:
    for limit in ("_MAX_ROWS", "_MAX_ROWS_READ"):
        monkeypatch.setattr(f"msys_track.report.sparkpost.search.{limit}", most)
    found, _ = read_pages(path, wanted, size=7)
    assert found == newest_first(LINES, **filters)
