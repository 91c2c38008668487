"""The pages of the report, on a real store: what they say, and that no text becomes markup."""

import asyncio
import html
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest
from starlette.testclient import TestClient
from tests.report.visitor import make_visitor
from tests.sinks.store.events import AT, batch, event_id, line

from msys_track.report import export, pages
from msys_track.report.text import TEXT
from msys_track.sinks.store.sink import SqliteSink

PAGES: Final = (*pages.ROUTES, *export.ROUTES)
DAY: Final = datetime.fromtimestamp(AT, UTC).date()
DAYS: Final = f"from={DAY}&to={DAY}"
MESSAGES: Final = [f"{number:020x}" for number in range(1, 5)]
HOSTILE: Final = "\"><script>alert(1)</script>{{ 7*7 }}'&<b>\u202e"


def place(part: str, number: int) -> dict[str, object]:
    return {"target_link_position": {"part": part, "number": number}}


def list_events() -> list[bytes]:
    """Four mails sent; one opened by a person, one by a machine, one clicked in a burst."""
    about = {"rcpt_tags": ["spring", "shoes"], "recipient_domain": "b.test"}
    reader = {
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
