"""What a store counts is what a plain script counts of the same events, to the unit."""

import asyncio
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.sinks.store.events import AT, batch, event_id, line
from tests.thoroughness import examples

from msys_track.sinks.store.sink import SqliteSink, remove_step

READERS = {"human": "people", "proxy": "people", "scanner": "machines", "bot": "machines"}
ACTIONS = {
    "injection": "sent",
    "open": "open",
    "initial_open": "open",
    "click": "click",
    "amp_click": "click",
    "list_unsubscribe": "unsubscribe",
}
Counts = dict[str, Counter[tuple[Any, ...]]]

_lines = st.builds(
    lambda type_, class_, **fields: line(
        type_, class_=None if type_ == "injection" else class_, **fields
    ),
    st.sampled_from(sorted(ACTIONS)),
    at=st.sampled_from([AT, AT + 3_600, AT + 90_000]),
    class_=st.sampled_from([*READERS, "unknown"]),
    message_id=st.sampled_from(["000443ee14578172be22", "000443ee14578172be23", "0" * 20]),
    campaign_id=st.sampled_from(["Spring", "Été 1", None]),
    rcpt_tags=st.sampled_from([None, ["a"], ["a", "b", "a"], [7, ""], "a"]),
    recipient_domain=st.sampled_from(["a.test", "b.test", None, 3]),
    user_agent_parsed=st.sampled_from([None, {"agent_family": "Firefox", "os_family": "Linux"}]),
    geo_ip=st.sampled_from([None, {"country": "DE"}, []]),
    target_link_url=st.sampled_from(["https://shop.test/a?id=1#x", "https://shop.test/b", None]),
    target_link_name=st.sampled_from([None, "Buy now"]),
    own=st.sampled_from([{}, {"target_link_position": {"part": "html", "number": 3}}]),
)


@given(st.lists(_lines, min_size=1, max_size=25), st.data())
@settings(max_examples=examples(150), deadline=None)
def test_all_counts_are_those_of_a_plain_script(lines: list[bytes], data: st.DataObject) -> None:
    readers = [each for each in lines if fields_of(each)["type"] != "injection"]
    judged = data.draw(
        st.lists(st.sampled_from(readers), max_size=3, unique=True) if readers else st.just([])
    )
    verdicts = [
        line(
            "reclassified",
            class_=None,
            own={
                "class": data.draw(st.sampled_from(sorted(READERS))),
                "reclassifies": event_id(each),
            },
        )
        for each in judged
    ]
    # Some come twice, and in batches of any size.
    every = [*lines, *verdicts, *data.draw(st.lists(st.sampled_from(lines), max_size=4))]
    cut = data.draw(st.integers(0, len(every)))
    with TemporaryDirectory() as folder:
        path = Path(folder, "events.sqlite")
        asyncio.run(write(path, every[:cut], every[cut:]))
        assert read_counts(path) == count(lines, verdicts)


def test_counts_stay_when_events_are_removed(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    asyncio.run(write(path, [line(rcpt_tags=["a"])], [line("open")]))
    before = read_counts(path)
    with closing(sqlite3.connect(path)) as connection:
        assert remove_step(connection, AT + 1) == 2
        connection.commit()
    assert read_counts(path) == before


def test_a_link_keeps_the_target_it_was_first_clicked_with(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    own = {"target_link_position": {"part": "html", "number": 3}}
    targets = ["https://shop.test/a?reader=7", "https://shop.test/b"]
    asyncio.run(write(path, *([line(own=own, target_link_url=each)] for each in targets)))
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT * FROM links").fetchall()
    assert found == [("Summer Sale", "html:3 ", "https://shop.test/a")]


async def write(path: Path, *batches: list[bytes]) -> None:
    async with SqliteSink(path) as sink:
        for each in batches:
            await sink.write(batch(*each))


def read_counts(path: Path) -> Counts:
    """All that is counted, but what is zero."""
    found: Counts = {}
    with closing(sqlite3.connect(path)) as connection:
        for table, keys in (("counts", 4), ("uniques", 4), ("groups", 6), ("group_uniques", 6)):
            counted = found.setdefault(table, Counter())
            for row in connection.execute(f"SELECT * FROM {table}"):  # noqa: S608
                for column, number in enumerate(row[keys:]):
                    counted[*row[:keys], column] += number
    return {table: +counted for table, counted in found.items()}


def count(lines: list[bytes], verdicts: list[bytes]) -> Counts:
    """Count the same as slowly as can be, of the events alone."""
    found: Counts = {name: Counter() for name in ("counts", "uniques", "groups", "group_uniques")}
    later = {}
    for each in verdicts:
        own = fields_of(each)["x_msys_track"]
        later[own["reclassifies"]] = own["class"]
    seen: set[tuple[str, str, str]] = set()
    for fields in map(fields_of, [*lines, *verdicts]):
        class_ = later.get(fields["event_id"], fields["x_msys_track"].get("class", ""))
        count_event(found, fields, class_)
        if fields["type"] in ACTIONS and fields["message_id"] != "0" * 20:
            count_firsts(found, fields, READERS.get(class_, "unknown"), seen)
    return {table: +counted for table, counted in found.items()}


def count_event(found: Counts, fields: dict[str, Any], class_: str) -> None:
    campaign, hour = fields.get("campaign_id", ""), int(fields["timestamp"]) // 3600
    found["counts"][campaign, hour, fields["type"], class_, 0] += 1
    for dimension, value in find_groups(fields) | find_link(fields):
        for place in places(dimension, hour // 24, campaign):
            found["groups"][*place, value, fields["type"], class_, 0] += 1


def count_firsts(
    found: Counts, fields: dict[str, Any], reader: str, seen: set[tuple[str, str, str]]
) -> None:
    campaign, hour = fields.get("campaign_id", ""), int(fields["timestamp"]) // 3600
    message, action = fields["message_id"], ACTIONS[fields["type"]]
    counted = [(message, action, find_groups(fields))]
    if action in {"open", "click"}:
        counted.append((message, "confirmed", find_groups(fields)))
    if action == "click":
        counted += [
            (f"{message} {link.split(' ')[0]}", action, {("link", link)})
            for _, link in find_link(fields)
        ]
    for what, way, groups in counted:
        marks = [f"by {reader}", "by anyone", "directly"][: 2 if reader == "machines" else 3]
        for column, mark in enumerate(marks):
            if (what, way, mark) in seen:
                continue
            seen.add((what, way, mark))
            if ("mail", "") in groups:
                found["uniques"][campaign, hour, way, reader, column] += 1
            for dimension, value in groups:
                for place in places(dimension, hour // 24, campaign):
                    found["group_uniques"][*place, value, way, reader, column] += 1


def places(dimension: str, day: int, campaign: str) -> list[tuple[str, int, str]]:
    return [(dimension, day, campaign), (f"all {dimension}", day, "")]


def find_groups(fields: dict[str, Any]) -> set[tuple[str, str]]:
    found = {("mail", "")}
    tags = fields.get("rcpt_tags")
    if isinstance(tags, list):
        found |= {("tag", tag) for tag in tags if isinstance(tag, str) and tag}
    if isinstance(fields.get("recipient_domain"), str):
        found.add(("domain", fields["recipient_domain"]))
    if client := fields.get("user_agent_parsed"):
        found.add(("client", client["agent_family"]))
    if geo := fields.get("geo_ip"):
        found.add(("country", geo["country"]))
    return found


def find_link(fields: dict[str, Any]) -> set[tuple[str, str]]:
    if ACTIONS.get(fields["type"]) not in {"click", "unsubscribe"}:
        return set()
    target = fields.get("target_link_url")
    if "target_link_position" in fields["x_msys_track"]:
        return {("link", f"html:3 {fields.get('target_link_name', '')}")}
    return {("link", target.split("?")[0])} if target else set()


def fields_of(event: bytes) -> dict[str, Any]:
    ((_, fields),) = orjson.loads(event)["msys"].items()
    return dict(fields)
