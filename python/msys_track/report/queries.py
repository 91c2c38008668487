"""What pages ask of the counts of a store: however many events it has, no call takes long."""

# ruff: noqa: S608 - the parts of a query are ours, values are bound

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from typing import Any, Final, Literal, NamedTuple, Self

from msys_track.event_fields import UNNAMED
from msys_track.report.period import SECONDS_A_DAY, SECONDS_AN_HOUR, Period
from msys_track.sinks.store.grouping import name_for_all
from msys_track.sinks.store.reading import Store, read_text
from msys_track.sinks.store.rows import ACTIONS, READERS, UNKNOWN
from msys_track.sinks.store.stats import KINDS, Stats, make_stats

_NEWEST_DAYS: Final = 30
_EPOCH: Final = date(1970, 1, 1).toordinal()

_EACH_DAY: Final = (
    "WITH RECURSIVE days (day) AS (SELECT ? UNION ALL SELECT day + 1 FROM days WHERE day < ?)"
)
_ACTION_TYPES: Final = ", ".join(f"'{type_}'" for type_ in ACTIONS)
_CLICK_TYPES: Final = ", ".join(
    f"'{type_}'" for type_, action in ACTIONS.items() if action == "click"
)
_PLACED: Final = re.compile(r"([a-z]+):([0-9]{1,9}) (.*)", re.DOTALL)


class Dimension(StrEnum):
    """What events are grouped by; the store counts them by each."""

    MAIL = "mail"
    """All of it, as one group with an empty value."""
    TAG = "tag"
    DOMAIN = "domain"
    """The recipient's, in lower case."""
    CLIENT = "client"
    """`user_agent_parsed.agent_family`."""
    COUNTRY = "country"
    """`geo_ip.country`."""
    LINK = "link"


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkStats:
    """The clicks of one link of a campaign.

    Attributes:
        part: `html`, `text` or `amp`; empty if the link says nothing.
        number: Its place among the links of the part, from 1; 0 if the link says nothing.
        target: Where it leads, without query and fragment.
        name: `data-msys-linkname`, or empty.
        events: Clicks, by people, machines and unknown.
        messages: Messages with such a click, by the same.
    """

    part: str
    number: int
    target: str
    name: str
    events: Mapping[str, int]
    messages: Mapping[str, int]


def read_totals(store: Store, period: Period, campaign: str | None = None) -> Stats:
    """Read what happened in a period, to all mail or to a campaign's.

    Its `key` is the campaign, empty for all mail.

    Raises:
        SinkError: the store can't be read; the text says what to do.
    """
    counted = _Counted.of(_Days.of(period), Dimension.MAIL, campaign)
    for stats in _read_stats(store, counted, key="''"):
        return replace(stats, key=campaign or "")
    return Stats(key=campaign or "")


def read_series(store: Store, period: Period, campaign: str | None = None) -> list[Stats]:
    """Read the same for each step of the period, without gaps; `key` is where it begins.

    Raises:
        SinkError: the store can't be read; the text says what to do.
    """
    if period.step == "day":
        counted = _Counted.of(_Days.of(period), Dimension.MAIL, campaign)
        found = _read_stats(store, counted, key="day", seconds=SECONDS_A_DAY)
        seconds = SECONDS_A_DAY
    else:
        found = _read_hours(store, period, campaign)
        seconds = SECONDS_AN_HOUR
    known = {stats.key: stats for stats in found}
    steps = range(period.since, period.until, seconds)
    return [known.get(step) or Stats(key=step) for step in steps]


def read_campaigns(store: Store, period: Period, *, limit: int = 500) -> list[Stats]:
    """Read the campaigns with mail or readers in a period, most events first.

    Mail without a campaign is one with an empty name.

    Raises:
        SinkError: the store can't be read; the text says what to do.
    """
    days = _Days.of(period)
    found = make_stats(
        store.select(
            "SELECT campaign_id, type, class, sum(events) FROM groups"
            " WHERE dimension = ? AND day BETWEEN ? AND ? GROUP BY 1, 2, 3",
            Dimension.MAIL,
            *days,
        ),
        store.select(
            "SELECT campaign_id, action, reader, sum(messages), sum(new_messages)"
            " FROM group_uniques WHERE dimension = ? AND day BETWEEN ? AND ? GROUP BY 1, 2, 3",
            Dimension.MAIL,
            *days,
        ),
    )
    return _sort(found)[:limit]


def read_groups(
    store: Store,
    period: Period,
    dimension: Dimension,
    campaign: str | None = None,
    *,
    limit: int = 200,
) -> list[Stats]:
    """Read what happened by each value of a dimension, most events first; `key` is the value.

    An event with several tags counts for each. A message counts for the value of the event that
    was the first of its kind, and for each link that it clicked.

    Raises:
        SinkError: the store can't be read; the text says what to do.
    """
    counted = _Counted.of(_Days.of(period), dimension, campaign)
    largest = store.select(
        f"{_EACH_DAY} SELECT value FROM days CROSS JOIN groups USING (day)"
        f" WHERE dimension = ? AND campaign_id = ? AND type IN ({_ACTION_TYPES})"
        " GROUP BY value HAVING sum(events) ORDER BY sum(events) DESC, value LIMIT ?",
        *counted,
        limit,
    )
    values = tuple(value.decode("utf-8", "replace") for (value,) in largest)
    return _sort(_read_stats(store, counted, key="value", values=values))


def read_links(store: Store, campaign: str, period: Period | None = None) -> list[LinkStats]:
    """Read the links of a campaign that were clicked, in the order of part and number.

    Raises:
        SinkError: the store can't be read; the text says what to do.
    """
    counted = _Counted.of(_find_days(store, period), Dimension.LINK, campaign)
    events, messages = (
        defaultdict[str, Counter[str]](Counter),
        defaultdict[str, Counter[str]](Counter),
    )
    for value, class_, count in store.select(
        f"{_EACH_DAY} SELECT value, class, sum(events) FROM days CROSS JOIN groups USING (day)"
        f" WHERE dimension = ? AND campaign_id = ? AND type IN ({_CLICK_TYPES}) GROUP BY 1, 2",
        *counted,
    ):
        events[read_text(value)][READERS.get(class_.decode(), UNKNOWN)] += count
    for value, reader, count in store.select(
        f"{_EACH_DAY} SELECT value, reader, sum(messages) FROM days"
        " CROSS JOIN group_uniques USING (day)"
        " WHERE dimension = ? AND campaign_id = ? AND action = 'click' GROUP BY 1, 2",
        *counted,
    ):
        messages[read_text(value)][read_text(reader)] += count
    targets = {
        read_text(link): read_text(target)
        for link, target in store.select(
            "SELECT link, target FROM links WHERE campaign_id = ?", campaign
        )
    }
    found = [
        _make_link(link, targets.get(link, ""), events[link], messages[link])
        for link in events
        if events[link].total()
    ]
    return sorted(found, key=lambda link: (link.part, link.number, link.name, link.target))


def find_period(store: Store, campaign: str | None = None) -> Period | None:
    """Find the newest days with events, at most 30; None if there never were any.

    Args:
        store: It is read.
        campaign: Only its events; empty: those without a campaign; None: all.

    Raises:
        SinkError: the store can't be read; the text says what to do.
    """
    if campaign is None:
        dimension = name_for_all(Dimension.MAIL)
        found = store.select(
            "SELECT (SELECT min(day) FROM groups WHERE dimension = ?1),"
            " (SELECT max(day) FROM groups WHERE dimension = ?1)",
            dimension,
        )
    else:
        found = store.select(
            "SELECT (SELECT min(hour) / 24 FROM counts WHERE campaign_id = ?1),"
            " (SELECT max(hour) / 24 FROM counts WHERE campaign_id = ?1)",
            campaign,
        )
    first, last = found[0]
    if last is None:
        return None
    try:
        return Period(
            date.fromordinal(_EPOCH + max(first, last - _NEWEST_DAYS + 1)),
            date.fromordinal(_EPOCH + last),
        )
    except (ValueError, OverflowError):  # a time that no calendar has
        return None


class _Days(NamedTuple):
    """The first and the last day, since 1970."""

    first: int
    last: int

    @classmethod
    def of(cls, period: Period) -> Self:
        return cls(period.since // SECONDS_A_DAY, period.until // SECONDS_A_DAY - 1)


class _Counted(NamedTuple):
    """What is counted: on which days, under which dimension and campaign."""

    first: int
    last: int
    dimension: str
    campaign: str

    @classmethod
    def of(cls, days: _Days, dimension: Dimension, campaign: str | None) -> Self:
        if campaign is None:
            return cls(*days, name_for_all(dimension), "")
        return cls(*days, dimension, campaign)


def _read_stats(
    store: Store,
    counted: _Counted,
    *,
    key: Literal["''", "day", "value"],
    values: Sequence[str] | None = None,
    seconds: int = 1,
) -> list[Stats]:
    condition = "dimension = ? AND campaign_id = ?"
    if values is not None:
        # With a plus: all values of a day lie together, so none is sought.
        condition += f" AND +value IN ({', '.join('?' * len(values))})"
    bound = (*counted, *(values or ()))
    return make_stats(
        store.select(
            f"{_EACH_DAY} SELECT {key}, type, class, sum(events)"
            f" FROM days CROSS JOIN groups USING (day) WHERE {condition} GROUP BY 1, 2, 3",
            *bound,
        ),
        store.select(
            f"{_EACH_DAY} SELECT {key}, action, reader, sum(messages), sum(new_messages)"
            f" FROM days CROSS JOIN group_uniques USING (day) WHERE {condition} GROUP BY 1, 2, 3",
            *bound,
        ),
        seconds,
    )


def _read_hours(store: Store, period: Period, campaign: str | None) -> list[Stats]:
    hours = (period.since // SECONDS_AN_HOUR, period.until // SECONDS_AN_HOUR - 1)
    if campaign is None:
        campaigns = "SELECT campaign_id FROM groups WHERE dimension = ? AND day BETWEEN ? AND ?"
        bound: tuple[Any, ...] = (Dimension.MAIL, *_Days.of(period), *hours)
    else:
        campaigns, bound = "?", (campaign, *hours)
    condition = f"campaign_id IN ({campaigns}) AND hour BETWEEN ? AND ?"
    return make_stats(
        store.select(
            "SELECT hour, type, class, sum(events) FROM counts"
            f" WHERE {condition} GROUP BY 1, 2, 3",
            *bound,
        ),
        store.select(
            "SELECT hour, action, reader, sum(messages), sum(new_messages) FROM uniques"
            f" WHERE {condition} GROUP BY 1, 2, 3",
            *bound,
        ),
        SECONDS_AN_HOUR,
    )


def _sort(found: Iterable[Stats]) -> list[Stats]:
    return sorted(found, key=lambda stats: (-stats.events, stats.key))


def _find_days(store: Store, period: Period | None) -> _Days:
    if period is not None:
        return _Days.of(period)
    first, last = store.select(
        "SELECT (SELECT min(day) FROM groups WHERE dimension = ?1),"
        " (SELECT max(day) FROM groups WHERE dimension = ?1)",
        Dimension.MAIL,
    )[0]
    return _Days(0, 0) if first is None else _Days(first, last)


def _make_link(
    link: str, target: str, events: Mapping[str, int], messages: Mapping[str, int]
) -> LinkStats:
    placed = _PLACED.fullmatch(link)
    part, number, name = placed.groups() if placed else ("", "0", "")
    return LinkStats(
        part=part,
        number=int(number),
        target=target,
        name="" if name == UNNAMED else name,
        events={reader: events.get(reader, 0) for reader in KINDS},
        messages={reader: messages.get(reader, 0) for reader in KINDS},
    )
