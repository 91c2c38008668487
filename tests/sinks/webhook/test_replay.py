"""What is sent again: dead letters until they are taken, and a piece of the log."""

import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.sinks.webhook.conftest import NOW, deliver_all, make_event, make_settings, write_log
from tests.sinks.webhook.receiver import Receiver

from msys_track.sinks.dead_letters import DeadLetters
from msys_track.sinks.webhook.replay import Replayed, replay_dead, replay_log

pytestmark = pytest.mark.anyio


@pytest.fixture
def letters(tmp_path: Path) -> DeadLetters:
    """Five dead letters, `a` to `e`, of an event each."""
    letters = DeadLetters(tmp_path, "webhook.shop")
    for number, name in enumerate("abcde", start=1):
        letters.append(
            name, [make_event(number)], first_sequence=number, attempts=6, status=400, error="no"
        )
    return letters


def left(letters: DeadLetters) -> str:
    return "".join(each.batch_id for each in letters.read())


def noting(gaps: list[float]) -> Callable[[float], Awaitable[None]]:
    """Make a pause that is over at once."""

    async def pause(seconds: float) -> None:
        gaps.append(seconds)

    return pause


async def test_dead_letters_that_are_taken_are_dead_no_longer_even_while_others_are_sent(
    tmp_path: Path, receiver: Receiver, letters: DeadLetters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("msys_track.sinks.webhook.replay._REMOVED_AT_ONCE", 2)
    seen: list[str] = []
    done = await replay_dead(
        tmp_path, "shop", make_settings(receiver.url), lambda _: seen.append(left(letters))
    )
    assert (done.batches, done.events, done.failed) == (5, 5, 0)
    assert [each.batch_id for each in receiver.requests] == [*"abcde"]
    assert seen == ["abcde", "abcde", "cde", "cde", "e"]
    assert left(letters) == ""


async def test_a_dead_letter_that_is_refused_again_stays_and_the_next_is_tried(
    tmp_path: Path, receiver: Receiver, letters: DeadLetters
) -> None:
    receiver.answer = lambda request: 400 if request.batch_id == "b" else 200
    done = await replay_dead(tmp_path, "shop", make_settings(receiver.url), lambda _: None)
    assert (done.batches, done.failed) == (4, 1)
    assert "400" in done.error
    assert left(letters) == "b"


async def test_after_a_dead_letter_that_can_not_be_delivered_no_other_is_tried(
    tmp_path: Path, receiver: Receiver, letters: DeadLetters
) -> None:
    receiver.answer = lambda request: 503 if request.batch_id == "b" else 200
    gaps: list[float] = []
    settings = make_settings(receiver.url)
    done = await replay_dead(tmp_path, "shop", settings, lambda _: None, pause=noting(gaps))
    assert (done.batches, done.failed) == (1, 1)
    assert "503" in done.error
    assert [each.batch_id for each in receiver.requests] == [*"abbbb"]
    assert len(gaps) == 3
    assert left(letters) == "bcde"


async def test_what_the_log_has_of_no_such_time_is_not_sent_again(
    tmp_path: Path, receiver: Receiver
) -> None:
    write_log(tmp_path, [make_event(1)])
    settings = make_settings(receiver.url)
    await deliver_all(tmp_path, settings)
    for since in (NOW + 1, time.time() + 3_600):
        done = await replay_log(tmp_path, "shop", settings, since, lambda _: None)
        assert done == Replayed()
    done = await replay_log(tmp_path, "shop", settings, NOW, lambda _: None)
    assert (done.batches, done.events) == (1, 1)
    assert receiver.ids == ["event-1"] * 2
