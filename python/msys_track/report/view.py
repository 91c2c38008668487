"""What a page of numbers shows: all of it stands in the page's address, so it can be kept.

And the same of several days as of one, where there are more days than a page has room for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final, Literal, Self, TypeAlias

from msys_track.report.period import Period, read_period
from msys_track.report.queries import Dimension
from msys_track.report.showing import make_link
from msys_track.sinks.store.stats import KINDS, Deeds, Stats

Count: TypeAlias = Literal["unique", "total"]
What: TypeAlias = Literal["opened", "clicked", "unsubscribed"]

COUNTS: Final[tuple[Count, ...]] = ("unique", "total")
KINDS_OF_DEEDS: Final[tuple[What, ...]] = ("opened", "clicked", "unsubscribed")
GROUPED: Final = (Dimension.TAG, Dimension.DOMAIN, Dimension.CLIENT, Dimension.COUNTRY)
"""What pages group by beside campaigns and links, in their order."""

MAX_STEPS: Final = 120
"""How many bars a chart has at most, and rows its table."""

# A day, a week, four weeks: so that weekends don't come and go.
_STEPS: Final = (1, 7, 28)
_PRESET_DAYS: Final = (7, 30, 90, 365)


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What a page shows.

    Attributes:
        period: The days that it is about.
        count: Messages, or everything that was done with them.
        what: What lists of bars compare.
        campaign: Only its mail; empty: mail without one; None: all mail.
    """

    period: Period
    count: Count = "unique"
    what: What = "opened"
    campaign: str | None = None

    @classmethod
    def read(cls, query: Mapping[str, str], today: date | None = None) -> Self:
        """Read a query string; what it has not, or names wrongly, is as by default.

        Raises:
            PeriodError: its days can't be used.
        """
        return cls(
            period=read_period(query, today),
            count=next((each for each in COUNTS if each == query.get("count")), COUNTS[0]),
            what=next(
                (each for each in KINDS_OF_DEEDS if each == query.get("what")), KINDS_OF_DEEDS[0]
            ),
            campaign=query.get("name"),
        )

    def query(self) -> dict[str, str | None]:
        """Return the query that says all of it."""
        return {
            "name": self.campaign,
            "from": str(self.period.first),
            "to": str(self.period.last),
            "count": self.count if self.count != COUNTS[0] else None,
            "what": self.what if self.what != KINDS_OF_DEEDS[0] else None,
        }

    def link(self, path: str, **changes: str | None) -> str:
        """Make the address of a page that shows the same, but for some changes."""
        return make_link(path, {**self.query(), **changes})

    def link_days(self, path: str, period: Period, **changes: str | None) -> str:
        """Make the address of a page that shows the same of other days."""
        days = {"from": str(period.first), "to": str(period.last)}
        return self.link(path, **changes, **days)

    def presets(self, today: date | None = None) -> list[tuple[int, Period]]:
        """Return the periods to choose from: how many days with today; 0 for yesterday alone."""
        today = today or datetime.now(UTC).date()
        yesterday = today - timedelta(days=1)
        return [
            (1, Period.of_days(1, today)),
            (0, Period(yesterday, yesterday)),
            *((days, Period.of_days(days, today)) for days in _PRESET_DAYS),
        ]

    def deeds(self, stats: Stats, what: str | None = None) -> Deeds:
        """Return what readers did of one kind; without it, of the kind that is compared."""
        found: Deeds = getattr(stats, what or self.what)
        return found

    def number(self, deeds: Deeds, reader: str) -> int:
        """Return how many, by who it was (`people`, `machines`, `unknown`) or of `all`."""
        if self.count == "unique":
            return deeds.all_messages if reader == "all" else deeds.messages[reader]
        return deeds.all_events if reader == "all" else deeds.events[reader]


def count_merged(steps: int) -> int:
    """Return how many steps of a series become one, so that there are at most `MAX_STEPS`."""
    enough = -(-steps // MAX_STEPS)
    return next((each for each in _STEPS if each >= enough), enough)


def merge_steps(series: Sequence[Stats], count: int) -> list[Stats]:
    """Make one step of each `count` of a series; its key is that of the first of them.

    Messages count where something was first done with them, so that they can be added up.
    """
    if count == 1:
        return list(series)
    return [_add(series[start : start + count]) for start in range(0, len(series), count)]


def _add(steps: Sequence[Stats]) -> Stats:
    return Stats(
        key=steps[0].key,
        sent=sum(each.sent for each in steps),
        rejected=sum(each.rejected for each in steps),
        opened=_add_deeds([each.opened for each in steps]),
        clicked=_add_deeds([each.clicked for each in steps]),
        unsubscribed=_add_deeds([each.unsubscribed for each in steps]),
    )


def _add_deeds(steps: Sequence[Deeds]) -> Deeds:
    return Deeds(
        events={reader: sum(each.events[reader] for each in steps) for reader in KINDS},
        messages={reader: sum(each.messages[reader] for each in steps) for reader in KINDS},
        all_messages=sum(each.all_messages for each in steps),
    )
