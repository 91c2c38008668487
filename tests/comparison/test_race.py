"""The race: interleaved rounds."""

from dataclasses import dataclass, field

import pytest

from msys_track.comparison.race import Called, Race


@dataclass(slots=True)
class Runner:
    """Says how long it took, and keeps in what order everybody ran."""

    name: str
    ran: list[str]
    took: list[float] = field(default_factory=lambda: [0.01])

    def seconds(self, times: int) -> float:
        self.ran.append(self.name)
        return times * (self.took.pop(0) if len(self.took) > 1 else self.took[0])


def race(*names: str) -> tuple[Race, list[str]]:
    ran: list[str] = []
    made = Race(subjects={name: Runner(name, ran) for name in names})
    made.warm_up()
    ran.clear()
    return made, ran


def test_each_round_runs_everybody_and_begins_with_another_one() -> None:
    made, ran = race("a", "b", "c")
    for _ in range(3):
        made.round()
    assert ran == ["a", "b", "c", "b", "c", "a", "c", "a", "b"]


def test_a_slow_subject_is_not_run_five_times_to_warm_up() -> None:
    ran: list[str] = []
    made = Race(subjects={"slow": Runner("slow", ran, [0.3]), "quick": Runner("quick", ran)})
    made.warm_up()
    assert (ran.count("slow"), ran.count("quick")) == (1, 5)


def test_a_quick_subject_runs_often_enough_in_a_round_for_the_clock() -> None:
    made = Race(subjects={"quick": Runner("quick", [], [0.0001])})
    made.warm_up()
    assert made.times == {"quick": 40}


def test_it_runs_three_rounds_whatever_the_time_and_tells_of_each() -> None:
    made, _ = race("a", "b")
    told: list[float] = []
    made.run_for(0, told.append)
    assert len(made.rounds) == len(told) == 3


def test_a_ratio_is_the_median_of_those_of_the_rounds() -> None:
    made, _ = race("ours", "peer")
    made.rounds = [{"ours": 1, "peer": 2}, {"ours": 10, "peer": 60}, {"ours": 2, "peer": 8}]
    ratio = made.ratio("ours", "peer")
    assert (ratio.low, ratio.median, ratio.high) == (2, 4, 6)


@pytest.mark.parametrize("times", [1, 7])
def test_a_call_is_timed_by_the_clock_that_it_is_given(times: int) -> None:
    now = 0.0

    def pass_a_second() -> None:
        nonlocal now
        now += 1

    assert Called(pass_a_second, lambda: now).seconds(times) == times
