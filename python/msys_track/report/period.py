"""The time that a page is about: whole days, in UTC."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final, Literal, TypeAlias

Step: TypeAlias = Literal["hour", "day"]

SECONDS_A_DAY: Final = 86_400
SECONDS_AN_HOUR: Final = 3_600
DEFAULT_DAYS: Final = 7
MAX_DAYS: Final = 3_660
# Beyond this a series has more points than a chart can show.
_MAX_HOURLY_DAYS: Final = 3


@dataclass(frozen=True, slots=True)
class Period:
    """Whole days in UTC.

    Attributes:
        first: The first day.
        last: The last day, which is part of it.
    """

    first: date
    last: date

    @classmethod
    def of_days(cls, days: int, today: date) -> "Period":
        """Return so many days that end with today."""
        return cls(today - timedelta(days=days - 1), today)

    @property
    def since(self) -> int:
        """Unix seconds at which it begins."""
        return _start(self.first)

    @property
    def until(self) -> int:
        """Unix seconds at which it is over."""
        return _start(self.last) + SECONDS_A_DAY

    @property
    def days(self) -> int:
        """How many days it has."""
        return (self.last - self.first).days + 1

    @property
    def step(self) -> Step:
        """What a series has a point for."""
        return "hour" if self.days <= _MAX_HOURLY_DAYS else "day"


class PeriodError(ValueError):
    """A query names no period; the text says what is wrong."""


def read_period(query: Mapping[str, str], today: date | None = None) -> Period:
    """Read `from` and `to` of a query string: days as in 2026-11-28.

    Without them it is the last seven days.

    Raises:
        PeriodError: they are no days, or not in order, or too far apart.
    """
    today = today or datetime.now(UTC).date()
    last = _read_day(query, "to") or today
    first = _read_day(query, "from") or last - timedelta(days=DEFAULT_DAYS - 1)
    if first > last:
        raise PeriodError(f"the first day, {first}, is behind the last one, {last}")
    if (last - first).days >= MAX_DAYS:
        raise PeriodError(f"{first} to {last} is longer than {MAX_DAYS} days")
    return Period(first, last)


def _read_day(query: Mapping[str, str], name: str) -> date | None:
    text = query.get(name, "").strip()
    if not text:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise PeriodError(f"{name}: found {text!r}, allowed: a day as in 2026-11-28") from None
    if not 1970 < day.year < 9000:  # noqa: PLR2004 - what Unix seconds and the store can hold
        raise PeriodError(f"{name}: {day} is no day of mail")
    return day


def _start(day: date) -> int:
    return (day.toordinal() - date(1970, 1, 1).toordinal()) * SECONDS_A_DAY
