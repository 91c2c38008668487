"""The budget: never over its limit, and empty when all is given back."""

from hypothesis import given
from hypothesis import strategies as st

from msys_track.injection.budget import Budget

ACTIONS = st.lists(st.tuples(st.integers(0, 2), st.integers(-1, 60)), max_size=40)


def test_what_is_taken_is_given_back_once() -> None:
    budget = Budget(100)
    hold = budget.hold()
    assert hold.take(60)
    assert hold.take(40)
    assert budget.in_flight_bytes == hold.held_bytes == 100
    hold.release()
    hold.release()
    assert budget.in_flight_bytes == 0


def test_what_does_not_fit_takes_nothing() -> None:
    budget = Budget(100)
    first, second = budget.hold(), budget.hold()
    assert first.take(60)
    assert not second.take(41)
    assert budget.in_flight_bytes == 60
    assert second.could_ever_take(100)
    assert not second.could_ever_take(101)
    assert first.could_ever_take(40)
    assert not first.could_ever_take(41)


@given(actions=ACTIONS)
def test_the_budget_is_the_sum_of_what_is_held(actions: list[tuple[int, int]]) -> None:
    budget = Budget(100)
    holds = [budget.hold() for _ in range(3)]
    for which, count in actions:
        if count < 0:
            holds[which].release()
        else:
            fits = budget.in_flight_bytes + count <= 100
            assert holds[which].take(count) is fits
        assert budget.in_flight_bytes == sum(hold.held_bytes for hold in holds) <= 100
    for hold in holds:
        hold.release()
    assert budget.in_flight_bytes == 0
