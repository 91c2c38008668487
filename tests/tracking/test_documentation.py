"""`docs/tracker.md` promises answers and limits: they are held against a tracker."""

import asyncio
import dataclasses
import re
from pathlib import Path

import pytest
from tests.shown import read_blocks
from tests.tracking.conftest import Harness, Start

from msys_track.tracking.overrides import read_overrides
from msys_track.tracking.replies import PIXEL
from msys_track.tracking.settings import TrackerSettings

pytestmark = pytest.mark.anyio

PAGE = (Path(__file__).parents[2] / "docs" / "tracker.md").read_text(encoding="utf-8")

ANSWERS = dict(re.findall(r"^```http (\w+)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE))
FOREIGN = "/f/a/5TmBPmvTqjKFBk5dO3l0_w~~/AAAAARA~/RgRl?x=1"
LIMITS = {
    name: (float(number.replace(",", "")), beyond)
    for name, number, beyond in re.findall(
        r"^\| `(\w+)` \| ([\d,]+) .*? \| (.*?) \|$", PAGE, re.MULTILINE
    )
}
# What a request must be to pass a limit, and what is left of the answer then.
PAST = {
    "max_request_line_bytes": f"GET /{'a' * 8_192} HTTP/1.1\r\nHost: a\r\n\r\n",
    "max_header_bytes": f"GET / HTTP/1.1\r\nHost: a\r\nA: {'b' * 16_384}\r\n\r\n",
    "max_headers": "GET / HTTP/1.1\r\nHost: a\r\n" + "A: b\r\n" * 100 + "\r\n",
    "max_body_bytes": "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 65537\r\n\r\n",
}


def on_the_page(answer: bytes) -> str:
    """An answer as the page shows it: text alone, without a pixel's bytes."""
    head, _, body = answer.partition(b"\r\n\r\n")
    text = "" if body == PIXEL else body.decode("ascii")
    return head.decode("ascii").replace("\r\n", "\n") + "\n" + (f"\n{text}" if text else "")


async def test_the_answers_on_the_page_are_those_of_a_tracker(
    start: Start, click_path: str, open_path: str
) -> None:
    harness = await start(unknown_links="https://old-tracker.example.com")
    requests = {
        "click": f"GET {click_path}",
        "open": f"GET {open_path}",
        "forged": f"GET {click_path[:-1]}",
        "post": f"POST {click_path}",
        "foreign": f"GET {FOREIGN}",
    }
    given = {
        name: on_the_page(await harness.exchange(f"{line} HTTP/1.1\r\nHost: a\r\n\r\n".encode()))
        for name, line in requests.items()
    }
    assert given == ANSWERS


def test_the_limits_on_the_page_are_the_defaults() -> None:
    defaults = {field.name: field.default for field in dataclasses.fields(TrackerSettings)}
    assert {name: limit for name, (limit, _) in LIMITS.items()} == {
        name: defaults[name]
        for name in defaults
        if name.startswith("max_") or name in {"request_timeout_seconds", "idle_timeout_seconds"}
    }


@pytest.mark.parametrize("name", PAST)
async def test_beyond_a_limit_is_what_the_page_says(harness: Harness, name: str) -> None:
    answer = await harness.exchange(PAST[name].encode())
    assert answer.startswith(f"HTTP/1.1 {LIMITS[name][1]} ".encode())
    assert answer.endswith(b"Connection: close\r\n\r\n")


async def test_a_request_that_takes_too_long_gets_what_the_page_says(start: Start) -> None:
    harness = await start(request_timeout_seconds=0.1)
    reader, writer = await harness.connect()
    writer.write(b"GET / HTTP/1.1\r\n")
    assert (await reader.read())[9:12].decode() == LIMITS["request_timeout_seconds"][1]


async def test_a_connection_too_many_gets_what_the_page_says(start: Start) -> None:
    harness = await start(max_connections=1)
    _, writer = await harness.connect()
    writer.write(b"GET / HT")
    await asyncio.sleep(0.05)
    assert (await harness.exchange(b"")).startswith(b"HTTP/1.1 503 ")
    assert "503 where none is idle" in LIMITS["max_connections"][1]


def test_the_targets_that_changed_are_read_as_shown(tmp_path: Path) -> None:
    (shown,) = (each for each in read_blocks("unsubscribing.md") if each.role == "redirects.txt")
    (tmp_path / shown.role).write_text(shown.text, encoding="utf-8")
    assert read_overrides(tmp_path / shown.role) == {
        "https://shop.example.com/sale": "https://shop.example.com/outlet"
    }
