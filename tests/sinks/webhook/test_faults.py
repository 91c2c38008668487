"""What goes wrong: the sender is killed, the disk is full, files are damaged; no event is lost."""

import asyncio
import json
from collections import defaultdict
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from tests.forking import FORKING
from tests.sinks.webhook.conftest import (
    Stepping,
    deliver_all,
    delivering,
    make_delivery,
    make_event,
    make_settings,
    write_log,
)
from tests.sinks.webhook.receiver import Receiver, receiving
from tests.waiting import until

from msys_track.errors import SinkError
from msys_track.sinks.dead_letters import DeadLetters
from msys_track.sinks.webhook.retries import Retries, load_retries, save_retries

pytestmark = pytest.mark.anyio

LETTER = {"first_sequence": 1, "attempts": 6, "status": 400, "error": "400 Bad Request"}


def deliver_until_killed(folder: Path, url: str) -> None:
    asyncio.run(make_delivery(folder, make_settings(url, max_events=100)).run())


def start_sender(folder: Path, url: str) -> BaseProcess:
    process = FORKING.Process(target=deliver_until_killed, args=(folder, url), daemon=True)
    process.start()
    return process


async def wait_for_requests(receiver: Receiver, more: int) -> None:
    wanted = len(receiver.requests) + more
    await until(lambda: len(receiver.requests) >= wanted)


async def test_kill_9_of_the_sender_loses_no_event_and_ids_stay(
    tmp_path: Path, receiver: Receiver
) -> None:
    count = 5_000
    write_log(tmp_path, [make_event(number) for number in range(count)])
    async with asyncio.timeout(40):
        for kills in range(1, 4):
            process = start_sender(tmp_path, receiver.url)
            await wait_for_requests(receiver, 5 * kills)
            process.kill()
            process.join()
        assert len(set(receiver.ids)) < count
        process = start_sender(tmp_path, receiver.url)
        last = f'"event-{count - 1}"'.encode()
        await until(lambda: last in receiver.requests[-1].body)
        process.kill()
        process.join()
    assert set(receiver.ids) == {f"event-{number}" for number in range(count)}
    bodies = defaultdict(set)
    for request in receiver.requests:
        bodies[request.batch_id].add(request.body)
    assert all(len(each) == 1 for each in bodies.values())
    assert len(bodies) == count / 100


async def test_one_webhook_that_is_down_does_not_hold_up_another(
    tmp_path: Path, receiver: Receiver
) -> None:
    async with receiving() as down:
        url = down.url
    write_log(tmp_path, [make_event(1)])
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "events").symlink_to(tmp_path / "events")
    async with (
        delivering(tmp_path, make_settings(url)),
        delivering(tmp_path / "other", make_settings(receiver.url)),
    ):
        await until(lambda: receiver.ids == ["event-1"])
    assert load_retries(tmp_path / "retries" / "webhook.shop.json").attempts == 1


async def test_a_dead_letter_that_the_disk_does_not_take_is_tried_again(
    tmp_path: Path, receiver: Receiver
) -> None:
    receiver.answer = lambda _: 400
    write_log(tmp_path, [make_event(1)])
    (tmp_path / "dead").write_text("in the way of the folder")
    steps = Stepping()
    async with delivering(tmp_path, make_settings(receiver.url), steps) as delivery:
        await until(lambda: delivery.last_error is not None)
        assert "can't be written" in str(delivery.last_error)
        assert delivery.position.sequence == 1
        (tmp_path / "dead").unlink()
        await until(lambda: delivery.position.sequence == 2)
    assert DeadLetters(tmp_path, "webhook.shop").count() == (1, 1)


def test_dead_letters_outlast_a_line_that_was_cut_off(tmp_path: Path) -> None:
    letters = DeadLetters(tmp_path, "webhook.shop")
    letters.append("a", [make_event(1), make_event(2)], **LETTER)  # type: ignore[arg-type]
    with letters.path.open("ab") as file:
        file.write(b'\n[]\n{"events": 1}\n{"batch_id": "cut')
    letters.append("b", [make_event(3)], **LETTER)  # type: ignore[arg-type]
    letters.append("a", [make_event(1), make_event(2)], **LETTER)  # type: ignore[arg-type]
    assert [each.batch_id for each in letters.read()] == ["a", "b"]
    assert next(letters.read()).events == (make_event(1), make_event(2))
    assert letters.count() == (2, 3)
    assert letters.path.stat().st_mode & 0o777 == 0o600
    for line in letters.path.read_bytes().splitlines()[-2:]:
        assert json.loads(line)["events"]


def test_events_can_be_taken_out_of_dead_letters(tmp_path: Path) -> None:
    letters = DeadLetters(tmp_path, "webhook.shop")
    assert letters.rewrite(lambda _: False) == 0
    letters.append("a", [make_event(1), make_event(2)], **LETTER)  # type: ignore[arg-type]
    letters.append("b", [make_event(3)], **LETTER)  # type: ignore[arg-type]
    assert letters.rewrite(lambda event: event == make_event(2)) == 2
    assert [(each.batch_id, each.events) for each in letters.read()] == [("a", (make_event(2),))]


def test_what_is_known_of_a_batch_may_be_missing_or_damaged(tmp_path: Path) -> None:
    path = tmp_path / "retries" / "webhook.shop.json"
    assert load_retries(path) == Retries()
    known = Retries(first_sequence=7, count=3, attempts=2, last_error="x")
    save_retries(path, known)
    assert load_retries(path) == known
    for text in ("", "{", "[]", '{"first_sequence": 1}'):
        path.write_text(text)
        assert load_retries(path) == Retries()
    path.unlink()
    path.mkdir()
    with pytest.raises(SinkError, match="can't be read"):
        load_retries(path)
    with pytest.raises(SinkError, match="can't be written"):
        save_retries(path, known)


async def test_a_batch_is_sent_though_nothing_is_known_of_it_any_more(
    tmp_path: Path, receiver: Receiver
) -> None:
    write_log(tmp_path, [make_event(1)])
    receiver.answer = lambda _: 503
    async with delivering(tmp_path, make_settings(receiver.url)):
        await until(lambda: receiver.requests)
    (tmp_path / "retries" / "webhook.shop.json").write_text("{")
    receiver.answer = lambda _: 200
    await deliver_all(tmp_path, make_settings(receiver.url))
    assert receiver.ids == ["event-1"] * 2
