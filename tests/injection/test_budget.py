"""The budget: never over its limit, and empty when all is given back."""

from hypothesis import given
from hypothesis import strategies as st

from msys_track.injection.budget import Budget

ACTIONS = st.lists(st.tuples(st.integers(0, 2), st.integers(-1, 60)), max_size=40)


def test_what_is_received_counts_twice_and_is_given_back_once() -> None:
    budget = Budget(200)
    hold = budget.hold()
    assert hold.take(60)
    assert hold.take(40)
    assert budget.in_flight_bytes == hold.held_bytes == 200
    hold.release()
    hold.release()
    assert budget.in_flight_bytes == 0


def test_what_does_not_fit_takes_nothing() -> None:
    budget = Budget(200)
    first, second = budget.hold(), budget.hold()
    assert first.take(60)
    assert not second.take(41)
    assert not second.borrow(81)
    assert budget.in_flight_bytes == 120
    assert second.borrow(80)
    second.give_back(80)
    assert budget.in_flight_bytes == 120


def test_what_is_there_already_is_counted_over_the_limit_too() -> None:
    budget = Budget(100)
    hold = budget.hold()
    assert hold.take(50)
    hold.add(30)
    assert budget.in_flight_bytes == 130
    assert not budget.hold().take(1)
    hold.release()
    assert budget.in_flight_bytes == 0


def test_large_messages_leave_room_for_small_ones() -> None:
    mebibyte = 1 << 20
    budget = Budget(64 * mebibyte)
    assert budget.largest_message_bytes == 28 * mebibyte
    large, small = budget.hold(), budget.hold()
    assert large.take(28 * mebibyte)
    assert not large.take(1)
    assert small.take(mebibyte)


@given(actions=ACTIONS)
def test_the_budget_is_the_sum_of_what_is_held(actions: list[tuple[int, int]]) -> None:
    budget = Budget(200)
    holds = [budget.hold() for _ in range(3)]
    for which, count in actions:
        if count < 0:
            holds[which].release()
        else:
            fits = budget.in_flight_bytes + 2 * count <= 200
            assert holds[which].take(count) is fits
        assert budget.in_flight_bytes == sum(hold.held_bytes for hold in holds) <= 200
    for hold in holds:
        hold.release()
    assert budget.in_flight_bytes == 0
