"""One timer for all time-outs: each fires in its time, and none that is over."""

import asyncio
from math import inf

import pytest
from tests.waiting import until

from msys_track.relay.deadlines import Deadlines

pytestmark = pytest.mark.anyio


class Wait:
    """A wait that writes down when it was over."""

    def __init__(self, name: str, order: list[str], deadline: float = inf) -> None:
        self.deadline = deadline
        self._name = name
        self._order = order

    def expire(self) -> None:
        self.deadline = inf
        self._order.append(self._name)


async def test_each_expires_after_its_deadline_in_their_order() -> None:
    deadlines, order, now = Deadlines(), list[str](), asyncio.get_running_loop().time()
    for name, seconds in (("late", 0.15), ("soon", 0.05), ("never", inf)):
        wait = Wait(name, order, now + seconds)
        deadlines.add(wait)
        deadlines.note(wait.deadline)
    await until(lambda: order == ["soon", "late"])
    assert asyncio.get_running_loop().time() - now >= 0.14


async def test_a_wait_that_is_over_does_not_expire() -> None:
    deadlines, order, now = Deadlines(), list[str](), asyncio.get_running_loop().time()
    waits = [Wait(name, order, now + 0.05) for name in ("over", "gone", "longer", "due")]
    for wait in waits:
        deadlines.add(wait)
        deadlines.note(wait.deadline)
    over, gone, longer, _ = waits
    over.deadline = inf
    deadlines.discard(gone)
    longer.deadline = now + 0.15
    await until(lambda: len(order) == 2)
    assert order == ["due", "longer"]


async def test_what_expires_may_wait_again() -> None:
    deadlines, order = Deadlines(), list[str]()

    class Patient(Wait):
        def expire(self) -> None:
            super().expire()
            if len(order) < 3:
                self.deadline = asyncio.get_running_loop().time() + 0.01
                deadlines.note(self.deadline)

    wait = Patient("again", order, asyncio.get_running_loop().time() + 0.01)
    deadlines.add(wait)
    deadlines.note(wait.deadline)
    await until(lambda: order == ["again"] * 3)
