"""What becomes of a hit: its event, and those that follow from it."""

import itertools
import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.recording.hits import AGENT, make_hit, make_hit_line

from msys_track.errors import SinkError
from msys_track.event_fields import EventType, make_event_id
from msys_track.events import Event
from msys_track.recording.first_seen import FirstSeen
from msys_track.recording.recorder import make_event_maker
from msys_track.tracking.classify.settings import ClassificationSettings

AT = 1_764_000_000_000
Fields = dict[str, Any]
Record = Callable[..., list[Fields]]


def own(fields: Fields) -> Fields:
    found: Fields = fields["x_msys_track"]
    return found


def test_a_click_has_all_that_its_link_and_its_request_say(recorded: Record) -> None:
    hit = make_hit(
        at=AT,
        recipient_type="cc",
        subaccount_id=101,
        campaign_id="Summer Sale",
        metadata='{"user": 17}',
        tags=["male", "US"],
        link_name="banner",
        language="en",
    )
    (fields,) = recorded(json.dumps(hit).encode())
    assert fields == {
        "type": "click",
        "event_id": hit["id"],
        "timestamp": "1764000000",
        "message_id": "000443ee14578172be22",
        "transmission_id": "65832150921904138",
        "customer_id": "1",
        "subaccount_id": "101",
        "campaign_id": "Summer Sale",
        "rcpt_to": "someone@example.com",
        "raw_rcpt_to": "Someone@Example.com",
        "rcpt_type": "cc",
        "rcpt_meta": {"user": 17},
        "rcpt_tags": ["male", "US"],
        "recipient_domain": "example.com",
        "injection_time": "2025-11-24T15:59:00.000Z",
        "open_tracking": True,
        "click_tracking": True,
        "initial_pixel": False,
        "amp_enabled": False,
        "transactional": "0",
        "delv_method": "esmtp",
        "ip_address": "192.0.2.1",
        "user_agent": AGENT,
        "user_agent_parsed": {
            "agent_family": "Firefox",
            "os_family": "Linux",
            "is_mobile": False,
            "is_prefetched": False,
            "is_proxy": False,
        },
        "accept_language": "en",
        "target_link_url": "https://shop.test/",
        "target_link_name": "banner",
        "x_msys_track": {
            "class": "human",
            "first": {"message": True, "link": True},
            "target_link_position": {"number": 1, "part": "html"},
        },
    }


def test_an_unsubscription_has_neither_a_parsed_agent_nor_a_place(recorded: Record) -> None:
    (fields,) = recorded(make_hit_line(kind="link_unsubscribe"))
    assert fields["user_agent"] == AGENT
    assert "user_agent_parsed" not in fields


def test_a_prefetch_and_a_proxy_are_told_in_sparkposts_fields_too(recorded: Record) -> None:
    gmail = "Mozilla/5.0 (via ggpht.com GoogleImageProxy)"
    lines = [
        make_hit_line(at=AT, kind="open", agent=agent, injected_at=AT // 1000 - seconds)
        for agent, seconds in (("Mozilla/5.0", 60), (gmail, 60), (gmail, 1))
    ]
    told = [
        (own(each)["class"], parsed["is_prefetched"], parsed["is_proxy"])
        for each in recorded(*lines)
        for parsed in [each["user_agent_parsed"]]
    ]
    assert told == [("prefetch", True, False), ("proxy", False, True), ("prefetch", True, True)]


def test_the_first_of_a_message_and_of_a_link_is_told(recorded: Record) -> None:
    lines = [
        make_hit_line(at=AT + 60_000 * each, kind=kind, link_number=number)
        for each, (kind, number) in enumerate([("open", 0), ("click", 1), ("click", 2)] * 2)
    ]
    assert [own(each).get("first") for each in recorded(*lines)] == [
        {"message": True},
        {"message": True, "link": True},
        {"message": False, "link": True},
        {"message": False},
        {"message": False, "link": False},
        {"message": False, "link": False},
    ]


def test_what_came_first_is_known_after_a_restart(recorded: Record) -> None:
    recorded(make_hit_line(at=AT))
    (_, later) = recorded(make_hit_line(at=AT + 1_000_000))
    assert own(later)["first"] == {"message": False, "link": False}


def test_a_burst_reclassifies_what_came_before_its_verdict(recorded: Record) -> None:
    lines = [make_hit_line(at=AT + 100 * each, link_number=each) for each in range(1, 5)]
    events = recorded(*lines)
    clicks = [each for each in events if each["type"] == "click"]
    later = [each for each in events if each["type"] == "reclassified"]
    assert [own(each)["class"] for each in clicks] == ["human", "human", "scanner", "scanner"]
    assert [own(each)["reclassifies"] for each in later] == [
        each["event_id"] for each in clicks[:2]
    ]
    for first, after in zip(clicks, later, strict=False):
        assert own(after)["class"] == "scanner"
        assert own(after)["rules"] == [{"rule": "burst", "evidence": "3 links in 0.2 s"}]
        assert own(after)["reclassified_type"] == "click"
        changed = {"type", "event_id", "x_msys_track"}
        assert {k: v for k, v in after.items() if k not in changed} == {
            k: v for k, v in first.items() if k not in changed
        }
    assert len({each["event_id"] for each in events}) == len(events)


def test_a_burst_over_a_restart_reclassifies_once(recorded: Record) -> None:
    events: list[Fields] = []
    for each in range(1, 6):
        events = recorded(make_hit_line(at=AT + 100 * each, link_number=each))
    later = [own(each)["reclassifies"] for each in events if each["type"] == "reclassified"]
    clicks = [each["event_id"] for each in events if each["type"] == "click"]
    assert later == clicks[:2]


def test_a_scanner_before_the_delivery_is_found_when_the_delivery_is_known(
    recorded: Record,
) -> None:
    def injection(message_id: str, at: int) -> bytes:
        fields = {
            "type": "injection",
            "event_id": make_event_id(at, bytes(10)),
            "message_id": message_id,
        }
        return json.dumps({"msys": {"message_event": fields}}).encode()

    events = recorded(
        injection("known", AT + 500),
        make_hit_line(at=AT, message_id="known"),
        make_hit_line(at=AT + 1, message_id="late"),
        injection("late", AT + 900),
        make_hit_line(at=AT + 1_000, message_id="late", link_number=2),
    )
    told = [(each["type"], own(each)["class"]) for each in events if "x_msys_track" in each]
    assert told == [
        ("click", "scanner"),
        ("click", "human"),
        ("reclassified", "scanner"),
        ("click", "human"),
    ]
    assert own(events[1])["rules"][0]["rule"] == "before_delivery"


def test_a_click_before_a_delivery_is_a_scanners_over_a_restart(recorded: Record) -> None:
    event = {
        "type": "injection",
        "event_id": make_event_id(AT + 500, bytes(10)),
        "message_id": "a",
    }
    recorded(json.dumps({"msys": {"message_event": event}}).encode())
    (_, click) = recorded(make_hit_line(at=AT, message_id="a"))
    assert own(click)["rules"][0]["rule"] == "before_delivery"


def test_an_unsubscription_is_a_click_as_well_if_that_is_wanted() -> None:
    maker, _ = make_event_maker(ClassificationSettings(), also_click=True)
    hit = make_hit(kind="link_unsubscribe")
    made = list(maker.make(b"", hit))
    types = [next(iter(json.loads(line)["msys"].values()))["type"] for _, line in made]
    assert types == ["link_unsubscribe", "click"]
    assert made[0][0] == hit["id"] != made[1][0]
    # The same id whenever it is made.
    again, _ = make_event_maker(ClassificationSettings(), also_click=True)
    assert [event_id for event_id, _ in again.make(b"", hit)] == [event_id for event_id, _ in made]


def test_the_click_of_a_scanner_that_unsubscribes_gets_no_second_verdict() -> None:
    maker, _ = make_event_maker(ClassificationSettings(), also_click=True)
    events = [
        next(iter(json.loads(line)["msys"].values()))
        for each in range(1, 5)
        for _, line in maker.make(
            b"", make_hit(kind="link_unsubscribe", at=AT + each, link_number=each, agent="curl/8")
        )
    ]
    assert [each["type"] for each in events] == ["link_unsubscribe", "click"] * 4
    assert {own(each)["class"] for each in events} == {"bot"}


def test_a_persons_click_without_an_open_infers_one(recorded: Record) -> None:
    events = recorded(
        make_hit_line(at=AT, message_id="a"),
        make_hit_line(at=AT + 60_000, message_id="a"),
        make_hit_line(at=AT, message_id="b", kind="open"),
        make_hit_line(at=AT + 60_000, message_id="b"),
        make_hit_line(at=AT, message_id="c", agent="curl/8"),
        infer_opens=True,
    )
    told = [(each["message_id"], each["type"], own(each).get("inferred")) for each in events]
    assert [each for each in told if each[1] == "open"] == [
        ("a", "open", True),
        ("b", "open", None),
    ]
    inferred = next(each for each in events if own(each).get("inferred"))
    assert "target_link_url" not in inferred
    assert "target_link_position" not in own(inferred)


def test_an_inferred_open_shares_the_later_verdict_of_its_click(recorded: Record) -> None:
    lines = [make_hit_line(at=AT + 100 * each, link_number=each) for each in range(1, 4)]
    later = [
        own(each)["reclassified_type"]
        for each in recorded(*lines, infer_opens=True)
        if each["type"] == "reclassified"
    ]
    assert sorted(later) == ["click", "click", "open"]


def test_an_inferred_open_shares_that_verdict_over_a_restart_too(recorded: Record) -> None:
    recorded(make_hit_line(at=AT, link_number=1), infer_opens=True)
    lines = [make_hit_line(at=AT + 100 * each, link_number=each) for each in range(2, 4)]
    later = [
        own(each)["reclassified_type"]
        for each in recorded(*lines, infer_opens=True)
        if each["type"] == "reclassified"
    ]
    assert sorted(later) == ["click", "click", "open"]


def test_an_older_message_was_opened_if_the_store_says_so() -> None:
    first_seen = FirstSeen(100, OldStore(("old", "")))
    first_seen.begin(AT)
    before, after = AT // 1000 - 10, AT // 1000 + 10
    assert first_seen.has_opened("old", before) is True
    assert first_seen.has_opened("unseen", before) is False
    assert first_seen.has_opened("old", after) is False  # injected since: the store has none
    first_seen.store = None
    assert first_seen.has_opened("old", before) is None


@pytest.mark.parametrize("restarts", [False, True])
def test_events_without_a_reader_are_neither_judged_together_nor_called_first(
    recorded: Record, *, restarts: bool
) -> None:
    lines = []
    for each in range(10):
        hit = make_hit(at=AT + each, link_number=each + 1, privacy="aggregate", recipient="")
        for name in ("address", "agent", "recipient"):
            del hit[name]
        lines.append(json.dumps(hit).encode())
    if restarts:
        recorded(*lines[:5])
        lines = lines[5:]
    events = recorded(*lines)
    assert [own(each)["class"] for each in events] == ["unknown"] * 10
    assert {own(each)["privacy"] for each in events} == {"aggregate"}
    assert not any("first" in own(each) or "rcpt_to" in each for each in events)


def test_where_a_reader_was_sent_instead_is_told(recorded: Record) -> None:
    (fields,) = recorded(make_hit_line(request={"redirected_to": "https://new.test/"}))
    assert fields["target_link_url"] == "https://shop.test/"
    assert own(fields)["redirected_to"] == "https://new.test/"


@given(
    members=st.fixed_dictionaries(
        {},
        optional={
            "agent": st.text(max_size=40),
            "address": st.text(max_size=20) | st.ip_addresses().map(str),
            "metadata": st.text(max_size=20)
            | st.dictionaries(st.text(max_size=5), st.text(max_size=5)).map(json.dumps),
            "recipient": st.text(max_size=20),
            "kind": st.sampled_from(
                [each.value for each in EventType if each != EventType.RECLASSIFIED]
            ),
            "at": st.integers(0, 2**42),
            "injected_at": st.integers(0, 2**40),
            "link_number": st.integers(1, 2**32),
            "tags": st.lists(st.text(max_size=5), max_size=3),
        },
    )
)
def test_every_hit_makes_an_event_that_can_be_read(members: dict[str, Any]) -> None:
    maker, _ = make_event_maker(ClassificationSettings())
    hit = json.loads(json.dumps(make_hit(**members)))
    ((event_id, line),) = maker.make(b"", hit)
    event = Event.from_json(line.decode())
    assert (event.event_id, event.type) == (event_id, hit["kind"])
    assert b"\n" not in line
    maker.remember(line)


# The first of each


class OldStore:
    def __init__(self, *seen: tuple[str, str | None]) -> None:
        self._seen = seen
        self.is_broken = False

    def has_seen(self, message_id: str, types: Sequence[str], link: str | None) -> bool:
        assert types
        if self.is_broken:
            raise SinkError("locked")
        return any(message_id == one and link in (None, other) for one, other in self._seen)


def test_of_older_messages_the_store_is_asked() -> None:
    store = OldStore(("old", "html:1"))
    first_seen = FirstSeen(100, store)
    first_seen.begin(AT)

    def note(message_id: str, link: str, injected_at: int = AT // 1000 - 10) -> dict[str, bool]:
        return first_seen.note(message_id, EventType.CLICK, link, AT, injected_at)

    assert note("old", "html:1") == {"message": False, "link": False}
    assert note("old", "html:2") == {"message": False, "link": True}
    assert note("unseen", "html:2") == {"message": True, "link": True}
    store.is_broken = True
    assert note("another", "html:2") == {}
    assert note("young", "html:2", AT // 1000 + 10) == {"message": True, "link": True}


def test_without_a_store_the_first_of_an_older_message_is_not_known() -> None:
    first_seen = FirstSeen(100)
    first_seen.begin(AT)
    for expected in ({}, {"message": False}):
        assert first_seen.note("old", EventType.OPEN, None, AT, AT // 1000 - 10) == expected


def test_memory_of_what_came_first_is_bounded_and_honest() -> None:
    first_seen = FirstSeen(10)
    first: dict[str, bool] = {}
    for number in itertools.chain(range(100), range(95, 100)):
        at = AT + number * 1_000
        first = first_seen.note(f"{number}", EventType.OPEN, None, at, AT // 1000 - 10)
    assert first == {"message": False}
    # The older half is remembered as well as the younger one.
    assert first_seen.note("94", EventType.OPEN, None, AT, AT // 1000 - 10) == {"message": False}
    # It has forgotten this one, and knows that it has.
    assert first_seen.note("3", EventType.OPEN, None, AT + 10**6, AT // 1000 - 10) == {}


@pytest.mark.parametrize("kind", ["open", "initial_open", "amp_open"])
def test_opens_of_all_kinds_are_one_kind_of_first(kind: str) -> None:
    first_seen = FirstSeen(10)
    assert first_seen.note("a", EventType.OPEN, None, AT, AT) == {"message": True}
    assert first_seen.note("a", EventType(kind), None, AT, AT) == {"message": False}
    assert first_seen.note("a", EventType.CLICK, None, AT, AT) == {"message": True}
