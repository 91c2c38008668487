"""Sums of a store's roll-ups, as metrics need them: events by type, messages by action.

Roll-ups by the hour are by campaign alone; those by the day are by domain and link too, and for
all campaigns as one. Whatever is asked for, the fewest rows are read that say it.
"""

# ruff: noqa: S608 - the parts of a query are ours, values are bound

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from msys_track.sinks.store.grouping import DOMAIN, LINK, MAIL, name_for_all
from msys_track.sinks.store.reading import Store
from msys_track.sinks.store.rows import READERS

By: TypeAlias = Literal["", "hour", "day", "campaign", "domain", "link-name"]
Key: TypeAlias = str | int

_SECONDS_AN_HOUR: Final = 3_600
_SECONDS_A_DAY: Final = 86_400
_MACHINES: Final = "machines"
# SparkPost's word for a link that its sender gave no name.
_UNNAMED: Final = "Raw URL"
# What the store counts a link by is its part and number with its name, or its target.
_LINK: Final = re.compile(r"(?:html|text|amp):[0-9]+ (.*)", re.DOTALL)
# Days and campaigns are named in a query, so that their rows are found and not searched for.
_MAX_NAMED: Final = 2_000


@dataclass(frozen=True, slots=True)
class Tally:
    """What happened to some mail in some time.

    Attributes:
        events: How many events, by type.
        direct_events: Those that no machine made.
        messages: With how many messages an action happened for the first time, by the action:
            `open`, `click`, `unsubscribe`, or `confirmed`, which is an open or a click.
        direct_messages: The same for what no machine did.
    """

    events: Counter[str] = field(default_factory=Counter)
    direct_events: Counter[str] = field(default_factory=Counter)
    messages: Counter[str] = field(default_factory=Counter)
    direct_messages: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Tally") -> None:
        """Add what happened to other mail, or at another time."""
        for name in ("events", "direct_events", "messages", "direct_messages"):
            getattr(self, name).update(getattr(other, name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Of which mail and which time there should be sums.

    Attributes:
        by: What there is one result for each of; empty: one for all.
        since: Unix seconds; the beginning of an hour, of a day where days, domains or links are
            meant.
        until: Unix seconds; before the beginning of such an hour or day.
        campaigns: Only these; empty: all.
        domains: Only mail to these; empty: all.
        types: The types of events that are counted.
        actions: The actions that messages are counted by.
    """

    by: By
    since: int
    until: int
    types: frozenset[str]
    actions: frozenset[str]
    campaigns: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()


def read_tallies(store: Store, question: Question) -> dict[Key, Tally]:
    """Read the sums, by key: the Unix seconds, the campaign, the domain or the link's name.

    Raises:
        SinkError: the store can't be read; the text says what to do.
    """
    tallies: dict[Key, Tally] = {}
    for rows in _find_rows(store, question):
        if question.types:
            _add_events(store, question, rows, tallies)
        if question.actions:
            _add_messages(store, question, rows, tallies)
    return tallies


def _add_events(
    store: Store, question: Question, rows: "_Rows", tallies: dict[Key, Tally]
) -> None:
    types = tuple(question.types)
    for name, type_, class_, events in store.select(
        f"SELECT {rows.key}, type, class, sum(events) FROM {rows.counts}{_one_of('type', types)}"
        " GROUP BY 1, 2, 3",
        *rows.values,
        *types,
    ):
        tally = tallies.setdefault(_read_key(question.by, name), Tally())
        tally.events[type_.decode()] += events
        if READERS.get(class_.decode()) != _MACHINES:
            tally.direct_events[type_.decode()] += events


def _add_messages(
    store: Store, question: Question, rows: "_Rows", tallies: dict[Key, Tally]
) -> None:
    actions = tuple(question.actions)
    for name, action, messages, direct in store.select(
        f"SELECT {rows.key}, action, sum(new_messages), sum(direct_messages)"
        f" FROM {rows.uniques}{_one_of('action', actions)} GROUP BY 1, 2",
        *rows.values,
        *actions,
    ):
        tally = tallies.setdefault(_read_key(question.by, name), Tally())
        tally.messages[action.decode()] += messages
        tally.direct_messages[action.decode()] += direct


def read_keys(
    store: Store, name: Literal["campaigns", "domains"], since: int | None, until: int | None
) -> set[str]:
    """Read of which campaigns, or recipients' domains, there are counts.

    Args:
        store: It is read.
        name: Which.
        since: Unix seconds; from the hour or the day on that this is in.
        until: Unix seconds; to the hour or the day that this is in.

    Raises:
        SinkError: the store can't be read; the text says what to do.
    """
    column, table, condition, seconds = (
        ("campaign_id", "counts", "hour >= ? AND hour < ?", _SECONDS_AN_HOUR)
        if name == "campaigns"
        else (
            "value",
            "groups",
            f"dimension = '{name_for_all(DOMAIN)}' AND day >= ? AND day < ?",
            _SECONDS_A_DAY,
        )
    )
    found = store.select(
        f"SELECT DISTINCT {column} FROM {table} WHERE {condition} AND events > 0",
        0 if since is None else since // seconds,
        2**40 if until is None else -(-until // seconds),
    )
    return {_read_text(text) for (text,) in found}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rows:
    """Rows of roll-ups.

    Attributes:
        counts: Those of events, as they stand behind FROM.
        uniques: Those of messages.
        values: What is bound in either.
        key: The expression of what there is one result for each of.
    """

    counts: str
    uniques: str
    values: Sequence[Any]
    key: str


@dataclass(frozen=True, slots=True)
class _Group:
    """Which groups are meant; empty campaigns and values are all of them."""

    dimension: str
    days: range
    campaigns: Sequence[str]
    values: Sequence[str] = ()


def _find_rows(store: Store, question: Question) -> Iterator[_Rows]:
    first, last = -(-question.since // _SECONDS_A_DAY), question.until // _SECONDS_A_DAY
    days = range(first, last)
    campaigns, domains = question.campaigns, question.domains
    if domains or question.by in ("domain", "link-name"):
        dimension = LINK if question.by == "link-name" else DOMAIN
        if question.by == "campaign" and not campaigns:
            known = read_keys(store, "campaigns", question.since, question.until)
            campaigns = tuple(known) if len(known) <= _MAX_NAMED else ()
        elif not campaigns:
            dimension, campaigns = name_for_all(dimension), ("",)
        yield _in_days(store, question.by, _Group(dimension, days, campaigns, domains))
    elif question.by in ("hour", "campaign") or campaigns or not days:
        yield _in_hours(question.by, question.since, question.until, campaigns)
    else:
        yield _in_days(store, question.by, _Group(name_for_all(MAIL), days, ("",)))
        for begin, end in (
            (question.since, first * _SECONDS_A_DAY),
            (last * _SECONDS_A_DAY, question.until),
        ):
            if begin < end:
                yield _in_hours(question.by, begin, end, campaigns)


def _in_hours(by: By, since: int, until: int, campaigns: Sequence[str]) -> _Rows:
    where = "WHERE hour >= ? AND hour < ?" + _one_of("campaign_id", campaigns)
    return _Rows(
        counts=f"counts {where}",
        uniques=f"uniques {where}",
        values=(since // _SECONDS_AN_HOUR, until // _SECONDS_AN_HOUR, *campaigns),
        key=_write_key(by, f"hour * {_SECONDS_AN_HOUR}"),
    )


def _in_days(store: Store, by: By, group: _Group) -> _Rows:
    """Return the rows of groups, which are sorted by dimension, day, campaign and value.

    Each day and each campaign is named, so that rows of others are passed over at once.
    """
    [(first, last)] = store.select(
        "SELECT (SELECT min(day) FROM groups WHERE dimension = ?),"
        " (SELECT max(day) FROM groups WHERE dimension = ?)",
        group.dimension,
        group.dimension,
    )
    days = group.days
    known = range(0) if first is None else range(max(days.start, first), min(days.stop, last + 1))
    named = f"day IN ({', '.join(map(str, known))})"
    if len(known) > _MAX_NAMED:
        named = f"day >= {known.start} AND day < {known.stop}"
    condition = _one_of("campaign_id", group.campaigns) + _one_of("value", group.values)
    where = f"WHERE dimension = ? AND {named}{condition}"
    return _Rows(
        counts=f"groups {where}",
        uniques=f"group_uniques {where}",
        values=(group.dimension, *group.campaigns, *group.values),
        key=_write_key(by, f"day * {_SECONDS_A_DAY}"),
    )


def _write_key(by: By, seconds: str) -> str:
    columns = {"": "''", "hour": seconds, "day": seconds, "campaign": "campaign_id"}
    return columns.get(by, "value")


def _one_of(column: str, values: Sequence[str]) -> str:
    return f" AND {column} IN ({', '.join('?' * len(values))})" if values else ""


def _read_key(by: By, value: Any) -> Key:
    if by in ("hour", "day"):
        return int(value)
    text = _read_text(value)
    if by != "link-name":
        return text
    named = _LINK.fullmatch(text)
    return (named[1] if named else "") or _UNNAMED


def _read_text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
