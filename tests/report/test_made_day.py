"""Each number of the pages of a made day is what a plain script counts of the exported events."""

import csv
import io
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlencode

import pytest
from starlette.testclient import TestClient
from tests import processes
from tests.report import made_day, plain_script
from tests.report.made_day import CAMPAIGNS, DAYS, Campaign
from tests.report.plain_script import KINDS, Event, count, count_mail
from tests.report.reading import read_table, read_text, read_tiles
from tests.report.visitor import make_visitor

from msys_track.report.routes import PAGES

GROUPS: Final[dict[str, tuple[str, Callable[[Event], Iterable[str]]]]] = {
    "tag": ("Tags", plain_script.find_tags),
    "domain": ("Domains of recipients", plain_script.find_domain),
    "client": ("Clients", plain_script.find_client),
    "country": ("Countries", plain_script.find_country),
}
HAS_MAIL: Final = ("tag", "domain")


@dataclass(frozen=True, slots=True)
class Made:
    """The report of the day, and the events that its store exports.

    Attributes:
        shown: Those of its period by campaign; all by None; those of none by an empty name.
    """

    visitor: TestClient
    events: Sequence[Event]
    shown: Mapping[str | None, Sequence[Event]]

    def of(self, campaign: str | None) -> Sequence[Event]:
        """Return the events of its period of a campaign; of all if None; of none if empty."""
        return self.shown.get(campaign, ())

    def show(self, path: str, **query: str | None) -> str:
        """Return a page."""
        given = urlencode({name: each for name, each in query.items() if each is not None})
        answer = self.visitor.get(f"{path}?{DAYS}&{given}")
        assert answer.status_code == 200, answer.text
        return answer.text


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("day")
    made_day.fill_store(folder / "events.sqlite", made_day.make_day())
    made_day.keep_mails(folder / "kept-mail")
    exported = processes.run(folder, "events", "export", "--store", "events.sqlite")
    assert exported.code == 0, exported.errors
    visitor = make_visitor(folder / "events.sqlite", PAGES, kept_mail=folder / "kept-mail")
    events = plain_script.read_events(exported.output.splitlines())
    shown: dict[str | None, list[Event]] = defaultdict(list)
    for event in filter(made_day.is_shown, events):
        shown[None].append(event)
        shown[event.get("campaign_id", "")].append(event)
    return Made(visitor, events, shown)


def write(number: int) -> str:
    return f"{number:,}"


def write_row(events: Sequence[Event], how: str, *, has_mail: bool = True) -> list[str]:
    """The cells of a row of numbers, as pages have them."""
    return [
        *([write(count_mail(events, "sent"))] if has_mail else []),
        *(
            write(count(events, action, how, who))
            for action in ("opened", "clicked")
            for who in ("all", "people", "machines")
        ),
        write(count(events, "unsubscribed", how, "all")),
    ]


def name_campaign(event: Event) -> list[str]:
    return [event.get("campaign_id", "(no campaign)")]


def test_the_day_has_all_that_is_counted(made: Made) -> None:
    shown = made.of(None)
    assert {event["action"] for event in shown} == set(plain_script.ACTIONS.values())
    assert {event["reader"] for event in shown} == set(KINDS)
    assert len(shown) > 4_000
    assert len(shown) < len(made.events)  # some is later, and not to be counted


@pytest.mark.parametrize("campaign", [None, *(each.name or "" for each in CAMPAIGNS)])
def test_tiles_are_to_the_unit(made: Made, campaign: str | None) -> None:
    path = "/" if campaign is None else "/campaign"
    events = made.of(campaign)
    assert read_tiles(made.show(path, name=campaign)) == {
        "Sent": write(count_mail(events, "sent")),
        "Opened by people": write(count(events, "opened", "unique", "people")),
        "Clicked by people": write(count(events, "clicked", "unique", "people")),
        "Unsubscribed": write(count(events, "unsubscribed", "unique", "people")),
        "Opened by machines": write(count(events, "opened", "unique", "machines")),
        "Clicked by machines": write(count(events, "clicked", "unique", "machines")),
        **(
            {"Rejected": write(count_mail(events, "rejected"))}
            if count_mail(events, "rejected")
            else {}
        ),
    }


@pytest.mark.parametrize("how", ["unique", "total"])
@pytest.mark.parametrize("campaign", [None, *(each.name or "" for each in CAMPAIGNS)])
def test_hours_are_to_the_unit(made: Made, campaign: str | None, how: str) -> None:
    page = made.show("/" if campaign is None else "/campaign", name=campaign, count=how)
    by_hour = dict(plain_script.group(made.of(campaign), write_hour))
    rows = read_table(page, "Numbers over time")
    assert len(rows) == 48
    assert set(by_hour) <= {row[0] for row in rows}
    assert rows == [[row[0], *write_row(by_hour.get(row[0], []), how)] for row in rows]


def write_hour(event: Event) -> list[str]:
    hour = int(event["timestamp"]) // 3_600 * 3_600
    return [datetime.fromtimestamp(hour, UTC).strftime("%Y-%m-%d %H:%M")]


@pytest.mark.parametrize("how", ["unique", "total"])
@pytest.mark.parametrize("path", ["/", "/campaigns"])
def test_campaigns_are_to_the_unit(made: Made, path: str, how: str) -> None:
    rows = read_table(made.show(path, count=how), "Campaigns")
    expected = plain_script.group(made.of(None), name_campaign)
    assert sorted(rows) == sorted([name, *write_row(found, how)] for name, found in expected)
    sizes = {name: plain_script.count_size(found) for name, found in expected}
    assert [sizes[row[0]] for row in rows] == sorted(sizes.values(), reverse=True)


@pytest.mark.parametrize("how", ["unique", "total"])
@pytest.mark.parametrize("by", GROUPS)
@pytest.mark.parametrize("campaign", [None, "Autumn sale", ""])
def test_groups_are_to_the_unit(made: Made, campaign: str | None, by: str, how: str) -> None:
    caption, find = GROUPS[by]
    groups = plain_script.group(made.of(campaign), find)
    expected = sorted(
        [name, *write_row(found, how, has_mail=by in HAS_MAIL)] for name, found in groups
    )
    if expected:
        page = made.show("/" if campaign is None else "/campaign", name=campaign, count=how)
        assert sorted(read_table(page, caption)) == expected
        page = made.show("/groups", by=by, name=campaign, count=how)
        assert sorted(read_table(page, caption)) == expected


@pytest.mark.parametrize("how", ["unique", "total"])
@pytest.mark.parametrize("campaign", CAMPAIGNS, ids=lambda campaign: campaign.subject)
def test_links_are_to_the_unit(made: Made, campaign: Campaign, how: str) -> None:
    page = made.show("/campaign", name=campaign.name or "", count=how)
    assert read_table(page, "Links") == [
        [
            name or "(no name)",
            f"{part} {number}",
            target,
            *(write(count_clicks(made, campaign, f"{part}:{number}", how, who)) for who in KINDS),
        ]
        for part in ("html", "text")
        for number, (name, target) in enumerate(campaign.links, 1)
        if count_clicks(made, campaign, f"{part}:{number}", "total", *KINDS)
    ]


def count_clicks(made: Made, campaign: Campaign, link: str, how: str, *who: str) -> int:
    return sum(
        how == "total" or event[f"first link {event['reader']}"]
        for event in made.of(campaign.name or "")
        if event["action"] == "clicked"
        and plain_script.write_link(event) == link
        and event["reader"] in who
    )


@pytest.mark.parametrize("who", ["people", "machines", "all"])
@pytest.mark.parametrize("part", ["html", "text"])
@pytest.mark.parametrize("campaign", CAMPAIGNS, ids=lambda campaign: campaign.subject)
def test_the_click_map_is_to_the_unit(made: Made, campaign: Campaign, part: str, who: str) -> None:
    page = made.show("/campaign/clicks", name=campaign.name or "", part=part, who=who)
    kinds = KINDS if who == "all" else (who,)
    clicks = [
        count_clicks(made, campaign, f"{part}:{number}", "total", *kinds)
        for number in range(1, len(campaign.links) + 1)
    ]
    shares = [f"{100 * each / sum(clicks):.1f} %" if sum(clicks) else "0.0 %" for each in clicks]
    rows = read_table(page, "Links of this part")
    assert [row[3:] for row in rows] == [
        [write(each), share] for each, share in zip(clicks, shares, strict=True)
    ]


@pytest.mark.parametrize("table", ["campaigns", "series"])
def test_exports_are_to_the_unit(made: Made, table: str) -> None:
    groups: dict[str, list[Event]] = dict(
        plain_script.group(made.of(None), name_campaign if table == "campaigns" else write_hour)
    )
    rows = list(csv.DictReader(io.StringIO(made.show(f"/export/{table}.csv"))))
    lines = [json.loads(each) for each in made.show(f"/export/{table}.ndjson").splitlines()]
    assert [{name: str(each) for name, each in line.items()} for line in lines] == rows
    first = {"campaigns": "campaign", "series": "time"}[table]
    for row in lines:
        key = row.pop(first) or "(no campaign)"
        if table == "series":
            key = key.replace("T", " ")[:16]
        assert row == count_all(groups.pop(key, []))
    assert not groups


def count_all(events: Sequence[Event]) -> dict[str, int]:
    return {
        "sent": count_mail(events, "sent"),
        "rejected": count_mail(events, "rejected"),
        **{
            f"{action}_{how}_{who}": count(events, action, how, who)
            for action in ("opened", "clicked", "unsubscribed")
            for how in ("unique", "total")
            for who in ("all", *KINDS)
        },
    }


def test_all_events_of_a_campaign_are_exported(made: Made) -> None:
    exported = made.show("/export/events.ndjson", name="Newsletter 47").splitlines()
    events = plain_script.read_events(each.encode() for each in exported)
    expected = made.of("Newsletter 47")
    assert [each["event_id"] for each in events] == [each["event_id"] for each in expected]


def test_a_message_and_its_recipient_show_every_event(made: Made) -> None:
    clicked = next(each for each in made.events if each["reader"] == "machines")
    for path, field, query in (
        (f"/message/{clicked['message_id']}", "message_id", {}),
        ("/recipient", "rcpt_to", {"address": clicked["rcpt_to"]}),
    ):
        page = made.visitor.get(path, params=query).text
        timeline = page.partition('<ol class="timeline">')[2].partition("</ol>")[0]
        expected = [each for each in made.events if each[field] == clicked[field]]
        times = [read_text(each) for each in timeline.split("<time ")[1:]]
        verdicts = sum("Verdict changed" in each for each in times)
        assert len(times) - verdicts == len(expected), field
