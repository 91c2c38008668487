"""A generated day is classified as `docs/classification.md` says; its table is the page's."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import orjson
import pytest
from tests.recording.generated_day import BEGIN, BURSTS, SAFE_LINKS, Drawn, draw_day

from msys_track.events import ReaderClass
from msys_track.recording.recorder import make_event_maker
from msys_track.tracking.classify.settings import ClassificationSettings

PAGE = Path(__file__).parents[2] / "docs" / "classification.md"
MACHINES = {"prefetch", "proxy", "scanner", "bot"}


Judged = Sequence[tuple[str, str]]


@pytest.fixture(scope="module")
def day() -> list[Drawn]:
    """The day, drawn once."""
    return draw_day()


@pytest.fixture(scope="module")
def judged(day: list[Drawn], tmp_path_factory: pytest.TempPathFactory) -> Judged:
    """Record the day; return each event's group, and its class once all later verdicts are in."""
    path = tmp_path_factory.mktemp("day") / "networks.txt"
    path.write_text(SAFE_LINKS)
    maker, _ = make_event_maker(ClassificationSettings(networks=(path,)))
    groups = {}
    classes = {}
    for each in day:
        line = orjson.dumps(each.hit)
        groups[each.hit["id"]] = each.who
        for _, event in maker.make(line, orjson.loads(line)):
            ((_, fields),) = orjson.loads(event)["msys"].items()
            own = fields["x_msys_track"]
            classes[own.get("reclassifies", fields["event_id"])] = own["class"]
    return [(groups[event_id], each) for event_id, each in classes.items()]


def write_table(judged: Judged) -> str:
    """Write the table of the page."""
    counts = Counter(judged)
    names = [each.value for each in ReaderClass if each != "unknown"]
    rows = [f"| who | {' | '.join(names)} |", "| --- |" + " ---: |" * len(names)]
    for who in sorted({who for who, _ in judged}):
        cells = (str(counts[who, name] or "") for name in names)
        rows.append(
            f"| {who} | {' | '.join(cells)} |".replace("|  |", "| |").replace("|  |", "| |")
        )
    return "\n".join(rows) + "\n"


def test_the_day_is_drawn_with_the_figures_that_are_known(day: list[Drawn]) -> None:
    assert sum(count for _, count in BURSTS) == 836
    bursts = {each.hit["message_id"]: each for each in day if each.who == "bursts"}
    assert len(bursts) == 836
    clicks = [each for each in day if each.hit["kind"] == "click" and each.who != "HEAD"]
    people = sum(each.who.startswith("people") for each in clicks)
    assert people < 0.5 * len(clicks)
    opens = Counter(each.who for each in day if each.hit["kind"] == "open")
    assert opens["Apple's proxy"] > 0.6 * (sum(opens.values()) - opens["people, opens"]) - 300
    assert all(each.hit["at"] >= BEGIN for each in day)
    assert day == draw_day()


def test_of_the_clicks_of_bursts_at_least_99_percent_are_found(judged: Judged) -> None:
    classes = [each for who, each in judged if who == "bursts"]
    assert len(classes) > 5 * 836
    assert sum(each in MACHINES for each in classes) >= 0.99 * len(classes)


def test_no_click_of_a_person_is_lost(judged: Judged) -> None:
    classes = Counter((who, each) for who, each in judged if who.startswith("people"))
    assert {each for _, each in classes} == {"human"}, classes


def test_no_open_of_a_proxy_is_called_a_bot(judged: Judged) -> None:
    classes = {each for who, each in judged if who.endswith("proxy")}
    assert classes == {"prefetch", "proxy"}


def test_safe_links_are_scanners_and_readers_of_outlook_com_are_people(judged: Judged) -> None:
    assert {each for who, each in judged if who == "Safe Links"} == {"scanner"}
    assert {each for who, each in judged if who == "readers of Outlook.com"} == {"human"}


def test_scanners_that_come_once_are_found_by_what_they_do(judged: Judged) -> None:
    for group in ("HEAD, then GET", "hostile suffix", "old browsers"):
        assert {each for who, each in judged if who == group} == {"scanner"}


def test_the_page_has_the_table_of_the_day(judged: Judged) -> None:
    table = write_table(judged)
    found = re.search(r"(?m)^\| who \|.*\n(?:\|.*\n)+", PAGE.read_text(encoding="utf-8"))
    assert found is not None
    assert found[0] == table, table
