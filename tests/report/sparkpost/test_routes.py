"""The read APIs as a client meets them: keys, scopes, events, and what is wrong with a request."""

import base64
import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from tests.captured_logs import capture_logs
from tests.report.sparkpost.made_events import DAY, MIDNIGHT, make_events, newest_first, read
from tests.report.sparkpost.served import Served, serve, store_events
from tests.report.visitor import make_stranger, make_visitor
from tests.sinks.store.events import line

from msys_track.report.settings import ReportSettings
from msys_track.report.sparkpost.api_keys import Scope, make_api_key, remove_api_key
from msys_track.report.sparkpost.problems import RequestError
from msys_track.report.sparkpost.routes import REQUESTS_AT_ONCE, ROUTES, Gate

LINES = make_events(600, seed=5)
EVENTS = "/api/v1/events/message"
EARLIER = "/api/v1/message-events"
METRICS = "/api/v1/metrics/deliverability"
ALL = {"from": "2023-11-13T00:00", "to": "2023-11-20T00:00"}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(tmp_path_factory.mktemp("served"), LINES) as served:
        yield served


@pytest.mark.parametrize("path", [EVENTS, EARLIER, METRICS, "/api/v1/metrics/campaigns"])
@pytest.mark.parametrize("key", ["", "0" * 64, "Basic !", "Bearer x"])
def test_without_a_key_nothing_is_answered(served: Served, path: str, key: str) -> None:
    status, answer = served.get(path, key=key)
    assert (status, answer) == (
        401,
        {
            "errors": [
                {
                    "message": "Unauthorized.",
                    "description": "the header Authorization must be an API key",
                }
            ]
        },
    )


def test_a_key_may_be_the_user_of_http_basic(served: Served) -> None:
    basic = "Basic " + base64.b64encode(f"{served.key}:".encode()).decode()
    assert served.get(EVENTS, key=basic)[0] == 200


def test_a_key_reads_what_its_scopes_say(served: Served) -> None:
    events = make_api_key(served.keys, "events", [Scope.EVENTS])
    metrics = make_api_key(served.keys, "metrics", [Scope.METRICS])
    assert served.get(EVENTS, key=events)[0] == 200
    assert served.get("/api/v1/metrics/campaigns", key=metrics)[0] == 200
    for path, key, scope in (
        (EVENTS, metrics, "events"), (EARLIER, metrics, "events"),
        ("/api/v1/metrics/campaigns", events, "metrics"), (METRICS, events, "metrics"),
    ):  # fmt: skip
        status, answer = served.get(path, key=key)
        assert status == 403
        assert answer["errors"] == [
            {"message": "Forbidden.", "description": f"this key has not the scope {scope}"}
        ]
    for name in ("events", "metrics"):
        remove_api_key(served.keys, name)
    assert served.get(EVENTS, key=events)[0] == 401


def test_a_person_s_session_opens_no_api_and_a_key_no_page(served: Served) -> None:
    keys = ReportSettings(api_keys=served.keys)
    visitor = make_visitor(served.store, settings=keys, apis=ROUTES)
    assert visitor.get(EVENTS).status_code == 401
    stranger = make_stranger(served.store, settings=keys, apis=ROUTES)
    key = {"Authorization": served.key}
    assert stranger.get(EVENTS, headers=key).status_code == 200
    assert stranger.get("/live", headers=key).status_code in (302, 303, 401)


def test_the_log_has_the_name_of_the_key_and_nothing_of_the_request(served: Served) -> None:
    stranger = make_stranger(
        served.store, settings=ReportSettings(api_keys=served.keys), apis=ROUTES
    )
    with capture_logs() as logs:
        stranger.get(f"{EVENTS}?recipients=r1@b.test", headers={"Authorization": served.key})
        stranger.get(EVENTS, headers={"Authorization": "0" * 64})
    names = [each["api_key"] for each in logs if each["event"] == "report.answered"]
    assert names == ["all", None]
    assert not re.search(f"r1@b.test|{served.key}|{'0' * 64}", str(logs))


def test_a_page_of_another_site_reads_nothing(served: Served) -> None:
    stranger = make_stranger(
        served.store, settings=ReportSettings(api_keys=served.keys), apis=ROUTES
    )
    headers = {"Authorization": served.key, "Origin": "https://evil.example"}
    answer = stranger.get(EVENTS, headers=headers)
    assert not [each for each in answer.headers if each.startswith("access-control")]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")


def test_a_broken_file_of_keys_opens_nothing_and_is_no_crash(tmp_path: Path) -> None:
    with serve(tmp_path, [line()]) as served:
        served.keys.chmod(0o644)
        status, answer = served.get(EVENTS)
        assert (status, answer["errors"][0]["message"]) == (503, "Service unavailable")
        served.keys.chmod(0o600)
        assert served.get(EVENTS)[0] == 200


def test_who_asks_too_often_waits(tmp_path: Path) -> None:
    keys = tmp_path / "api-keys.toml"
    key, other = make_api_key(keys, "one", Scope), make_api_key(keys, "other", Scope)
    gate = Gate(keys)
    for _ in range(REQUESTS_AT_ONCE):
        gate.admit(key, Scope.EVENTS, 100.0)
    with pytest.raises(RequestError) as refused:
        gate.admit(key, Scope.EVENTS, 100.0)
    assert (refused.value.status, refused.value.headers) == (429, {"Retry-After": "1"})
    gate.admit(other, Scope.EVENTS, 100.0)
    gate.admit(key, Scope.EVENTS, 101.0)


def test_of_many_keys_those_that_did_not_ask_for_long_are_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("msys_track.report.sparkpost.routes._MAX_KEYS", 1)
    keys = tmp_path / "api-keys.toml"
    key, other = make_api_key(keys, "one", Scope), make_api_key(keys, "other", Scope)
    gate = Gate(keys)
    for _ in range(REQUESTS_AT_ONCE):
        gate.admit(key, Scope.EVENTS, 100.0)
    gate.admit(other, Scope.EVENTS, 100.0)
    gate.admit(key, Scope.EVENTS, 100.0)


def test_where_too_many_requests_wait_another_is_told_to_come_back(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("msys_track.report.sparkpost.routes._MAX_WAITING", 0)
    status, answer = served.get(EVENTS)
    assert status == 503
    assert answer["errors"][0]["description"] == "too many requests wait"


def test_all_events_come_in_pages_that_links_lead_through(served: Served) -> None:
    found = []
    target = f"{EVENTS}?from={ALL['from']}&to={ALL['to']}&per_page=100"
    while target:
        status, answer = served.get(target)
        assert status == 200
        assert answer["total_count"] == len(newest_first(LINES))
        found += [each["event_id"] for each in answer["results"]]
        links = {each["rel"]: each["href"] for each in answer["links"]}
        assert links["first"].startswith(f"{EVENTS}?")
        target = links.get("next", "")
    assert found == newest_first(LINES)


def test_an_event_has_the_fields_of_its_webhook_but_for_the_time(served: Served) -> None:
    by_id = {read(each)["event_id"]: read(each) for each in LINES}
    for event in served.results(EVENTS, **ALL, per_page=20):
        expected = by_id[event["event_id"]]
        assert re.fullmatch(r"2023-11-1\dT\d\d:\d\d:\d\d\.000\+00:00", event["timestamp"])
        assert {**event, "timestamp": expected["timestamp"]} == expected


def test_filters_may_be_lists_with_another_delimiter(served: Served) -> None:
    found = served.results(
        EVENTS, **ALL, events="click;open", recipients="R3@b.test;r5@b.test", delimiter=";"
    )
    assert [each["event_id"] for each in found] == newest_first(
        LINES, types=("click", "open"), recipients=("r3@b.test", "r5@b.test")
    )


@pytest.mark.parametrize(
    ("query", "filters"),
    [
        ({"campaigns": "*ummer*"}, {"campaigns": ("*ummer*",)}),
        ({"recipient_domains": "MAIL.b.test"}, {"domains": ("mail.b.test",)}),
        ({"transmissions": "7001,7002"}, {"transmissions": ("7001", "7002")}),
        ({"message_ids": f"{7:020x}"}, {"messages": (f"{7:020x}",)}),
        ({"messages": f"{7:020x}"}, {"messages": (f"{7:020x}",)}),
        ({"subject": "Offer, no"}, {"subject": "Offer, no"}),
        ({"subjects": "*1 for*"}, {"subject": "*1 for*"}),
        ({"reason": "550*rule 2"}, {"reason": "550*rule 2"}),
        ({"events": "bounce,delivery"}, {"types": ("bounce",)}),
        ({"events": "reclassified"}, {"types": ("reclassified",)}),
    ],
)
def test_a_filter_takes_what_fits(
    served: Served, query: dict[str, str], filters: dict[str, str]
) -> None:
    found = served.results(EVENTS, **ALL, **query)
    assert [each["event_id"] for each in found] == newest_first(LINES, **filters)


def test_events_are_found_by_their_ids(served: Served) -> None:
    ids = newest_first(LINES)[:3]
    wanted = {"from": "2023-11-13T00:00", "event_ids": ",".join(ids)}
    assert {each["event_id"] for each in served.results(EVENTS, **wanted)} == set(ids)


def test_a_time_is_in_the_zone_of_the_request(served: Served) -> None:
    expected = newest_first(LINES, since=MIDNIGHT + DAY, until=MIDNIGHT + DAY + 1_800)
    found = served.results(
        EVENTS,
        timezone="America/New_York",
        **{"from": "2023-11-14T19:00", "to": "2023-11-14T19:30"},
    )
    assert [each["event_id"] for each in found] == expected
    found = served.results(
        EVENTS, **{"from": "2023-11-15T01:00:00+01:00", "to": "2023-11-15T00:30Z"}
    )
    assert [each["event_id"] for each in found] == expected


def test_a_day_back_is_searched_unless_said_otherwise(tmp_path: Path) -> None:
    now = int(time.time())
    lines = [line(at=now - 2 * DAY), line(at=now - 60), line(at=now - DAY + 60)]
    with serve(tmp_path, lines) as served:
        found = served.results(EVENTS)
    assert [each["event_id"] for each in found] == [
        read(lines[1])["event_id"],
        read(lines[2])["event_id"],
    ]


def test_the_earlier_address_answers_pages_by_number(served: Served) -> None:
    expected = newest_first(LINES, campaigns=("Summer Sale",), types=("open", "click"))
    query = {**ALL, "campaign_ids": "Summer Sale", "events": "open,click", "per_page": 7}
    for page in (1, 2, 3):
        found = served.results(EARLIER, **query, page=page)
        assert [each["event_id"] for each in found] == expected[(page - 1) * 7 : page * 7]
    assert served.results(EARLIER, **query, page=100) == []


def test_a_page_that_is_too_far_to_count_to_is_refused(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("msys_track.report.sparkpost.events._MAX_STEPS", 1)
    status, answer = served.get(EARLIER, **ALL, per_page=10, page=2)
    assert status == 400
    assert answer["errors"][0]["message"] == "Search is too wide"


def test_the_earlier_address_has_another_sign_for_any_text(served: Served) -> None:
    found = served.results(EARLIER, **ALL, reason="%rule 2%")
    assert [each["event_id"] for each in found] == newest_first(LINES, reason="*rule 2*")
    assert found


def test_the_earlier_address_links_to_pages_that_stay(served: Served) -> None:
    _, answer = served.get(EARLIER, **ALL, per_page=10, page=2)
    [link] = [each["href"] for each in answer["links"] if each["rel"] == "next"]
    assert urlsplit(link).path == EARLIER
    assert "page" not in dict(parse_qsl(urlsplit(link).query))
    _, following = served.get(link)
    found = [each["event_id"] for each in following["results"]]
    assert found == newest_first(LINES)[20:30]


@pytest.mark.parametrize(
    ("path", "query", "text"),
    [
        (EVENTS, {"flavour": "1"}, "flavour is not a parameter"),
        (EVENTS, {"page": "2"}, "page is not a parameter"),
        (EVENTS, {"templates": "x"}, "templates can't be used here: mail comes over SMTP"),
        (EVENTS, {"bounce_classes": "10"}, "no event tells of its delivery"),
        (EVENTS, {"events": "clicks"}, "clicks is no type of event; there are amp_click,"),
        (EVENTS, {"per_page": "0"}, "per_page must be from 1 to 10000"),
        (EVENTS, {"per_page": "10001"}, "per_page must be from 1 to 10000"),
        (EVENTS, {"per_page": "ten"}, "per_page must be a number"),
        (EVENTS, {"per_page": "\N{ARABIC-INDIC DIGIT ONE}"}, "per_page must be a number"),
        (EVENTS, {"cursor": "x"}, "cursor must be initial"),
        (EVENTS, {"from": "yesterday"}, "from must be a time"),
        (EVENTS, {"from": "0001-01-01T00:00", "timezone": "Asia/Tokyo"}, "from must be a time"),
        (EVENTS, {"from": "2026-01-02T00:00", "to": "2026-01-01T00:00"}, "not be later than to"),
        (EVENTS, {"timezone": "Moon/Base"}, "timezone must be a name"),
        (EVENTS, {"timezone": "../../etc/passwd"}, "timezone must be a name"),
        (EVENTS, {"campaigns": "*a*b*"}, "more than 2 *"),
        (EVENTS, {"recipients": "a," * 501}, "recipients has more than 500 values"),
        (EARLIER, {"page": "3", "per_page": "10000"}, "page 3 is more than 10,000 events away"),
        (EARLIER, {"template_ids": "x"}, "no event has a template"),
    ],
)
def test_a_wrong_parameter_is_named(
    served: Served, path: str, query: dict[str, str], text: str
) -> None:
    status, answer = served.get(path, **query)
    [error] = answer["errors"]
    assert (status, error["message"]) == (400, "Invalid parameter")
    assert text in error["description"]


def test_a_parameter_stands_there_once(served: Served) -> None:
    status, answer = served.get(f"{EVENTS}?events=open&events=click")
    assert (status, answer["errors"][0]["description"]) == (
        400, "events stands there twice; give a list in one",
    )  # fmt: skip


def test_an_address_is_at_most_as_long_as_at_sparkpost(served: Served) -> None:
    assert served.get(f"{EVENTS}?subject={'x' * 4_090}")[0] == 414


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_nothing_can_be_written(served: Served, method: str) -> None:
    status, answer = served.get(EVENTS, method=method)
    assert (status, answer["errors"][0]["message"]) == (405, "Method not allowed")


@pytest.mark.parametrize("path", ["/api/v1/transmissions", "/api/v1/events/ingest/x"])
def test_another_address_is_not_there(served: Served, path: str) -> None:
    status, answer = served.get(path)
    assert (status, answer["errors"][0]["message"]) == (404, "Resource could not be found")


def test_a_head_has_no_body(served: Served) -> None:
    assert served.get(EVENTS, method="HEAD") == (200, None)


def test_a_store_that_is_gone_is_said_without_its_path(tmp_path: Path) -> None:
    with serve(tmp_path, [line()]) as served:
        served.store.rename(tmp_path / "away")
        status, answer = served.get(EVENTS)
        assert status == 503
        assert answer == {
            "errors": [
                {
                    "message": "Service unavailable",
                    "description": "the event store can't be read",
                }
            ]
        }
        assert os.fspath(tmp_path) not in json.dumps(answer)


def test_events_are_read_while_others_come(tmp_path: Path) -> None:
    with serve(tmp_path, LINES[:100]) as served:
        _, answer = served.get(EVENTS, **ALL, per_page=30)
        store_events(served.store, LINES[100:])
        found = answer["results"]
        while links := [each["href"] for each in answer["links"] if each["rel"] == "next"]:
            _, answer = served.get(links[0])
            found += answer["results"]
    assert [each["event_id"] for each in found] == newest_first(LINES[:100])
