"""A clock that is wrong is noticed by what others say, and by events of the future."""

import time
from email.message import Message
from email.utils import formatdate

import pytest

from msys_track.service.probing.clock import judge_clock
from msys_track.service.probing.finding import State
from msys_track.service.probing.network import HttpAnswer


def answer(seconds_ahead: float) -> HttpAnswer:
    now = time.time()
    headers = Message()
    headers["Date"] = formatdate(now + seconds_ahead, usegmt=True)
    return HttpAnswer(status=200, headers=headers, body=b"", certificate={}, received_at=now)


def test_clocks_that_agree_are_right() -> None:
    found = judge_clock([("a", answer(0)), ("b", answer(-5))], time.time() - 60)
    assert (found.state, found.found) == (State.OK, "agrees with that of a, b")


@pytest.mark.parametrize(("seconds", "way"), [(3_600, "behind"), (-3_600, "ahead of")])
def test_the_host_that_disagrees_most_is_named(seconds: float, way: str) -> None:
    found = judge_clock([("a", answer(10)), ("b", answer(seconds))], None)
    assert found.state is State.FAULT
    assert f"s {way} that of b" in found.found


def test_an_event_of_the_future_shows_a_clock_that_was_set_back() -> None:
    found = judge_clock([], time.time() + 7_200)
    assert found.state is State.FAULT
    assert "the newest event is 7,200 s later" in found.found


def test_a_clock_that_can_be_compared_with_nothing_is_no_fault() -> None:
    assert judge_clock([], None).state is State.OK


def test_a_clock_of_long_ago_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 86_400.0)
    assert judge_clock([], None).state is State.FAULT
