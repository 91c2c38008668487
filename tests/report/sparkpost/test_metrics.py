"""SparkPost's metrics are what a plain script over the exported events finds, to the unit."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.report.sparkpost.made_events import (
    CAMPAIGNS,
    DAY,
    DOMAINS,
    MIDNIGHT,
    count,
    make_events,
)
from tests.report.sparkpost.served import Served, serve
from tests.sinks.store.events import line

from msys_track.report.sparkpost.metrics import METRICS

LINES = make_events(2_000, seed=3, days=4)
BASE = "/api/v1/metrics"
SUMMARY = f"{BASE}/deliverability"
NAMES = ",".join(METRICS)
# The middle two of four days.
SINCE, UNTIL = MIDNIGHT + DAY, MIDNIGHT + 3 * DAY

In = Callable[[Mapping[str, Any]], bool]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(tmp_path_factory.mktemp("served"), LINES) as served:
        yield served


def write(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M")


def window(since: int = SINCE, until: int = UNTIL) -> dict[str, str]:
    return {"from": write(since), "to": write(until)}


def within(since: int = SINCE, until: int = UNTIL) -> In:
    return lambda fields: since <= int(fields["timestamp"]) < until


def count_all(is_in: In, names: str = NAMES) -> dict[str, int]:
    return {name: count(LINES, name, is_in=is_in) for name in names.split(",")}


def test_the_summary_is_what_a_script_counts(served: Served) -> None:
    [result] = served.results(SUMMARY, **window(), metrics=NAMES)
    assert result == count_all(within())
    assert all(result.values())


def test_people_and_machines_are_told_apart(served: Served) -> None:
    [result] = served.results(SUMMARY, **window(), metrics=NAMES)
    assert result["count_nonprefetched_rendered"] < result["count_rendered"]
    assert (
        result["count_nonprefetched_unique_confirmed_opened"]
        < result["count_unique_confirmed_opened"]
    )


def test_a_window_is_widened_to_whole_hours(served: Served) -> None:
    since, until = SINCE + 1_860, UNTIL - 1_740
    [result] = served.results(SUMMARY, **window(since, until), metrics=NAMES)
    assert result == count_all(within(SINCE, UNTIL))
    [result] = served.results(
        SUMMARY, **window(SINCE + 3_600, SINCE + 2 * 3_600), metrics=NAMES, precision="hour"
    )
    assert result == count_all(within(SINCE + 3_600, SINCE + 2 * 3_600))
    [result] = served.results(
        SUMMARY, **window(SINCE + 9_999, SINCE + 10_000), metrics=NAMES, precision="day"
    )
    assert result == count_all(within(SINCE, SINCE + DAY))


@pytest.mark.parametrize("hours", [(0, 96), (5, 90), (23, 25), (30, 40), (47, 73), (60, 60)])
def test_a_window_may_begin_and_end_in_the_middle_of_a_day(
    served: Served, hours: tuple[int, int]
) -> None:
    since, until = (MIDNIGHT + each * 3_600 for each in hours)
    [result] = served.results(SUMMARY, **window(since, until), metrics=NAMES)
    assert result == count_all(within(since, until))
    [result] = served.results(
        SUMMARY, **window(since, until), metrics=NAMES, campaigns="Summer Sale"
    )
    assert result == count_all(
        lambda fields: fields.get("campaign_id") == "Summer Sale" and within(since, until)(fields)
    )


def test_campaigns_are_what_a_script_counts(served: Served) -> None:
    results = served.results(f"{SUMMARY}/campaign", **window(), metrics=NAMES)
    assert {each["campaign_id"] for each in results} == {each or "" for each in CAMPAIGNS}
    for result in results:
        campaign = result.pop("campaign_id")
        assert result == count_all(
            lambda fields, campaign=campaign: (  # type: ignore[misc]
                fields.get("campaign_id", "") == campaign and within()(fields)
            )
        )


def test_domains_are_what_a_script_counts(served: Served) -> None:
    results = served.results(f"{SUMMARY}/domain", **window(), metrics=NAMES)
    assert {each["domain"] for each in results} == set(DOMAINS)
    for result in results:
        domain = result.pop("domain")
        assert result == count_all(
            lambda fields, domain=domain: (  # type: ignore[misc]
                fields["recipient_domain"] == domain and within()(fields)
            )
        )


@pytest.mark.parametrize("grouping", ["", "/campaign", "/domain"])
def test_filters_of_campaigns_and_domains_go_together(served: Served, grouping: str) -> None:
    def fits(fields: Mapping[str, Any]) -> bool:
        return (
            fields.get("campaign_id") in ("Summer Sale", "Grün [1]")
            and fields["recipient_domain"] in ("b.test", "c.test")
            and within()(fields)
        )

    results = served.results(
        SUMMARY + grouping,
        **window(),
        metrics=NAMES,
        campaigns="Summer Sale,Grün [1]",
        domains="B.test,c.test",
    )
    expected = count_all(fits)
    assert {name: sum(each[name] for each in results) for name in expected} == expected


def test_campaigns_of_one_domain_are_what_a_script_counts(served: Served) -> None:
    results = served.results(f"{SUMMARY}/campaign", **window(), metrics=NAMES, domains="b.test")
    assert results
    for result in results:
        campaign = result.pop("campaign_id")
        assert result == count_all(
            lambda fields, campaign=campaign: (  # type: ignore[misc]
                fields.get("campaign_id", "") == campaign
                and fields["recipient_domain"] == "b.test"
                and within()(fields)
            )
        )


def test_links_are_what_a_script_counts(served: Served) -> None:
    results = served.results(f"{SUMMARY}/link-name", **window(), metrics="count_clicked")
    expected = {
        name: count(
            LINES,
            "count_clicked",
            is_in=lambda fields, name=name: (  # type: ignore[misc]
                fields.get("target_link_name") == name and within()(fields)
            ),
        )
        for name in ("banner", "Raw URL", "it's: a name")
    }
    assert {each["link_name"]: each["count_clicked"] for each in results} == expected
    [first, *_] = served.results(
        f"{SUMMARY}/link-name",
        **window(),
        metrics="count_clicked",
        campaigns="Summer Sale",
        limit=1,
    )
    assert first["count_clicked"] < max(expected.values())


@pytest.mark.parametrize(
    ("precision", "seconds"), [("hour", 3_600), ("12hr", DAY // 2), ("day", DAY)]
)
def test_a_series_is_what_a_script_counts(served: Served, precision: str, seconds: int) -> None:
    names = "count_rendered,count_unique_confirmed_opened,count_clicked"
    results = served.results(
        f"{SUMMARY}/time-series", **window(), metrics=names, precision=precision
    )
    starts = list(range(SINCE, UNTIL, seconds))
    assert [each.pop("ts") for each in results] == [
        datetime.fromtimestamp(each, UTC).isoformat() for each in starts
    ]
    assert results == [count_all(within(each, each + seconds), names) for each in starts]


def test_a_series_by_day_may_be_of_a_domain(served: Served) -> None:
    results = served.results(
        f"{SUMMARY}/time-series", **window(), metrics="count_clicked", domains="b.test"
    )
    assert [each["count_clicked"] for each in results] == [
        count(
            LINES,
            "count_clicked",
            is_in=lambda fields, day=day: (  # type: ignore[misc]
                fields["recipient_domain"] == "b.test" and within(day, day + DAY)(fields)
            ),
        )
        for day in range(SINCE, UNTIL, DAY)
    ]


def test_a_series_by_the_hour_is_in_the_zone_of_the_request(served: Served) -> None:
    [result, *_] = served.results(
        f"{SUMMARY}/time-series",
        **{"from": "2023-11-15T00:00", "to": "2023-11-15T01:00"},
        timezone="America/New_York",
        metrics="count_rendered",
        precision="hour",
    )
    assert result["ts"] == "2023-11-15T00:00:00-05:00"
    assert result["count_rendered"] == count(
        LINES,
        "count_rendered",
        is_in=within(MIDNIGHT + DAY + 5 * 3_600, MIDNIGHT + DAY + 6 * 3_600),
    )


def test_weeks_begin_on_monday_and_months_with_their_first(served: Served) -> None:
    for precision, starts in (
        ("week", ["2023-11-13", "2023-11-20"]),
        ("month", ["2023-11-01"]),
    ):
        results = served.results(
            f"{SUMMARY}/time-series",
            **{"from": "2023-11-14T00:00", "to": "2023-11-21T00:00"},
            metrics="count_clicked",
            precision=precision,
        )
        assert [each["ts"][:10] for each in results] == starts
        assert sum(each["count_clicked"] for each in results) == count(LINES, "count_clicked")


def test_results_come_in_the_order_that_is_wanted_and_no_more_than_wanted(served: Served) -> None:
    results = served.results(
        f"{SUMMARY}/campaign",
        **window(),
        metrics="count_clicked,count_rendered",
        order_by="count_rendered",
        limit=2,
    )
    counts = sorted(
        (
            each["count_rendered"]
            for each in served.results(f"{SUMMARY}/campaign", **window(), metrics="count_rendered")
        ),
        reverse=True,
    )
    assert [each["count_rendered"] for each in results] == counts[:2]


def test_earlier_names_are_answered_by_the_same_name(served: Served) -> None:
    [result] = served.results(
        SUMMARY, **window(), metrics="count_unique_clicked_approx,count_unique_clicked"
    )
    assert result["count_unique_clicked_approx"] == result["count_unique_clicked"] > 0


def test_a_time_without_events_has_zeros(served: Served) -> None:
    nothing = window(MIDNIGHT - 5 * DAY, MIDNIGHT - 4 * DAY)
    [result] = served.results(SUMMARY, **nothing, metrics="count_clicked")
    assert result == {"count_clicked": 0}
    assert served.results(f"{SUMMARY}/campaign", **nothing, metrics="count_clicked") == []


def test_times_that_nobody_can_have_cost_nothing(tmp_path: Path) -> None:
    lines = [line(at=0), line(at=2**45), line(at=MIDNIGHT, message_id=f"{5:020x}")]
    ever = {"from": "0001-01-02T00:00", "to": "9999-12-30T00:00"}
    with serve(tmp_path, lines) as served:
        for grouping in ("", "/campaign", "/domain", "/link-name"):
            results = served.results(SUMMARY + grouping, **ever, metrics="count_clicked")
            assert sum(each["count_clicked"] for each in results) == (grouping != "/domain") * 2
        [result] = served.results(SUMMARY, **window(MIDNIGHT, MIDNIGHT + DAY), metrics=NAMES)
    assert result["count_clicked"] == 1


def test_lists_say_of_what_there_are_metrics(served: Served) -> None:
    campaigns = sorted(each for each in CAMPAIGNS if each)
    assert served.results(f"{BASE}/campaigns") == {"campaigns": campaigns}
    assert served.results(f"{BASE}/domains") == {"domains": sorted(DOMAINS)}
    assert served.results(f"{BASE}/campaigns", match="ale", limit=1) == {
        "campaigns": ["Summer Sale"]
    }
    before = {"to": "2023-11-01T00:00"}
    assert served.results(f"{BASE}/domains", **before) == {"domains": []}


def test_the_root_links_to_what_is_answered(served: Served) -> None:
    for path in (BASE, f"{BASE}/"):
        _, answer = served.get(path)
        for link in answer["links"]:
            assert served.get(link["href"])[0] in (200, 400)
    _, answer = served.get(SUMMARY, **window(), metrics="count_clicked")
    for link in answer["links"]:
        assert served.get(link["href"], **window(), metrics="count_clicked")[0] == 200


@pytest.mark.parametrize(
    ("grouping", "query", "text"),
    [
        ("", {"metrics": "count_bounce"}, "count_bounce is not known here; there are count_acc"),
        ("", {"metrics": "count_delivered"}, "count_delivered is not known here"),
        ("", {"metrics": ""}, "metrics is required"),
        ("", {"from": ""}, "from is required"),
        ("", {"templates": "x"}, "templates can't be used here"),
        ("", {"query_filters": "{}"}, "query_filters can't be used here"),
        ("", {"limit": "1"}, "limit is not a parameter"),
        ("", {"precision": "5min"}, "the counts are of whole hours"),
        ("", {"precision": "week"}, "precision must be one of"),
        ("/domain", {"precision": "hour"}, "of whole days; use day"),
        ("/campaign", {"precision": "hour", "domains": "b.test"}, "of whole days; use day"),
        ("/campaign", {"order_by": "count_rendered"}, "order_by must be one of metrics"),
        ("/link-name", {"metrics": "count_rendered"}, "there are count_clicked"),
        ("/link-name", {"domains": "b.test"}, "domains is not a parameter"),
        ("/time-series", {"precision": "hour", "from": "2020-01-01T00:00"}, "31 days at most"),
        ("/time-series", {"from": "1980-01-01T00:00", "to": "2026-01-01T00:00"}, "too far apart"),
        *(
            (
                "/time-series",
                {"precision": each, "from": "9999-12-31T00:00", "to": "9999-12-31T23:00"},
                "to must be before",
            )
            for each in ("hour", "day", "week", "month")
        ),
    ],
)
def test_what_can_not_be_told_is_refused(
    served: Served, grouping: str, query: dict[str, str], text: str
) -> None:
    known = {**window(), "metrics": "count_clicked"}
    status, answer = served.get(SUMMARY + grouping, **{**known, **query})
    [error] = answer["errors"]
    assert (status, error["message"]) == (400, "Invalid parameter")
    assert text in error["description"]
