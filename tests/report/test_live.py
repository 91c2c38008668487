"""Live numbers: what is counted, whom they reach, and when they end."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Message
from tests.captured_logs import capture_logs
from tests.report.visitor import let_in, make_stranger, make_visitor
from tests.sinks.store.events import AT, batch, line

from msys_track.errors import SinkError
from msys_track.report import live
from msys_track.report.live import LastMinute, Live
from msys_track.sinks.store.sink import SqliteSink

pytestmark = pytest.mark.anyio


ZEROS = {
    f"{what}.{who}": 0
    for what in ("open", "click", "unsubscribe")
    for who in ("all", "people", "machines", "unknown")
}


async def store_lines(path: Path, *lines: bytes, first: int = 1) -> None:
    async with SqliteSink(path) as sink:
        await sink.write(batch(*lines, first=first))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.sqlite"


async def test_it_counts_the_last_minute_by_who_it_was(path: Path) -> None:
    await store_lines(
        path,
        line("click", at=AT - 61),
        line("click", at=AT - 59),
        line("click", at=AT, class_="bot"),
        line("click", at=AT, class_=None),
        line("initial_open", at=AT),
        line("open", at=AT),
        line("list_unsubscribe", at=AT),
        line("injection", at=AT, class_=None),
    )

    counts = LastMinute(path, lambda: AT).look()

    assert counts == {
        **ZEROS,
        "sent.all": 1,
        "open.people": 1,
        "open.all": 1,
        "click.people": 1,
        "click.machines": 1,
        "click.unknown": 1,
        "click.all": 3,
        "unsubscribe.people": 1,
        "unsubscribe.all": 1,
    }


async def test_what_comes_later_is_added_and_what_is_old_goes(path: Path) -> None:
    now = AT
    await store_lines(path, line("click", at=AT))
    minute = LastMinute(path, lambda: now)
    assert minute.look()["click.all"] == 1

    await store_lines(path, line("click", at=AT + 30), line("open", at=AT + 30), first=2)
    assert minute.look()["click.all"] == 2

    now = AT + 60
    assert minute.look()["click.all"] == 1
    now = AT + 90
    assert minute.look() == {**ZEROS, "sent.all": 0}


async def test_a_store_that_is_not_there_is_told_and_read_once_it_is(path: Path) -> None:
    minute = LastMinute(path, lambda: AT)
    with pytest.raises(SinkError):
        minute.look()

    await store_lines(path, line("click", at=AT))

    assert minute.look()["click.all"] == 1


async def test_another_store_in_its_place_is_read(path: Path) -> None:
    await store_lines(path, line("click", at=AT))
    minute = LastMinute(path, lambda: AT)
    assert minute.look()["click.all"] == 1

    for file in path.parent.glob(f"{path.name}*"):
        file.rename(file.with_name(f"old-{file.name}"))
    await store_lines(path, line("open", at=AT), line("open", at=AT))

    counts = minute.look()
    assert (counts["click.all"], counts["open.all"]) == (0, 2)
    minute.close()


async def test_a_defect_is_logged_and_they_go_on_waiting(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_LOOK_SECONDS", 0.01)
    await store_lines(path, line("click", at=AT))
    stream = Live(path).watch()
    with capture_logs() as logs:
        with monkeypatch.context() as broken:
            broken.setattr(LastMinute, "look", lambda _: 1 / 0)
            assert [await anext(stream) for _ in range(3)][-1].startswith(b": ")
        await find_counts(stream)
    await stream.aclose()

    assert [each["event"] for each in logs] == ["live.failed"]


async def test_all_who_watch_get_the_same_and_nothing_is_read_once_they_are_gone(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_LOOK_SECONDS", 0.01)
    await store_lines(path, line("click", at=AT))
    shared = Live(path)
    streams = [shared.watch() for _ in range(3)]

    first = [await find_counts(each) for each in streams]

    assert first[0] == first[1] == first[2]
    assert shared.watchers == 3
    for each in streams:
        await each.aclose()
    await until(lambda: shared._task is None)  # noqa: SLF001
    assert shared.watchers == 0


async def test_a_store_that_can_t_be_read_is_logged_once(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_LOOK_SECONDS", 0.01)
    stream = Live(path).watch()
    with capture_logs() as logs:
        for _ in range(4):
            await anext(stream)
        await stream.aclose()

    assert [each["event"] for each in logs] == ["live.unread"]


async def test_a_stream_ends_with_its_session(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_LOOK_SECONDS", 0.01)
    await store_lines(path, line("click", at=AT))
    client = make_stranger(path)
    cookie = let_in(client)
    sent: list[Message] = []

    async with asyncio.timeout(10):
        answer = asyncio.create_task(ask(client.app, cookie, sent))
        await until(lambda: len(sent) > 3)
        assert dict(sent[0]["headers"])[b"content-type"].startswith(b"text/event-stream")
        client.app.state.door.sessions.end(cookie)  # type: ignore[attr-defined]
        await answer

    assert sent[-1] == {"type": "http.response.body", "body": b""}


async def test_all_streams_end_when_the_report_stops(path: Path) -> None:
    client = make_stranger(path)
    cookie = let_in(client)
    sent: list[Message] = []

    async with asyncio.timeout(10):
        answer = asyncio.create_task(ask(client.app, cookie, sent))
        await until(lambda: len(sent) > 1)
        client.app.state.live.close()  # type: ignore[attr-defined]
        await answer

    assert sent[-1]["body"] == b""


def test_more_than_there_is_room_for_are_told_to_come_back(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "MAX_WATCHERS", 0)

    answer = make_visitor(path).get("/live")

    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "30"


async def find_counts(stream: AsyncIterator[bytes]) -> Any:
    async for message in stream:
        if message.startswith(b"data: "):
            return json.loads(message.removeprefix(b"data: "))
    raise AssertionError


async def ask(
    app: Callable[..., Awaitable[None]], cookie: str, sent: list[Message], path: str = "/live"
) -> None:
    """Ask for a stream, as a client that stays."""

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"host", b"test"), (b"cookie", f"msys-track={cookie}".encode())]
    scope = {
        "type": "http", "method": "GET", "path": path, "raw_path": path.encode(),
        "query_string": b"", "headers": headers, "scheme": "http", "root_path": "",
        "client": ("127.0.0.1", 1), "server": ("test", 80), "http_version": "1.1",
    }  # fmt: skip
    await app(scope, receive, send)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - it is no event
            await asyncio.sleep(0.01)
