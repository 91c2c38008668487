"""How the mails and the events after the tour are reported."""

import asyncio

import pytest
from tests.waiting import until

from msys_track.demo.keep import keep
from msys_track.demo.stage import Stage

pytestmark = pytest.mark.anyio

HTML = b"Subject: x\r\nContent-Type: text/html\r\n\r\n"


async def test_each_mail_is_told_with_its_link_or_pixel_or_as_not_tracked(stage: Stage) -> None:
    told: list[str] = []
    stop = asyncio.Event()
    keeping = asyncio.create_task(keep(stage, told.append, stop))
    for body in (
        HTML + b"<a href='http://a.example/'>a</a>",
        HTML + b"<p>Hello</p>",
        b"Subject: x\r\n\r\nHello",
    ):
        count = len(told)
        await stage.send("a@example.com", ["b@example.net"], body + b"\r\n")
        await until(lambda count=count: len(told) > count)  # type: ignore[misc]
    stop.set()
    await keeping
    directions, link, pixel, plain, end = told
    assert f"tracker, HTTP       {stage.origin}" in directions
    assert link.startswith(f"arrived  for b@example.net, 1 of 1 links wrapped: {stage.origin}/")
    assert pixel.startswith(
        f"arrived  for b@example.net, no link wrapped; its pixel: {stage.origin}/"
    )
    assert plain == "arrived  for b@example.net, not tracked"
    assert end == "stopped; what the demo stored has been removed"
