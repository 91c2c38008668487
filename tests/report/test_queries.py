"""What pages show is what a plain script counts of the exported events, to the unit."""

import asyncio
import io
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.sinks.store.events import batch, event_id, line
from tests.thoroughness import examples

from msys_track.report.period import Period
from msys_track.report.queries import (
    Dimension,
    LinkStats,
    read_campaigns,
    read_groups,
    read_links,
    read_series,
    read_totals,
)
from msys_track.sinks.store.exporting import write_ndjson
from msys_track.sinks.store.reading import Filter, Store, open_store
from msys_track.sinks.store.sink import SqliteSink
from msys_track.sinks.store.stats import Deeds, Stats

MIDNIGHT = 1_700_006_400
FIRST_DAY = date(2023, 11, 15)
KINDS = ("people", "machines", "unknown")
READERS = {
    "human": "people", "proxy": "people",
    "prefetch": "machines", "scanner": "machines", "bot": "machines",
}  # fmt: skip
ACTIONS = {
    "injection": "sent", "policy_rejection": "rejected",
    "open": "open", "initial_open": "open", "amp_open": "open", "amp_initial_open": "open",
    "click": "click", "amp_click": "click",
    "list_unsubscribe": "unsubscribe", "link_unsubscribe": "unsubscribe",
}  # fmt: skip
MAIL_TYPES = ("injection", "policy_rejection")
LINKS = (
    ("https://shop.test/a?id=1#x", "Buy now", ("html", 3)),
    ("https://shop.test/a?id=2", "Raw URL", ("html", 12)),
    ("https://shop.test/ü", "Raw URL", ("text", 3)),
    ("https://shop.test/c?id=1", None, None),
    ("https://shop.test/c?id=2", None, None),
)


def make_line(draw: st.DrawFn) -> bytes:
    type_ = draw(st.sampled_from(sorted(ACTIONS)))
    fields: dict[str, Any] = {"target_link_url": None}
    own = {}
    if ACTIONS[type_] == "click":
        target, name, position = draw(st.sampled_from(LINKS))
        fields |= {"target_link_url": target, "target_link_name": name}
        if position is not None:
            part, number = position
            own["target_link_position"] = {"part": part, "number": number}
    if type_ not in MAIL_TYPES:
        client = draw(st.sampled_from([None, "Firefox", "Gmail"]))
        fields |= {
            "user_agent_parsed": client and {"agent_family": client},
            "geo_ip": draw(st.sampled_from([None, {"country": "DE"}, {"country": "FR"}])),
        }
    class_ = None if type_ in MAIL_TYPES else draw(st.sampled_from([*READERS, "unknown"]))
    hour = draw(st.integers(0, 4 * 24 - 1))
    return line(
        type_,
        at=MIDNIGHT + hour * 3_600,
        class_=class_,
        message_id=draw(
            st.sampled_from(["000443ee14578172be22", "000443ee14578172be23", "0" * 20])
        ),
        campaign_id=draw(st.sampled_from(["Spring", "Été 1", None])),
        rcpt_tags=draw(st.sampled_from([None, ["a"], ["a", "ü"]])),
        recipient_domain=draw(st.sampled_from(["a.test", "grün.test"])),
        own=own,
        **fields,
    )


@st.composite
def every_event(draw: st.DrawFn) -> list[bytes]:
    """Events in the order that they arrive in: some twice, some judged anew."""
    lines = [make_line(draw) for _ in range(draw(st.integers(1, 30)))]
    readers = [each for each in lines if b"message_event" not in each]
    judged = draw(st.lists(st.sampled_from(readers), max_size=4)) if readers else []
    verdicts = [
        line(
            "reclassified",
            class_=None,
            target_link_url=None,
            own={"class": draw(st.sampled_from(sorted(READERS))), "reclassifies": event_id(each)},
        )
        for each in judged
    ]
    again = draw(st.lists(st.sampled_from(lines), max_size=3))
    return [*lines, *verdicts, *again]


periods = st.tuples(st.integers(0, 4), st.integers(0, 4)).map(
    lambda days: Period(
        FIRST_DAY + timedelta(days=min(days)), FIRST_DAY + timedelta(days=max(days))
    )
)


@given(every_event(), periods, st.sampled_from([None, "Spring", "Été 1", ""]), st.integers(0, 30))
@settings(max_examples=examples(150), deadline=None)
def test_what_is_read_is_what_a_plain_script_counts(
    lines: list[bytes], period: Period, campaign: str | None, cut: int
) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "events.sqlite")
        asyncio.run(write(path, lines[:cut], lines[cut:]))
        with open_store(path) as store:
            check(store, period, campaign)


def check(store: Store, period: Period, campaign: str | None) -> None:
    script = Script(export(store))
    events = [each for each in script.events if script.is_in(each, period, campaign)]

    assert [read_totals(store, period, campaign)] == (
        script.count(events, lambda _: [campaign or ""]) or [Stats(key=campaign or "")]
    )
    step = 3_600 if period.days <= 3 else 86_400
    series = {
        each.key: each for each in script.count(events, lambda event: [event["at"] // step * step])
    }
    assert read_series(store, period, campaign) == [
        series.get(at, Stats(key=at)) for at in range(period.since, period.until, step)
    ]
    everywhere = [each for each in script.events if script.is_in(each, period, None)]
    assert read_campaigns(store, period) == by_size(
        script.count(everywhere, lambda event: [event.get("campaign_id", "")])
    )
    for dimension in Dimension:
        firsts = "link" if dimension == Dimension.LINK else "message"
        counted = script.count(events, partial(list_values, dimension=dimension), firsts)
        assert read_groups(store, period, dimension, campaign) == by_size(counted), dimension
    if campaign is not None:
        assert read_links(store, campaign, period) == list_links(script, events)
        all_time = [each for each in script.events if each.get("campaign_id", "") == campaign]
        assert read_links(store, campaign) == list_links(script, all_time)


def test_the_limit_keeps_the_largest(tmp_path: Path) -> None:
    lines = [line(recipient_domain=f"{name}.test") for name in "abbccc"]
    asyncio.run(write(tmp_path / "events.sqlite", lines))
    day = Period(date(2023, 11, 14), date(2023, 11, 14))
    with open_store(tmp_path / "events.sqlite") as store:
        found = read_groups(store, day, Dimension.DOMAIN, limit=2)
    assert [(each.key, each.events) for each in found] == [("c.test", 3), ("b.test", 2)]


def test_an_empty_store_has_nothing(tmp_path: Path) -> None:
    asyncio.run(write(tmp_path / "events.sqlite"))
    with open_store(tmp_path / "events.sqlite") as store:
        check(store, Period(FIRST_DAY, FIRST_DAY), "Spring")


class Script:
    """Counts exported events as plainly as can be.

    Each event gets `at`, its latest `class`, its `reader`, and what it was the first of.
    """

    def __init__(self, lines: Iterable[bytes]) -> None:
        self.events = [fields for each in lines for fields in orjson.loads(each)["msys"].values()]
        own_of = [each["x_msys_track"] for each in self.events]
        later = {own["reclassifies"]: own["class"] for own in own_of if "reclassifies" in own}
        seen: set[tuple[str, ...]] = set()
        for event, own in zip(self.events, own_of, strict=True):
            class_ = later.get(event["event_id"], own.get("class", ""))
            action = ACTIONS.get(event["type"], "")
            event["at"] = int(event["timestamp"])
            event["action"], event["reader"] = action, READERS.get(class_, "unknown")
            event["firsts"] = {"message": set(), "link": set()}
            if not action or event["message_id"] == "0" * 20:
                continue
            kinds: dict[str, tuple[str, ...]] = {"message": (event["message_id"], action)}
            if action == "click":
                link, _, _, _ = describe_link(event)
                kinds["link"] = (event["message_id"], action, link)
            for what, key in kinds.items():
                for who in (event["reader"], "anybody"):
                    if (*key, who) not in seen:
                        seen.add((*key, who))
                        event["firsts"][what].add(who)

    @staticmethod
    def is_in(event: dict[str, Any], period: Period, campaign: str | None) -> bool:
        day = datetime.fromtimestamp(event["at"], UTC).date()
        return period.first <= day <= period.last and (
            campaign is None or event.get("campaign_id", "") == campaign
        )

    @staticmethod
    def count(
        events: Iterable[dict[str, Any]],
        find_keys: Callable[[dict[str, Any]], list[Any]],
        firsts: str = "message",
    ) -> list[Stats]:
        by_key = defaultdict[Any, list[dict[str, Any]]](list)
        for event in events:
            for key in find_keys(event) if event["action"] else ():
                by_key[key].append(event)
        return [
            Stats(
                key=key,
                sent=sum(event["action"] == "sent" for event in found),
                rejected=sum(event["action"] == "rejected" for event in found),
                opened=count_deeds(found, "open", firsts),
                clicked=count_deeds(found, "click", firsts),
                unsubscribed=count_deeds(found, "unsubscribe", firsts),
            )
            for key, found in by_key.items()
        ]


def count_deeds(events: list[dict[str, Any]], action: str, firsts: str) -> Deeds:
    done = [event for event in events if event["action"] == action]
    total, upper = Counter[str](), Counter[str]()
    messages, anybody = Counter[str](), 0
    for event in done:
        (upper if "initial" in event["type"] else total)[event["reader"]] += 1
        messages[event["reader"]] += event["reader"] in event["firsts"][firsts]
        anybody += "anybody" in event["firsts"][firsts]
    return Deeds(
        # A mail has two pixels. Both are fetched, or one of them is.
        events={who: max(total[who], upper[who], messages[who]) for who in KINDS},
        messages={who: messages[who] for who in KINDS},
        all_messages=anybody,
    )


def describe_link(event: dict[str, Any]) -> tuple[str, str, int, str]:
    """What tells a link from others, and its part, number and target."""
    target = event["target_link_url"].split("#")[0].split("?")[0]
    position = event["x_msys_track"].get("target_link_position")
    if position is None:
        return target, "", 0, target
    part, number = position["part"], position["number"]
    return f"{part}:{number}", part, number, target


def list_values(event: dict[str, Any], dimension: Dimension) -> list[str]:
    if dimension == Dimension.LINK:
        if "target_link_url" not in event:
            return []
        link, part, _, _ = describe_link(event)
        return [f"{link} {event.get('target_link_name', '')}" if part else link]
    value = {
        Dimension.MAIL: "",
        Dimension.TAG: event.get("rcpt_tags", []),
        Dimension.DOMAIN: event.get("recipient_domain"),
        Dimension.CLIENT: event.get("user_agent_parsed", {}).get("agent_family"),
        Dimension.COUNTRY: event.get("geo_ip", {}).get("country"),
    }[dimension]
    return value if isinstance(value, list) else [] if value is None else [value]


def list_links(script: Script, events: list[dict[str, Any]]) -> list[LinkStats]:
    clicks = [each for each in events if each["action"] == "click"]
    described: dict[str, dict[str, Any]] = {}
    for each in clicks:
        _, part, number, target = describe_link(each)
        name = each.get("target_link_name", "")
        described[list_values(each, Dimension.LINK)[0]] = {
            "part": part,
            "number": number,
            "target": target,
            "name": "" if name == "Raw URL" else name,
        }
    counted = script.count(clicks, lambda each: list_values(each, Dimension.LINK), "link")
    found = [
        LinkStats(
            **described[str(each.key)],
            events=each.clicked.events,
            messages=each.clicked.messages,
        )
        for each in counted
    ]
    return sorted(found, key=lambda each: (each.part, each.number, each.name, each.target))


def by_size(found: list[Stats]) -> list[Stats]:
    return sorted(found, key=lambda each: (-each.events, str(each.key)))


def export(store: Store) -> list[bytes]:
    file = io.BytesIO()
    write_ndjson(store.pages(Filter()), file)
    return file.getvalue().splitlines()


async def write(path: Path, *batches: list[bytes]) -> None:
    async with SqliteSink(path) as sink:
        for each in batches:
            await sink.write(batch(*each))
