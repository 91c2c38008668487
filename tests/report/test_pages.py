"""The pages of the report, on a real store: what they say, and that no text becomes markup."""

import asyncio
import html
import re
import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest
from starlette.testclient import TestClient
from tests.report.visitor import make_stranger, make_visitor
from tests.sinks.store.events import AT, batch, event_id, line
from tests.thoroughness import IS_THOROUGH

from msys_track.event_fields import NO_MESSAGE_ID
from msys_track.report import export, pages
from msys_track.report.text import TEXT
from msys_track.report.view import count_merged
from msys_track.sinks.store.sink import SqliteSink
from msys_track.tracking.classify.rules import Rule

PAGES: Final = (*pages.ROUTES, *export.ROUTES)
DAY: Final = datetime.fromtimestamp(AT, UTC).date()
DAYS: Final = f"from={DAY}&to={DAY}"
MESSAGES: Final = [f"{number:020x}" for number in range(1, 5)]
HOSTILE: Final = "\"><script>alert(1)</script>{{ 7*7 }}'&<b>\u202e"


def place(part: str, number: int) -> dict[str, Any]:
    return {"target_link_position": {"part": part, "number": number}}


def list_events() -> list[bytes]:
    """Four mails sent; one opened by a person, one by a machine, one clicked in a burst."""
    about: dict[str, Any] = {"rcpt_tags": ["spring", "shoes"], "recipient_domain": "b.test"}
    reader: dict[str, Any] = {
        "user_agent_parsed": {"agent_family": "Firefox", "os_family": "Linux"},
        "geo_ip": {"country": "NL"},
        "ip_address": "192.0.2.7",
    }
    burst = line(
        message_id=MESSAGES[2], target_link_name="banner", own=place("html", 3), **about, **reader
    )
    return [
        *(
            line("injection", class_=None, message_id=each, subject="Shoes & more", **about)
            for each in MESSAGES
        ),
        line("open", message_id=MESSAGES[0], **about, **reader),
        line("open", at=AT + 60, message_id=MESSAGES[0], **about, **reader),
        line("open", class_="prefetch", message_id=MESSAGES[1], **about,
             own={"rules": [{"rule": "apple_proxy", "evidence": "Mozilla/5.0"}]}),
        line("click", message_id=MESSAGES[0], own=place("text", 1), **about, **reader),
        burst,
        line("reclassified", class_="scanner", message_id=MESSAGES[2],
             own={"reclassifies": event_id(burst), "reclassified_type": "click",
                  "rules": [{"rule": "burst", "evidence": "5 links in 0.8 s"}]}),
        line("list_unsubscribe", message_id=MESSAGES[3], **about),
        line("open", campaign_id=None, rcpt_to="jo@c.test", message_id="ff"),
    ]  # fmt: skip


def list_hostile_events() -> list[bytes]:
    return [
        line(
            "click", campaign_id=HOSTILE, rcpt_to=f"{HOSTILE}@b.test", message_id=HOSTILE,
            rcpt_tags=[HOSTILE], recipient_domain=HOSTILE, target_link_name=HOSTILE,
            target_link_url=f"javascript:{HOSTILE}", geo_ip={"country": HOSTILE},
            user_agent_parsed={"agent_family": HOSTILE}, ip_address=HOSTILE, reason=HOSTILE,
            own={"rules": [{"rule": HOSTILE, "evidence": HOSTILE}], **place("html", 1)},
        ),
        line("injection", class_=None, message_id=HOSTILE, subject=HOSTILE, campaign_id=HOSTILE),
        line(HOSTILE, class_=HOSTILE, message_id=HOSTILE, campaign_id=HOSTILE),
    ]  # fmt: skip


def make_store(path: Path, lines: Sequence[bytes]) -> Path:
    async def fill() -> None:
        async with SqliteSink(path) as sink:
            await sink.write(batch(*lines))

    asyncio.run(fill())
    return path


@pytest.fixture(scope="module")
def visitor(tmp_path_factory: pytest.TempPathFactory) -> TestClient:
    store = make_store(tmp_path_factory.mktemp("report") / "events.sqlite", list_events())
    return make_visitor(store, PAGES)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> TestClient:
    store = make_store(tmp_path_factory.mktemp("hostile") / "events.sqlite", list_hostile_events())
    return make_visitor(store, PAGES)


def read_text(page: str) -> str:
    """What a reader sees of a page, on one line."""
    return " ".join(html.unescape(re.sub("<[^>]*>", " ", page)).split())


def read_rows(page: str, caption: str) -> list[list[str]]:
    """The rows of the body of the table with this caption."""
    table = next(each for each in re.findall("(?s)<table>.*?</table>", page) if caption in each)
    rows = re.findall("(?s)<tr>(.*?)</tr>", table.partition("<tbody>")[2])
    return [[read_text(cell) for cell in re.findall("(?s)<t[hd].*?</t[hd]>", row)] for row in rows]


def read_tiles(page: str) -> dict[str, str]:
    return {
        name: read_text(number)
        for name, number in re.findall("(?s)<dt>(.*?)</dt><dd>(.*?)</dd>", page)
    }


def test_the_overview_has_what_was_sent_and_done_by_people_with_rates(visitor: TestClient) -> None:
    answer = visitor.get(f"/?{DAYS}")

    assert answer.status_code == 200
    assert read_tiles(answer.text) == {
        "Sent": "4",
        "Opened by people": "2 50.0 % of sent",
        "Clicked by people": "1 25.0 % of sent",
        "Unsubscribed": "1 25.0 % of sent",
        "Opened by machines": "1",
        "Clicked by machines": "1",
    }
    assert TEXT["rates.note"] in html.unescape(answer.text)


def test_without_sent_mail_the_overview_says_why_there_are_no_rates(tmp_path: Path) -> None:
    store = make_store(tmp_path / "events.sqlite", [line("open")])
    page = make_visitor(store, PAGES).get(f"/?{DAYS}").text

    assert read_tiles(page)["Opened by people"] == "1"
    assert TEXT["rates.no_sent"] in page


def test_messages_or_all_events_are_counted_and_the_address_says_which(
    visitor: TestClient,
) -> None:
    unique = visitor.get(f"/?{DAYS}").text
    total = visitor.get(f"/?{DAYS}&count=total").text

    day = str(DAY)
    hour = f"{day} 22:00"
    #      sent opened  people machines clicked people machines unsubscribed
    assert read_rows(unique, "Numbers over time")[22] == [
        hour, "4", "3", "2", "1", "2", "1", "1", "1",
    ]  # fmt: skip
    assert read_rows(total, "Numbers over time")[22] == [
        hour, "4", "4", "3", "1", "2", "1", "1", "1",
    ]  # fmt: skip
    assert f'href="/?from={day}&amp;to={day}&amp;count=total"' in unique
    assert f'href="/?from={day}&amp;to={day}" aria-current' not in total


def test_days_are_shown_for_a_longer_period_without_gaps(visitor: TestClient) -> None:
    rows = read_rows(visitor.get("/?from=2023-11-10&to=2023-11-16").text, "Numbers over time")

    assert [row[0] for row in rows] == [f"2023-11-{day}" for day in range(10, 17)]
    assert [row[1] for row in rows] == ["0", "0", "0", "0", "4", "0", "0"]


def test_a_long_period_is_shown_in_few_rows_that_hold_all_of_it(visitor: TestClient) -> None:
    page = visitor.get("/?from=2015-01-01&to=2023-12-31&count=total").text

    rows = read_rows(page, "Numbers over time, a row for each 28 days")
    assert len(rows) == 118
    assert [sum(int(row[column]) for row in rows) for column in (1, 2, 5)] == [4, 4, 2]
    assert rows[1][0] == "2015-01-29"


@pytest.mark.parametrize(
    ("steps", "merged"), [(0, 1), (1, 1), (120, 1), (121, 7), (840, 7), (841, 28), (3660, 31)]
)
def test_steps_are_days_weeks_or_four_weeks(steps: int, merged: int) -> None:
    assert count_merged(steps) == merged


def test_the_overview_compares_campaigns_tags_domains_clients_and_countries(
    visitor: TestClient,
) -> None:
    page = visitor.get(f"/?{DAYS}").text

    assert [row[:3] for row in read_rows(page, "Campaigns")] == [
        ["Summer Sale", "4", "2"], ["(no campaign)", "0", "1"],
    ]  # fmt: skip
    assert [row[0] for row in read_rows(page, "Tags")] == ["shoes", "spring"]
    assert read_rows(page, "Domains of recipients")[0][:3] == ["b.test", "4", "2"]
    assert read_rows(page, "Clients")[0][:2] == ["Firefox", "1"]
    assert read_rows(page, "Countries")[0][:2] == ["NL", "1"]


@pytest.mark.parametrize(
    "path",
    [
        f"/?{DAYS}", f"/campaigns?{DAYS}", f"/campaign?name=Summer+Sale&{DAYS}",
        f"/groups?by=tag&{DAYS}",
    ],
)  # fmt: skip
def test_every_chart_has_its_table_and_every_table_its_exports(
    visitor: TestClient, path: str
) -> None:
    page = visitor.get(path).text

    charts = page.count('role="img"')
    series = page.count('id="chart-sent-title"') + page.count('id="chart-opened-title"')
    tables = len(re.findall("<table><caption>|<table>\n<caption>", page))
    # The charts over time share a table.
    assert tables == charts - (3 if series else 0)
    exports = re.findall('href="(/export/[^"]*)"', page)
    assert len(exports) >= 2 * tables
    for each in exports:
        answer = visitor.get(html.unescape(each))
        assert answer.status_code == 200
        assert answer.content


def test_all_links_of_all_pages_lead_somewhere(visitor: TestClient) -> None:
    seen, todo = set[str](), ["/", f"/?{DAYS}"]
    alike = Counter[str]()
    while todo:
        path = todo.pop()
        key = re.sub(r"\d{4}-\d\d-\d\d", "", path)
        if key in seen or path.startswith(("/campaign/clicks", "/static")):
            continue
        seen.add(key)
        # By default a few of those that differ in what their questions are answered with alone.
        shape = re.sub("=[^&]*", "", path)
        alike[shape] += 1
        if alike[shape] > 5 and not IS_THOROUGH:
            continue
        answer = visitor.get(path)
        assert answer.status_code == 200, path
        if "text/html" in answer.headers["content-type"]:
            todo += map(html.unescape, re.findall(' href="(/[^"#]*)"', answer.text))
    assert len(seen) > 50


def test_the_form_of_days_keeps_what_else_the_address_says(visitor: TestClient) -> None:
    page = visitor.get(f"/groups?by=tag&name=Summer+Sale&{DAYS}&count=total&what=clicked").text

    form = re.search('(?s)<form class="filters".*?</form>', page)
    assert form is not None
    assert dict(re.findall('type="hidden" name="(.*?)" value="(.*?)"', form[0])) == {
        "name": "Summer Sale", "by": "tag", "count": "total", "what": "clicked",
    }  # fmt: skip
    assert re.findall('type="date" value="(.*?)"', form[0]) == [str(DAY), str(DAY)]
    assert 'method="get"' in form[0]


def test_presets_are_links_and_the_chosen_one_is_marked(visitor: TestClient) -> None:
    page = visitor.get("/").text

    assert re.findall(r'aria-current="true">([^<]*)</a>', page) == ["7 days"]


def test_the_campaign_has_its_links_with_clicks_by_people_and_machines(
    visitor: TestClient,
) -> None:
    page = visitor.get(f"/campaign?name=Summer+Sale&{DAYS}").text

    assert read_rows(page, ">Links ") == [
        ["banner", "html 3", "https://shop.test/", "0", "1", "0"],
        ["(no name)", "text 1", "https://shop.test/", "1", "0", "0"],
    ]
    assert read_tiles(page)["Sent"] == "4"
    assert '<a class="button" href="/campaign/clicks?name=Summer+Sale">' in page


def test_mail_without_a_campaign_has_a_page(visitor: TestClient) -> None:
    page = visitor.get(f"/campaign?name=&{DAYS}").text

    assert "<h1>Campaign (no campaign)</h1>" in page
    assert read_tiles(page)["Opened by people"] == "1"


def test_a_message_has_its_events_the_verdicts_and_why(visitor: TestClient) -> None:
    text = read_text(visitor.get(f"/message/{MESSAGES[2]}").text)

    assert "Subject Shoes & more Recipient grün@b.test Campaign Summer Sale" in text
    assert (
        "2023-11-14 22:13:20 UTC Clicked a scanner Link html:3 “banner” to https://shop.test/ "
        "It was first taken for this: a person. A later verdict changed it. "
        "Why: Many links of the message were followed at once. seen: 5 links in 0.8 s "
        "Client: Firefox on Linux · Country: NL · Address: 192.0.2.7"
    ) in text
    assert TEXT["rule.apple_proxy"] in read_text(visitor.get(f"/message/{MESSAGES[1]}").text)
    assert TEXT["timeline.no_rule"] in visitor.get(f"/message/{MESSAGES[0]}").text


def test_every_rule_and_class_is_explained_in_words() -> None:
    assert {f"rule.{each}" for each in Rule} == {each for each in TEXT if each[:5] == "rule."}


def test_a_recipient_has_the_newest_first_over_pages(tmp_path: Path) -> None:
    lines = [line(at=AT + number, message_id=f"{number + 1:020x}") for number in range(250)]
    visitor = make_visitor(make_store(tmp_path / "events.sqlite", lines), PAGES)

    path, times = "/recipient?address=GR%C3%9CN@b.test", list[str]()
    for _ in range(3):
        page = visitor.get(path)
        assert page.status_code == 200
        times += re.findall('<time datetime="(.*?)"', page.text)
        older = re.search('href="([^"]*)" rel="next"', page.text)
        path = html.unescape(older[1]) if older else ""
    assert path == ""
    assert times == sorted(times, reverse=True)
    assert len(set(times)) == 250


def test_messages_of_mail_with_privacy_aggregate_are_not_mixed_up(tmp_path: Path) -> None:
    store = make_store(tmp_path / "events.sqlite", [line(message_id=NO_MESSAGE_ID)])
    visitor = make_visitor(store, PAGES)

    assert visitor.get(f"/message/{NO_MESSAGE_ID}").status_code == 404
    assert visitor.get(f"/export/events.csv?message={NO_MESSAGE_ID}").status_code == 404
    assert "/message/" not in visitor.get("/recipient?address=gr%C3%BCn@b.test").text


def test_the_search_leads_to_recipients_messages_campaigns_and_links(visitor: TestClient) -> None:
    for text, kind, link in (
        ("grü", "Recipient", "/recipient?address=gr%C3%BCn%40b.test"),
        (MESSAGES[0], "Message", f"/message/{MESSAGES[0]}"),
        ("summer", "Campaign", "/campaign?name=Summer+Sale&amp;from=2023-10-16&amp;to=2023-11-14"),
        ("shop.test", "Link", "/campaign?name=Summer+Sale"),
    ):
        page = visitor.get("/search", params={"q": text}).text
        assert kind in [row[1] for row in read_rows(page, "Found for")]
        assert f'href="{link}"' in page
        assert f'value="{text}"' in page


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/?from=2020-01-01&to=2020-01-02", 200, "overview.empty_hint"),
        ("/campaigns?from=2020-01-01&to=2020-01-02", 200, "campaigns.empty_hint"),
        ("/campaign?name=Summer+Sale&from=2020-01-01&to=2020-01-02", 200, "overview.empty_hint"),
        ("/groups?by=tag&from=2020-01-01&to=2020-01-02", 200, "group.tag.empty"),
        ("/campaign?name=none", 404, "campaign.unknown_hint"),
        ("/message/none", 404, "message.empty_hint"),
        ("/message/a/b%2Fc", 404, "message.empty_hint"),
        ("/recipient?address=none@b.test", 404, "recipient.empty_hint"),
        ("/recipient", 404, "recipient.none"),
        ("/recipient?address=gr%C3%BCn@b.test&before=1", 404, "recipient.end"),
        ("/search?q=nothing+has+this", 200, "search.none_hint"),
        ("/search", 200, "search.hint"),
        ("/groups?by=none", 404, "error.404"),
        ("/groups?by=mail", 404, "error.404"),
        ("/export/none.csv", 404, "error.404"),
        ("/export/series.xlsx", 404, "error.404"),
    ],
)
def test_where_there_is_nothing_a_page_says_what_to_do(
    visitor: TestClient, path: str, status: int, says: str
) -> None:
    answer = visitor.get(path)

    assert answer.status_code == status
    assert TEXT[says] in html.unescape(answer.text)


@pytest.mark.parametrize("path", ["/", "/campaign?name=Summer+Sale"])
def test_where_days_are_empty_the_newest_days_with_events_are_offered(
    visitor: TestClient, path: str
) -> None:
    page = visitor.get(path).text

    link = re.search('class="button" href="([^"]*from=[^"]*)">([^<]*)', page)
    assert link is not None
    assert link[2] == f"Show {DAY} to {DAY}, the newest days with events"
    assert read_tiles(visitor.get(html.unescape(link[1])).text)["Sent"] == "4"


def test_a_store_without_events_says_what_makes_some(tmp_path: Path) -> None:
    visitor = make_visitor(make_store(tmp_path / "events.sqlite", []), PAGES)

    for path in ("/", "/campaigns", "/search?q=a", "/export/events.csv", "/export/series.csv"):
        assert visitor.get(path).status_code == 200
    assert TEXT["overview.never"] in visitor.get("/").text


def test_a_store_that_another_program_has_locked_says_so(tmp_path: Path) -> None:
    store = make_store(tmp_path / "events.sqlite", list_events())
    with closing(sqlite3.connect(store, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        answer = make_visitor(store, PAGES).get("/")

    assert answer.status_code == 503
    assert "locked by another program; end it" in answer.text


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("from=yesterday", "allowed: a day as in 2026-11-28"),
        ("from=2023-11-15&to=2023-11-14", "the first day, 2023-11-15, is behind"),
        ("from=1999-01-01&to=2023-11-14", "longer than 3660 days"),
    ],
)
def test_days_that_cannot_be_used_are_named(visitor: TestClient, query: str, says: str) -> None:
    answer = visitor.get(f"/?{query}")

    assert answer.status_code == 400
    assert says in answer.text


@pytest.mark.parametrize(
    "query",
    ["count=most", "what=%00", "before=-1", "before=99999999999999999999999", "name=%ff%fe"],
)
def test_what_a_query_names_wrongly_does_no_harm(visitor: TestClient, query: str) -> None:
    for path in ("/", "/campaigns", "/recipient", "/search", "/export/series.csv"):
        answer = visitor.get(f"{path}?{query}&{DAYS}&address=gr%C3%BCn@b.test&q=%00")
        assert answer.status_code == 200


def test_without_a_store_a_page_says_who_makes_it(tmp_path: Path) -> None:
    visitor = make_visitor(tmp_path / "events.sqlite", PAGES)

    for path in ("/", "/campaigns", "/search?q=a", "/export/events.csv"):
        answer = visitor.get(path)
        assert answer.status_code == 503
        assert "the tracker makes it when it starts" in answer.text


def test_no_page_is_shown_to_a_stranger(visitor: TestClient) -> None:
    stranger = make_stranger(visitor.app.state.store, PAGES)  # type: ignore[attr-defined]

    for route in PAGES:
        path = re.sub("{.*?}", "series", route.path).replace("series.series", "series.csv")
        assert stranger.get(path).status_code in {303, 401}


@pytest.mark.parametrize("name", ["tag", "domain", "client", "country"])
def test_no_text_of_an_event_becomes_markup(hostile: TestClient, name: str) -> None:
    paths = [
        f"/?{DAYS}", f"/campaigns?{DAYS}", f"/groups?by={name}&{DAYS}", "/search",
        "/campaign", "/recipient", f"/message/{HOSTILE}",
    ]  # fmt: skip
    query = {
        "/search": {"q": HOSTILE},
        "/campaign": {"name": HOSTILE, "from": str(DAY), "to": str(DAY)},
        "/recipient": {"address": f"{HOSTILE}@b.test"},
    }
    for path in paths:
        page = hostile.get(path, params=query.get(path)).text
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert" in page
        assert "&lt;b&gt;" in page or path[:8] == "/message"
        assert 'href="javascript' not in page
        assert "49" not in read_text(page.replace("2049", ""))
        assert not re.search(r'\s(style|onerror|onload|onclick)="', page)
