"""`docs/events.md` says what events are: its tables, examples and queries are tried here."""

import asyncio
import dataclasses
import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.golden_events import EXAMPLES, GOLDEN, PAGE

from msys_track.events import Event, EventType, ReaderClass, Verdict
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
OWN = set(re.findall(r"^\| `(\w+)` \| object \| which", PAGE, re.MULTILINE))
LINKS = {"click", "amp_click", "link_unsubscribe"}
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
    assert dict(TYPES) == {kind.value: kind.envelope for kind in EventType}


def test_the_page_has_every_field_that_an_event_can_have() -> None:
    computed = {"rcpt_to", "recipient_domain", "msys_track"}
    fields = {field.name for field in dataclasses.fields(Event)}
    assert set(FIELDS) == fields - OWN | computed


@pytest.mark.parametrize("kind", GOLDEN)
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
    assert absent & set(FIELDS) == {"user_agent_parsed"}, "of which some members are not there"


def test_the_page_has_examples() -> None:
    assert set(EXAMPLES) == {"click", "open", "link_unsubscribe"}


# The store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A store with the golden events, one of each type, and the least one."""
    path = tmp_path / "events.sqlite"
    golden = [Event.from_json(json.dumps(one)) for one in GOLDEN.values()]
    made = [
        dataclasses.replace(one, event_id=str(number), message_id=f"{number:020x}")
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
        ("positions", [("html:3", "unknown", 2)]),
        (
            "counted",
            [
                ("click", "unknown", 2, 2),
                ("open", "machines", 1, 1),
                ("open", "unknown", 4, 4),
                ("unsubscribe", "unknown", 1, 1),
            ],
        ),
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
    assert sorted(kind for _, kind, _, _ in rows) == sorted([*GOLDEN, "open"])
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
    }
    assert store.execute("SELECT count(*) FROM events").fetchone() == (len(GOLDEN) + 2,)
