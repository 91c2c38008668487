"""What is counted for a network or a user."""

import pytest

from msys_track.accounts import limits
from msys_track.accounts.limits import Counted, TokenBucket


def test_a_bucket_gives_a_minutes_worth_at_once_and_then_evenly() -> None:
    bucket = TokenBucket(6)
    assert [bucket.take(0) for _ in range(7)] == [True] * 6 + [False]
    assert [bucket.take(9.9), bucket.take(10), bucket.take(10)] == [False, True, False]


def test_a_bucket_never_holds_more_than_a_minutes_worth() -> None:
    bucket = TokenBucket(2)
    assert [bucket.take(1000) for _ in range(3)] == [True, True, False]
    assert [bucket.take(99_999) for _ in range(3)] == [True, True, False]


def test_what_counts_for_one_key_counts_together() -> None:
    counted = Counted()
    assert counted.find_bucket("a", 1, 0) is counted.find_bucket("a", 1, 0)
    assert counted.find_bucket("a", 1, 0) is not counted.find_bucket("b", 1, 0)
    assert counted.find_gauge("a", 1) is counted.find_gauge("a", 1)


def test_a_changed_limit_applies_to_those_who_are_here() -> None:
    counted = Counted()
    gauge = counted.find_gauge("a", 1)
    gauge.take()
    assert gauge.is_full
    assert not counted.find_gauge("a", 2).is_full


def test_what_is_counted_is_bounded_and_those_who_count_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "_MAX_COUNTERS", 10)
    counted = Counted()
    busy, here = counted.find_bucket("busy", 1, 0), counted.find_gauge("here", 1)
    busy.take(0)
    here.take()
    for number in range(100):
        counted.find_bucket(number, 1, 0)
        counted.find_gauge(number, 1)
    assert len(counted) <= 20
    assert counted.find_bucket("busy", 1, 0) is busy
    assert counted.find_gauge("here", 1) is here


def test_a_crowd_that_all_counts_is_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_MAX_COUNTERS", 10)
    counted = Counted()
    for number in range(100):
        counted.find_bucket(number, 1, 0).take(0)
    assert len(counted) <= 10
    assert not counted.find_bucket(99, 1, 0).take(0)
