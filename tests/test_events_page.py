"""`docs/events.md` says what events are: its tables, examples and queries are tried here."""

import asyncio
import dataclasses
import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.event_schema import SCHEMA, find_faults, list_fields
from tests.golden_events import EXAMPLES, GOLDEN, PAGE

from msys_track.event_fields import MESSAGE_EVENTS, EventType
from msys_track.events import Event, ReaderClass, Verdict
from msys_track.keys.ring import Claims, Engagement
from msys_track.sinks.delivery import EventBatch
from msys_track.sinks.store.form import FORM
from msys_track.sinks.store.sink import SqliteSink
from msys_track.tracking.client import Client
from msys_track.tracking.visit import Visit, make_event

TYPES = re.findall(r"^\| `(\w+)` \| `(\w+_event)` \|", PAGE, re.MULTILINE)
FIELDS = {
    name: {"type": kind, "in": where, "there": there}
    for name, kind, where, there in re.findall(
        r"^\| `(\w+)` \| (\w+) \| (\w+) \| (always|if known) \|", PAGE, re.MULTILINE
    )
}
OWN = [
    name
    for name, _ in re.findall(
        r"^\| `(\w+)` \| (\w+) \| ",
        PAGE.split("### Our own object")[1].split("\n### ")[0],
        re.MULTILINE,
    )
]
# What readers did; a later verdict stands beside them.
SEEN = {kind: event for kind, event in GOLDEN.items() if kind != "reclassified"}
LINKS = {"click", "amp_click", "link_unsubscribe"}
# Samples of SparkPost's and Momentum's documentation.
DOCUMENTED = (
    """{"msys":{"track_event":{"type":"click","event_id":"92356927693813856",
    "timestamp":"1460989507","message_id":"000443ee14578172be22",
    "transmission_id":"65832150921904138","customer_id":"1","subaccount_id":"101",
    "campaign_id":"Example Campaign Name","rcpt_to":"recipient@example.com",
    "raw_rcpt_to":"Recipient@example.com","rcpt_meta":{"customKey":"customValue"},
    "rcpt_tags":["male","US"],"rcpt_type":"cc","recipient_domain":"example.com",
    "routing_domain":"example.com","friendly_from":"sender@example.com",
    "msg_from":"sender@example.com","sending_domain":"example.com",
    "subject":"Summer deals are here!","injection_time":"2016-04-18T14:25:07.000Z",
    "ip_pool":"example-ip-pool","msg_size":"1337","open_tracking":true,"click_tracking":true,
    "initial_pixel":true,"amp_enabled":false,"transactional":"1","delv_method":"esmtp",
    "ip_address":"203.0.113.7","user_agent":"Mozilla/5.0","user_agent_parsed":{
    "agent_family":"Chrome","device_brand":"Apple","device_family":"Mac","os_family":"Mac OS X",
    "os_version":"10.15","is_mobile":false,"is_proxy":false,"is_prefetched":false},
    "geo_ip":{"country":"US","region":"MD","city":"Columbia","latitude":39.1749,
    "longitude":-76.8375,"zip":"21046","postal_code":"21046"},
    "target_link_url":"http://example.com","target_link_name":"Example Link Name"}}}""",
    """{"msys":{"track_event":{"type":"open","timestamp":"1460989507","customer_id":"1",
    "template_id":"a","template_version":"1","sending_ip":"203.0.113.9","num_retries":"0",
    "queue_time":"12","geo_ip":{"zip":21046}}}}""",
    """{"msys":{"unsubscribe_event":{"type":"link_unsubscribe","timestamp":"1460989507",
    "customer_id":"1","mailfrom":"recipient@example.com","target_link_url":"http://a.test"}}}""",
    """{"msys":{"message_event":{"type":"injection","open_tracking":true,"click_tracking":false,
    "initial_pixel":false,"amp_enabled":false,"recv_method":"esmtp","cust_tier":"gold"}}}""",
    """{"msys":{"track_event":{"user_agent":"Mozilla/5.0","message_id":"000443ee14578172be22",
    "customer_id":"1","delv_method":"esmtp","timestamp":"1460989507","type":"click",
    "node_name":"mta1","target_link_url":"http://a.test","transmission_id":"1",
    "accept_language":"en"}}}""",
    """{"msys":{}}""",
)
JSON_TYPES = {str: "string", bool: "boolean", dict: "object", list: "array"}

_LEAST = Engagement(
    message_id="000443ee14578172be22",
    recipient="a@b.test",
    injected_at=0,
    expires_at=1,
    customer_id=1,
)
LEAST = make_event(
    Visit(claims=Claims(kind="click", engagement=_LEAST), client=Client(ip_address=None), at=0)
)


def blocks(language: str) -> dict[str, str]:
    """The page's code blocks of one language, by the word behind it."""
    found = re.findall(rf"^```{language} (\w+)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    return dict(found)


def test_the_page_has_every_type_in_its_envelope() -> None:
    wanted = {kind.value: kind.envelope for kind in EventType}
    assert dict(TYPES) == wanted | dict.fromkeys(MESSAGE_EVENTS, "message_event")


def test_the_page_has_every_field_that_an_event_can_have() -> None:
    computed = {"rcpt_to", "recipient_domain", "x_msys_track"}
    fields = {field.name for field in dataclasses.fields(Event)}
    assert set(FIELDS) == fields - set(OWN) - {"verdict"} | computed


def test_the_page_and_the_schema_have_the_same_members_of_our_own_object() -> None:
    assert list(SCHEMA["$defs"]["x_msys_track"]["properties"]) == OWN
    fields = {field.name for field in dataclasses.fields(Event)}
    # A verdict is a class and rules; the type of what is judged again is in the event judged.
    assert set(OWN) - fields == {"class", "rules", "reclassified_type"}


def test_the_schema_has_every_field_of_the_page() -> None:
    for envelope in ("track_event", "unsubscribe_event"):
        assert set(FIELDS) <= list_fields(envelope)


@pytest.mark.parametrize("kind", GOLDEN)
def test_the_schema_fits_the_examples(kind: str) -> None:
    assert find_faults(GOLDEN[kind]) == []


@pytest.mark.parametrize("sample", DOCUMENTED)
def test_the_schema_fits_what_sparkpost_documents(sample: str) -> None:
    assert find_faults(json.loads(sample)) == []


@pytest.mark.parametrize(
    "change",
    [
        *({"timestamp": 1}, {"timestamp": "yesterday"}, {"rcpt_tags": []}, {"rcpt_meta": {}}),
        *({"campaign_id": ""}, {"type": "reboot"}, {"transactional": True}, {"customer_id": 1}),
        *({"x_msys_track": {"class": "alien"}}, {"type": "reclassified"}),
    ],
)
def test_the_schema_refuses_what_no_event_is(change: dict[str, Any]) -> None:
    event = json.loads(json.dumps(GOLDEN["click"]))
    event["msys"]["track_event"] |= change
    assert find_faults(event) != []


@pytest.mark.parametrize("kind", SEEN)
def test_an_event_that_knows_everything_has_the_fields_of_its_type(kind: str) -> None:
    ((envelope, fields),) = GOLDEN[kind]["msys"].items()
    places = {"all", envelope} | ({"link"} if kind in LINKS else set())
    wanted = {name: row["type"] for name, row in FIELDS.items() if row["in"] in places}
    assert {name: JSON_TYPES[type(value)] for name, value in fields.items()} == wanted


def test_what_is_always_there_is_there_in_the_least_event() -> None:
    always = {name for name, row in FIELDS.items() if row["there"] == "always"}
    assert set(LEAST.fields()) == always


def test_the_fields_are_listed_in_the_order_that_events_have_them_in() -> None:
    golden = GOLDEN["click"]["msys"]["track_event"]
    assert list(golden) == [name for name in FIELDS if name in golden]


def test_no_field_is_both_there_and_not_there() -> None:
    section = PAGE.partition("### Fields of SparkPost that are not there\n")[2]
    cells = re.findall(r"^\| (`.*?) \|", section.partition("\n## ")[0], re.MULTILINE)
    absent = set(re.findall(r"`(\w+)`", " ".join(cells)))
    assert len(absent) > 15
    assert not absent & set(FIELDS)


def test_the_page_has_examples() -> None:
    assert set(EXAMPLES) == {"click", "open", "link_unsubscribe", "reclassified"}


# The store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A store with the golden events, one of each type, and the least one."""
    path = tmp_path / "events.sqlite"
    golden = [Event.from_json(json.dumps(one)) for one in SEEN.values()]
    made = [
        dataclasses.replace(one, event_id=str(number), message_id=f"{number + 1:020x}")
        for number, one in enumerate([*golden, LEAST])
    ]
    prefetched = dataclasses.replace(
        next(one for one in made if one.type is EventType.OPEN),
        event_id="prefetched",
        message_id="f" * 20,
        verdict=Verdict(ReaderClass.PREFETCH),
    )

    async def fill() -> None:
        async with SqliteSink(path) as sink:
            lines = tuple(one.as_json().encode() for one in [*made, prefetched])
            await sink.write(EventBatch(lines, 1))

    asyncio.run(fill())
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


def test_the_schema_on_the_page_is_the_stores() -> None:
    tables = [each for each in FORM.statements if each.startswith("CREATE TABLE")]
    assert blocks("sql")["schema"].split() == ";".join([*tables, ""]).replace(";", "; ").split()


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("clicks", [("https://shop.test/?a=1&b=#c", 1)]),
        ("opened", [(4,)]),  # without what was prefetched
        # The unsubscribe has another envelope, the least event no metadata.
        ("metadata", [(None, 2), ("customValue", 7)]),
        ("positions", [("html:3", "people", 2)]),
        (
            "counted",
            [
                ("click", "people", 2, 2),
                ("confirmed", "machines", 1, 1),
                ("confirmed", "people", 6, 6),
                ("open", "machines", 1, 1),
                ("open", "people", 4, 4),
                ("unsubscribe", "people", 1, 1),
            ],
        ),
        ("grouped", [("example.com", 5)]),
    ],
)
def test_a_query_on_the_page_counts_what_it_says(
    store: sqlite3.Connection, query: str, rows: list[tuple[object, ...]]
) -> None:
    assert store.execute(blocks("sql")[query]).fetchall() == rows


def test_the_query_of_a_reader_has_every_event_of_both_envelopes(
    store: sqlite3.Connection,
) -> None:
    rows = store.execute(blocks("sql")["reader"]).fetchall()
    assert sorted(kind for _, kind, _, _ in rows) == sorted([*SEEN, "open"])
    assert {at for at, _, _, _ in rows} == {"2016-04-18 14:26:40"}
    assert {link for _, kind, _, link in rows if kind == "link_unsubscribe"} == {"html:3"}


def test_every_query_on_the_page_is_tried_here(store: sqlite3.Connection) -> None:
    assert set(blocks("sql")) == {
        "schema",
        "clicks",
        "opened",
        "reader",
        "positions",
        "metadata",
        "counted",
        "grouped",
    }
    assert store.execute("SELECT count(*) FROM events").fetchone() == (len(SEEN) + 2,)
