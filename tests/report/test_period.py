"""Which days a page is of."""

from datetime import date

import pytest

from msys_track.report.period import Period, PeriodError, read_period

TODAY = date(2026, 11, 28)


def test_it_is_the_last_seven_days_unless_days_are_given() -> None:
    assert read_period({}, TODAY) == Period(date(2026, 11, 22), TODAY)
    given = {"from": "2026-11-01", "to": " 2026-11-02 "}
    assert read_period(given, TODAY) == Period(date(2026, 11, 1), date(2026, 11, 2))


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ({"from": "yesterday"}, "from: found 'yesterday', allowed: a day as in 2026-11-28"),
        ({"from": "1970-01-01"}, "from: 1970-01-01 is no day of mail"),
        ({"to": "9000-01-01"}, "to: 9000-01-01 is no day of mail"),
        ({"from": "2026-11-29"}, "is behind the last one"),
        ({"from": "1971-01-01"}, "is longer than"),
    ],
)
def test_what_is_no_period_is_named(query: dict[str, str], wrong: str) -> None:
    with pytest.raises(PeriodError, match=wrong):
        read_period(query, TODAY)
