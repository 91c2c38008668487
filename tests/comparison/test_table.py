"""Comparisons as tables."""

import pytest
from tests.comparison.results import OURS, comparison, failed, measured, stats

from msys_track.comparison import table
from msys_track.comparison.damage import Damage
from msys_track.comparison.measure import Measured


def test_a_table_in_markdown_has_a_row_for_each_contender() -> None:
    peer = measured("peer", 12.34, times=(100, 123, 150), structures=3, broken=1)
    assert table.write_markdown(comparison(OURS, peer)).splitlines() == [
        "### a <letter>: 0.0 kB of HTML, 5 links, 3 interleaved rounds",
        "",
        "|  | ms | times ours | middle half | links | sealed | bytes changed | damage |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        "| msys-track | 0.100 | 1.00 | 1.00 to 1.00 | 5 | yes | 1,234 | none |",
        "| peer 1.0 | 12.3 | 123 | 106 to 143 | 5 | no | 1,234 | 1 link broken, 3 structures |",
    ]


def test_who_failed_has_no_time_but_the_error() -> None:
    (row,) = table.list_rows(comparison(failed("peer")))
    assert row == ["peer 1.0", "", "", "", "", "", "", "failed: ValueError: no"]


def test_who_was_too_slow_for_the_rounds_is_said_to_have_run_once() -> None:
    slow = Measured(
        name="slow",
        version="",
        is_ours=False,
        seals=False,
        work=Damage(wrapped=1, missed=2),
        times=stats(2.5),
        slower=stats(25_000),
    )
    (row,) = table.list_rows(comparison(slow))
    assert row == ["slow", "2,500", "25,000", "run once", "1", "no", "0", "2 links missed"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0123, "0.012"),
        (0.999, "0.999"),
        (1, "1.00"),
        (12.34, "12.3"),
        (123.4, "123"),
        (12_345, "12,345"),
    ],
)
def test_numbers_have_three_digits_that_count(value: float, text: str) -> None:
    assert table.format_digits(value) == text
