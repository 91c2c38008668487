"""What a message and a recipient did, and what a search finds."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.sinks.store.events import AT, batch, event_id, line

from msys_track.report.searching import Found, search
from msys_track.report.timelines import read_message, read_recipient
from msys_track.sinks.store.form import BLOCK_BITS
from msys_track.sinks.store.reading import open_store
from msys_track.sinks.store.sink import SqliteSink

MESSAGE = "000443ee14578172be22"
OTHER = "000443ee14578172be23"
SEEN = {"rule": "office_network", "evidence": "203.0.113.7"}
LATER = {"rule": "burst", "evidence": "9 links in 2 s"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.sqlite"


def test_a_message_tells_what_was_done_and_by_whom(path: Path) -> None:
    position = {"target_link_position": {"part": "html", "number": 3}}
    write(
        path,
        line("injection", at=AT - 60, class_=None, target_link_url=None),
        line(
            own={"rules": [SEEN], **position},
            target_link_name="Buy now",
            user_agent_parsed={"agent_family": "Firefox", "os_family": "Linux"},
            geo_ip={"country": "DE"},
            ip_address="203.0.113.7",
        ),
        line(message_id=OTHER),
    )
    with open_store(path) as store:
        sent, clicked = read_message(store, MESSAGE)
    assert (sent.type, sent.at, sent.reader_class, sent.findings) == (
        "injection", AT - 60, "", (),
    )  # fmt: skip
    assert (clicked.campaign, clicked.message_id, clicked.recipient) == (
        "Summer Sale", MESSAGE, "grün@b.test",
    )  # fmt: skip
    assert (clicked.target, clicked.link, clicked.link_name) == (
        "https://shop.test/", "html:3", "Buy now",
    )  # fmt: skip
    assert (clicked.client, clicked.country, clicked.address) == (
        "Firefox on Linux", "DE", "203.0.113.7",
    )  # fmt: skip
    assert (clicked.reader_class, clicked.first_class) == ("human", "human")
    assert clicked.findings == (SEEN,)
    assert clicked.fields["customer_id"] == "1"


def test_a_later_verdict_shows_with_what_led_to_it(path: Path) -> None:
    clicked = line(own={"rules": [SEEN]})
    verdict = {"class": "scanner", "rules": [LATER], "reclassifies": event_id(clicked)}
    write(path, clicked, line("reclassified", class_=None, own=verdict))
    with open_store(path) as store:
        first, _ = read_message(store, MESSAGE)
        _, same = read_recipient(store, "grün@b.test")
    assert first == same
    assert (first.reader_class, first.first_class) == ("scanner", "human")
    assert first.findings == (LATER, SEEN)


def test_a_recipient_s_events_come_newest_first_and_some_at_a_time(path: Path) -> None:
    # In three blocks of the index, with an empty one between.
    for number, sequence in enumerate((0, 1 << BLOCK_BITS, 3 << BLOCK_BITS)):
        if sequence:
            jump(path, sequence)
        write(path, line(at=AT + number), line(rcpt_to="b@b.test"), line(at=AT + number + 10))
    with open_store(path) as store:
        first = read_recipient(store, "Grün@b.test", limit=4)
        rest = read_recipient(store, "grün@b.test", limit=4, before=first[-1].sequence)
    assert [each.at - AT for each in first] == [12, 2, 11, 1]
    assert [each.at - AT for each in rest] == [10, 0]


def test_nobody_and_nothing_has_no_events(path: Path) -> None:
    write(path)
    with open_store(path) as store:
        assert read_message(store, MESSAGE) == []
        assert read_recipient(store, "a@b.test") == []
        assert search(store, "a") == []


def test_a_line_that_is_no_event_known_here_is_shown_with_what_it_has(path: Path) -> None:
    odd: dict[str, Any] = {
        "own": {"rules": "none", "class": 7},
        "geo_ip": [],
        "user_agent_parsed": {},
    }
    write(path, line("click", class_=None, target_link_name=3, **odd))
    with open_store(path) as store:
        ((sequence,),) = store.select("SELECT sequence FROM events")
        found = read_recipient(store, "grün@b.test")
    assert [each.sequence for each in found] == [sequence]
    assert found[0].findings == ()
    assert (found[0].country, found[0].client, found[0].link_name) == ("", "", "")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (
            f" {MESSAGE} ",
            Found(kind="message", text=MESSAGE, campaign="Été", events=2, last_at=AT),
        ),
        (
            "GRÜN@b.test",
            Found(kind="recipient", text="grün@b.test", events=2, last_at=AT),
        ),
        ("grü", Found(kind="recipient", text="grün@b.test", events=2, last_at=AT)),
        (
            "ÉT",
            Found(kind="campaign", text="Été", events=2, last_at=(AT // 3600 + 1) * 3600 - 1),
        ),
        ("OP.test/a", Found(kind="link", text="https://shop.test/a", campaign="Été")),
        ("buy", Found(kind="link", text="https://shop.test/a", campaign="Été")),
    ],
)
def test_a_search_finds(path: Path, text: str, wanted: Found) -> None:
    own = {"target_link_position": {"part": "html", "number": 3}}
    write(
        path,
        line(
            campaign_id="Été",
            target_link_url="https://shop.test/a?x=1",
            target_link_name="Buy now",
            own=own,
        ),
        line("open", campaign_id="Été", target_link_url=None),
        line("open", campaign_id=None, rcpt_to="x@b.test", message_id=OTHER, target_link_url=None),
    )
    with open_store(path) as store:
        assert search(store, text) == [wanted]


@pytest.mark.parametrize("text", ["", "  ", "nothing", "%", "0" * 20, "\udc80", "'", "a\0b"])
def test_a_search_for_what_is_not_there_finds_nothing(path: Path, text: str) -> None:
    write(path, line(), line(message_id="0" * 20))
    with open_store(path) as store:
        assert search(store, text) == []


def test_a_search_finds_the_address_itself_before_longer_ones(path: Path) -> None:
    write(path, *(line(rcpt_to=f"a@b.test{more}") for more in ("", ".au", ".at")))
    with open_store(path) as store:
        found = search(store, "a@b.test", limit=2)
    assert [each.text for each in found] == ["a@b.test", "a@b.test.at"]


def write(path: Path, *lines: bytes) -> None:
    async def run() -> None:
        async with SqliteSink(path) as sink:
            await sink.write(batch(*lines))

    asyncio.run(run())


def jump(path: Path, sequence: int) -> None:
    """Let the next event have a number, as after many others that were removed."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE progress SET last_sequence = ?", (sequence,))
        connection.commit()
