import asyncio
import socket

import pytest

from msys_track.demo.stage import Stage
from msys_track.testing.browser import Browser, BrowserResponse

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "url", ["https://shop.example.com/", "http://127.0.0.1:9999/x", "http://127.0.0.1.evil/"]
)
def test_it_goes_nowhere_but_to_the_tracker(url: str) -> None:
    with pytest.raises(ValueError, match="the demo does not go there"):
        Browser("127.0.0.1", 8080).fetch([url])


async def test_an_answer_is_told_as_it_came(stage: Stage) -> None:
    unknown, pixel = await stage.fetch([f"{stage.origin}/f/a/x", f"{stage.origin}/q/x"])
    assert (unknown.status, unknown.location, unknown.is_gif) == (404, None, False)
    assert (pixel.status, pixel.media_type, pixel.is_gif) == (200, "image/gif", True)


async def test_an_answer_that_is_none_is_told_too_and_the_next_url_is_tried() -> None:
    async def rude(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"what?\r\n")
        writer.close()

    server = await asyncio.start_server(rude, "127.0.0.1", 0)
    async with server:
        browser = Browser("127.0.0.1", server.sockets[0].getsockname()[1])
        urls = [f"{browser.origin}/1", f"{browser.origin}/2"]
        answers = await asyncio.to_thread(browser.fetch, urls)
    assert answers == [BrowserResponse(status=0, location=None, media_type=None, body=b"")] * 2


def test_where_nobody_listens_there_is_no_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    browser = Browser("127.0.0.1", port)
    assert [each.status for each in browser.fetch([f"{browser.origin}/"])] == [0]
