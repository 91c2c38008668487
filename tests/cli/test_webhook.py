"""`msys-track webhook`: real commands, a real receiver, and a log as a tracker leaves it."""

# ruff: noqa: ASYNC240 - a test may wait for its own disk

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from click.testing import CliRunner, Result
from tests.cli.terminals import Terminal
from tests.sinks.webhook.conftest import NOW, Stepping, deliver_all, make_event, write_log
from tests.sinks.webhook.receiver import Receiver, Request, receiving

from msys_track.cli import main
from msys_track.config.load import load
from msys_track.eventlog.erasing import ERASED_EVENT
from msys_track.sinks.dead_letters import DeadLetters

pytestmark = pytest.mark.anyio

EVENTS = [make_event(number, at=NOW + 60 * number) for number in range(6)]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as running:
        yield running


@pytest.fixture
def path(tmp_path: Path, keys: Path, receiver: Receiver) -> Path:
    """A configuration with the webhook `shop`."""
    file = tmp_path / "msys-track.toml"
    file.write_text(f"""
keys = "{keys.name}"
[tracker]
store = "events.sqlite"
[events]
folder = "log"
[webhook.shop]
url = "{receiver.url}?key=s3cret"
custom_headers = {{"X-Key" = "7"}}
allow_private = true
max_events = 2
max_age_seconds = 0.05
""")
    return file


@pytest.fixture
def log(tmp_path: Path) -> Path:
    write_log(tmp_path / "log", EVENTS)
    return tmp_path / "log"


async def run(path: Path, *arguments: str) -> Result:
    """Run a command beside the receiver."""
    line = ["webhook", *arguments, "--config", str(path)]
    return await asyncio.to_thread(CliRunner().invoke, main, line)


async def deliver(path: Path, log: Path) -> None:
    await deliver_all(log, load(path).webhooks["shop"], Stepping())


async def list_json(path: Path) -> dict[str, object]:
    ended = await run(path, "list", "--json")
    assert ended.exit_code == 0, ended.stderr
    shown: dict[str, object] = json.loads(ended.stdout)
    return shown


async def test_test_sends_sparkposts_batch_and_shows_the_answer(
    path: Path, receiver: Receiver
) -> None:
    receiver.answer = lambda _: web.Response(text="thank you")
    ended = await run(path, "test", "shop")
    assert ended.exit_code == 0
    assert ended.stdout.splitlines()[1:] == ["thank you"]
    (request,) = receiver.requests
    assert request.body == b'[{"msys":{}}]'
    assert request.headers["X-Key"] == "7"
    receiver.answer = lambda _: web.Response(status=403, text="go away")
    ended = await run(path, "test", "shop")
    assert ended.exit_code == 1
    assert ended.stderr.endswith("403 Forbidden: go away\n")
    assert (await run(path, "test", "shops")).stderr.endswith(
        "no webhook shops; there are: shop\n"
    )


async def test_list_shows_how_far_a_webhook_has_come_and_no_secret(
    path: Path, receiver: Receiver, log: Path
) -> None:
    assert (await list_json(path))["waiting"] == 6
    receiver.answer = lambda _: 503 if len(receiver.requests) == 2 else 200
    await deliver(path, log)
    write_log(log, EVENTS[:3])
    state = await list_json(path)
    assert state["waiting"] == 3
    assert state["next_sequence"] == 7
    assert state["url"] == f"{receiver.url}?…"
    receiver.answer = lambda _: 400
    await deliver(path, log)
    state = await list_json(path)
    assert (state["waiting"], state["dead_events"], state["dead_batches"]) == (0, 3, 2)
    assert state["last_error"] == "400 Bad Request"
    ended = await run(path, "list")
    for shown in ("shop", "3 in 2", "400 Bad Request"):
        assert shown in ended.stdout
    assert "s3cret" not in ended.stdout


async def test_dead_letters_are_sent_again_with_their_ids_and_then_gone(
    path: Path, receiver: Receiver, log: Path
) -> None:
    receiver.answer = lambda _: 400
    await deliver(path, log)
    ids = {each.batch_id for each in receiver.requests}
    receiver.requests.clear()

    def answer(request: Request) -> int:
        return 400 if "event-2" in request.ids else 200

    receiver.answer = answer
    ended = await run(path, "replay", "shop", "--dead")
    assert ended.exit_code == 1
    assert ended.stdout == "sent: 4 events in 2 batches\n"
    assert "not taken: 1 batches: 400 Bad Request" in ended.stderr
    assert {each.batch_id for each in receiver.requests} == ids
    assert DeadLetters(log, "webhook.shop").count() == (1, 2)
    receiver.answer = lambda _: 200
    ended = await run(path, "replay", "shop", "--dead")
    assert (ended.exit_code, ended.stdout) == (0, "sent: 2 events in 1 batches\n")
    assert DeadLetters(log, "webhook.shop").count() == (0, 0)


async def test_the_log_is_sent_again_from_a_time_on_in_new_batches(
    path: Path, receiver: Receiver, log: Path
) -> None:
    write_log(log, [ERASED_EVENT + b"   "])
    await deliver(path, log)
    first = {each.batch_id for each in receiver.requests}
    write_log(log, [make_event(99)])  # the tracker sends that
    receiver.requests.clear()
    ended = await run(path, "replay", "shop", "--since", "2023-11-14T22:15:20Z")
    assert (ended.exit_code, ended.stdout) == (0, "sent: 4 events in 2 batches\n")
    assert receiver.ids == [f"event-{number}" for number in range(2, 6)]
    assert not first.intersection(each.batch_id for each in receiver.requests)
    receiver.answer = lambda _: 400
    ended = await run(path, "replay", "shop", "--since", "2023-11-14T22:15:20Z")
    assert (ended.exit_code, ended.stdout) == (1, "sent: 0 events in 0 batches\n")
    assert ended.stderr.endswith("; go on with --since 2023-11-14T22:15:20Z\n")
    ended = await run(path, "replay", "shop", "--since", "1s")
    assert ended.stdout == "sent: 0 events in 0 batches\n"


@pytest.mark.parametrize("given", [(), ("--dead", "--since", "1h"), ("--since", "yesterday")])
async def test_a_replay_that_does_not_say_what_is_refused(
    path: Path, given: tuple[str, ...]
) -> None:
    ended = await run(path, "replay", "shop", *given)
    assert ended.exit_code == 2
    assert "--since" in ended.stderr


@pytest.mark.parametrize(("silent_seconds", "is_shown"), [(-1.0, True), (60.0, False)])
async def test_at_a_terminal_a_long_replay_shows_how_far_it_is(
    path: Path,
    log: Path,
    monkeypatch: pytest.MonkeyPatch,
    silent_seconds: float,
    *,
    is_shown: bool,
) -> None:
    await deliver(path, log)
    terminal = Terminal(monkeypatch, "stderr")
    monkeypatch.setattr("msys_track.cli.webhook._SILENT_SECONDS", silent_seconds)
    line = ["webhook", "replay", "shop", "--since", "2023-11-14", "--config", str(path)]
    await asyncio.to_thread(main.main, line, standalone_mode=False)
    assert ("6 events" in terminal.read()) is is_shown


async def test_without_a_log_of_events_there_is_nothing_to_send_again(
    path: Path, receiver: Receiver
) -> None:
    text = path.read_text().replace('[tracker]\nstore = "events.sqlite"\n', "")
    path.write_text(text.replace('[events]\nfolder = "log"\n', ""))
    ended = await run(path, "replay", "shop", "--dead")
    assert ended.exit_code == 2
    assert "no event log; write a table [tracker], or folder in [events]" in ended.stderr
    assert receiver.requests == []
