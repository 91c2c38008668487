"""Stores to search, and all pages of them."""

from pathlib import Path
from typing import Any

import pytest
from tests.report.sparkpost.made_events import make_events
from tests.report.sparkpost.served import store_events
from tests.sinks.store.events import AT, line

from msys_track.report.sparkpost.search.cursor import Cursor
from msys_track.report.sparkpost.search.page import find_page
from msys_track.report.sparkpost.search.wanted import Wanted
from msys_track.sinks.store.reading import open_store

LINES = make_events(1_500, seed=14)


@pytest.fixture(scope="session")
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


@pytest.fixture(scope="session")
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
