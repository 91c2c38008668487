"""How long one that failed is left alone, and who finds out whether it is up again."""

import pytest

from msys_track.relay.health import Health


def half() -> float:
    return 0.5


def test_at_first_it_is_taken_to_be_up() -> None:
    health = Health(60, half)
    assert health.is_up
    assert health.is_usable(0)
    assert not health.begin()


def test_each_failure_doubles_the_time_up_to_the_longest() -> None:
    health, now, pauses = Health(10, half), 0.0, []
    for _ in range(6):
        pause = health.fail(now, is_probe=health.begin())
        assert pause is not None
        assert not health.is_usable(now + pause * 0.99)
        now += pause
        assert health.is_usable(now)
        pauses.append(round(pause / 0.9, 3))
    assert pauses == [1, 2, 4, 8, 10, 10]


def test_a_year_of_failures_overflows_nothing() -> None:
    health = Health(86_400, half)
    for _ in range(2_000):
        assert (health.fail(0, is_probe=health.begin()) or 0) <= 86_400


@pytest.mark.parametrize("random", [0.0, 0.5, 1.0])
def test_the_time_is_spread_and_never_longer_than_the_longest(random: float) -> None:
    pause = Health(0.5, lambda: random).fail(0, is_probe=False)
    assert pause == pytest.approx(0.5 * (1 - 0.2 * random))


def test_many_mails_that_fail_in_one_moment_are_one_failure() -> None:
    health = Health(60, half)
    for _ in range(50):
        health.begin()
    pauses = [health.fail(0, is_probe=False) for _ in range(50)]
    assert pauses[0] == pytest.approx(0.9)
    assert pauses[1:] == [None] * 49


def test_many_recipients_of_the_mail_that_finds_out_are_one_failure() -> None:
    health = Health(60, half)
    health.fail(0, is_probe=health.begin())
    is_probe = health.begin()
    pauses = [health.fail(5, is_probe=is_probe) for _ in range(50)]
    assert pauses[0] == pytest.approx(1.8)
    assert pauses[1:] == [None] * 49


def test_when_it_is_due_one_mail_finds_out_and_the_others_go_elsewhere() -> None:
    health = Health(60, half)
    health.fail(0, is_probe=False)
    assert health.is_usable(5)
    assert health.begin()
    assert not health.is_usable(5)
    assert health.succeed()
    assert health.is_up
    assert not health.succeed()


def test_a_mail_that_was_cancelled_while_it_found_out_leaves_that_to_the_next() -> None:
    health = Health(60, half)
    health.fail(0, is_probe=False)
    assert health.begin()
    health.give_up()
    assert health.is_usable(5)


def test_after_a_success_the_first_pause_is_short_again() -> None:
    health = Health(60, half)
    for _ in range(5):
        health.fail(0, is_probe=health.begin())
    health.succeed()
    assert health.fail(0, is_probe=health.begin()) == pytest.approx(0.9)
