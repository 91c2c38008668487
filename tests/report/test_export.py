"""Exports: the same numbers as the pages, as files that programs and spreadsheets read."""

import csv
import io
from pathlib import Path
from typing import Any

import orjson
import pytest
from starlette.testclient import TestClient
from tests.report.test_pages import DAYS, HOSTILE, MESSAGES, PAGES, list_events, make_store
from tests.report.visitor import make_visitor
from tests.sinks.store.events import line

from msys_track.sinks.store.exporting import COLUMNS


@pytest.fixture(scope="module")
def visitor(tmp_path_factory: pytest.TempPathFactory) -> TestClient:
    store = make_store(tmp_path_factory.mktemp("export") / "events.sqlite", list_events())
    return make_visitor(store, PAGES)


def read_csv(visitor: TestClient, path: str) -> list[dict[str, str]]:
    answer = visitor.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(answer.content.decode(), newline="")))


def read_ndjson(visitor: TestClient, path: str) -> list[dict[str, Any]]:
    answer = visitor.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [orjson.loads(each) for each in answer.content.splitlines()]


TABLES = (
    f"series?{DAYS}", f"campaigns?{DAYS}", f"groups?{DAYS}&by=tag",
    f"links?{DAYS}&name=Summer+Sale", "search?q=summer",
)  # fmt: skip


@pytest.mark.parametrize("table", TABLES)
def test_both_forms_have_the_same_rows(visitor: TestClient, table: str) -> None:
    name, _, query = table.partition("?")
    rows = read_ndjson(visitor, f"/export/{name}.ndjson?{query}")

    assert rows
    assert read_csv(visitor, f"/export/{name}.csv?{query}") == [
        {column: str(cell) for column, cell in row.items()} for row in rows
    ]


def test_statistics_have_all_numbers_whatever_the_page_shows(visitor: TestClient) -> None:
    (sale, none) = read_ndjson(visitor, f"/export/campaigns.ndjson?{DAYS}&count=total")

    assert sale == {
        "campaign": "Summer Sale", "sent": 4, "rejected": 0,
        "opened_unique_all": 2, "opened_unique_people": 1, "opened_unique_machines": 1,
        "opened_unique_unknown": 0,
        "opened_total_all": 3, "opened_total_people": 2, "opened_total_machines": 1,
        "opened_total_unknown": 0,
        "clicked_unique_all": 2, "clicked_unique_people": 1, "clicked_unique_machines": 1,
        "clicked_unique_unknown": 0,
        "clicked_total_all": 2, "clicked_total_people": 1, "clicked_total_machines": 1,
        "clicked_total_unknown": 0,
        "unsubscribed_unique_all": 1, "unsubscribed_unique_people": 1,
        "unsubscribed_unique_machines": 0, "unsubscribed_unique_unknown": 0,
        "unsubscribed_total_all": 1, "unsubscribed_total_people": 1,
        "unsubscribed_total_machines": 0, "unsubscribed_total_unknown": 0,
    }  # fmt: skip
    assert none["campaign"] == ""


def test_times_of_a_series_are_iso_8601(visitor: TestClient) -> None:
    rows = read_csv(visitor, f"/export/series.csv?{DAYS}")

    assert len(rows) == 24
    assert rows[22]["time"] == "2023-11-14T22:00:00Z"
    assert rows[22]["sent"] == "4"


def test_a_file_is_saved_under_the_name_of_its_table(visitor: TestClient) -> None:
    headers = visitor.get(f"/export/campaigns.csv?{DAYS}&name=evil%22.html").headers

    assert headers["content-disposition"] == 'attachment; filename="campaigns.csv"'
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"


def test_a_head_of_events_reads_none(visitor: TestClient) -> None:
    answer = visitor.head("/export/events.csv")

    assert answer.status_code == 200
    assert answer.headers["content-disposition"] == 'attachment; filename="events.csv"'
    assert answer.content == b""


def test_events_are_exported_as_they_are_stored(visitor: TestClient) -> None:
    answer = visitor.get(f"/export/events.ndjson?{DAYS}")
    rows = read_csv(visitor, f"/export/events.csv?{DAYS}")

    stored = answer.content.splitlines()
    assert len(stored) == len(rows) == len(list_events())
    assert list(rows[0]) == list(COLUMNS)
    fields = [next(iter(orjson.loads(each)["msys"].values())) for each in stored]
    assert [row["event_id"] for row in rows] == [each["event_id"] for each in fields]


@pytest.mark.parametrize(
    ("query", "count"),
    [
        (f"message={MESSAGES[0]}", 4),
        ("address=JO@c.test", 1),
        ("address=none@c.test", 0),
        (f"name=Summer+Sale&{DAYS}", 11),
        (f"name=&{DAYS}", 1),
        ("from=2020-01-01&to=2020-01-01", 0),
    ],
)
def test_only_events_that_the_page_is_about_are_exported(
    visitor: TestClient, query: str, count: int
) -> None:
    assert len(read_csv(visitor, f"/export/events.csv?{query}")) == count
    assert len(read_ndjson(visitor, f"/export/events.ndjson?{query}")) == count


@pytest.mark.parametrize("query", [DAYS, f"name=Summer+Sale&{DAYS}", "address=gr%C3%BCn@b.test"])
def test_more_events_than_are_read_at_once_come_once_and_in_order(
    tmp_path: Path, query: str
) -> None:
    lines = [line(message_id=f"{number:020x}") for number in range(1, 12_346)]
    visitor = make_visitor(make_store(tmp_path / "events.sqlite", lines), PAGES)

    with visitor.stream("GET", f"/export/events.ndjson?{query}") as answer:
        pieces = list(answer.iter_raw())
    assert "content-length" not in answer.headers
    assert b"".join(pieces).splitlines() == lines


def test_a_spreadsheet_takes_no_text_for_a_formula(tmp_path: Path) -> None:
    formulas = ["=1+1", "+1", "-1", "@SUM(1)", "\t=1", "\r=1"]
    lines = [
        line(campaign_id=each, rcpt_tags=[each], target_link_name=each, target_link_url=each)
        for each in formulas
    ]
    visitor = make_visitor(make_store(tmp_path / "events.sqlite", lines), PAGES)

    for path in (
        f"campaigns.csv?{DAYS}", f"groups.csv?{DAYS}&by=tag", f"events.csv?{DAYS}",
        f"links.csv?{DAYS}&name=%3D1%2B1", "search.csv?q=1",
    ):  # fmt: skip
        rows = read_csv(visitor, f"/export/{path}")
        assert rows
        cells = [cell for row in rows for cell in row.values()]
        assert not [cell for cell in cells if cell.startswith(tuple("=+-@\t\r"))]
        assert any(cell.startswith("'") for cell in cells)


def test_texts_of_any_kind_survive_csv_and_ndjson(tmp_path: Path) -> None:
    name = f'{HOSTILE},";\n\u2028x'
    store = make_store(tmp_path / "events.sqlite", [line(campaign_id=name)])
    visitor = make_visitor(store, PAGES)

    assert read_csv(visitor, f"/export/campaigns.csv?{DAYS}")[0]["campaign"] == name
    assert read_ndjson(visitor, f"/export/campaigns.ndjson?{DAYS}")[0]["campaign"] == name


def test_a_period_beyond_the_events_is_an_empty_file_with_names(visitor: TestClient) -> None:
    rows = visitor.get("/export/campaigns.csv?from=2020-01-01&to=2020-01-01").text.splitlines()

    assert len(rows) == 1
    assert rows[0].startswith("campaign,sent,rejected,opened_unique_all")
