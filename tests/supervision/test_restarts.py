"""When a worker that died is begun again."""

import socket
import time
from collections.abc import Callable, Iterator

import pytest

from msys_track.supervision.restarts import Restarts
from msys_track.supervision.worker import Plan, Worker

MakeWorker = Callable[[float], Worker]


@pytest.fixture
def make_worker() -> Iterator[MakeWorker]:
    """Makes a worker that was begun so many seconds ago."""
    plan = Plan(
        name="test", workers=1, addresses=(), drain_seconds=1, hang_seconds=1, settings=None,
        serve=lambda *_: None, announce=lambda _: None,
    )  # fmt: skip
    control, other = socket.socketpair()

    def make(age: float) -> Worker:
        began = time.monotonic() - age
        return Worker(
            pid=1, slot=0, plan=plan, control=control, started_at=began, heard_at=began
        )  # fmt: skip

    yield make
    control.close()
    other.close()


def test_one_that_was_there_for_long_is_replaced_at_once_however_often(
    make_worker: MakeWorker,
) -> None:
    restarts = Restarts()
    for _ in range(3):
        restarts.note_death(make_worker(11))
        assert restarts.find_pause(9) == 0
        assert restarts.take_due() == [0]


def test_one_that_dies_again_and_again_waits_twice_as_long_each_time_and_5_seconds_at_most(
    make_worker: MakeWorker,
) -> None:
    restarts = Restarts()
    pauses = []
    for _ in range(7):
        restarts.note_death(make_worker(0))
        pauses.append(round(restarts.find_pause(9), 1))
    assert pauses == [0, 0.5, 1, 2, 4, 5, 5]
    assert restarts.take_due() == []


def test_one_that_the_system_had_no_room_for_is_tried_5_seconds_later() -> None:
    restarts = Restarts()
    restarts.postpone(3)
    assert round(restarts.find_pause(9), 1) == 5
    assert restarts.find_pause(1) == 1
    restarts.clear()
    assert restarts.find_pause(9) == 9


def test_a_first_worker_is_begun_again_only_where_a_signal_ended_it_soon(
    make_worker: MakeWorker,
) -> None:
    restarts = Restarts()
    assert not restarts.allow_start(make_worker(0), 1)
    assert not restarts.allow_start(make_worker(61), -9)
    assert [restarts.allow_start(make_worker(0), -9) for _ in range(5)] == [*4 * [True], False]
