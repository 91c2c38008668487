"""Sums of a store's roll-ups, as metrics need them: events by type, messages by action."""

# ruff: noqa: S608 - the parts of a query are ours, values are bound

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, TypeAlias

from msys_track.sinks.store.reading import Store
from msys_track.sinks.store.rows import READERS

By: TypeAlias = Literal["", "time", "campaign", "domain", "link-name"]
Key: TypeAlias = str | int

_SECONDS_AN_HOUR: Final = 3_600
_SECONDS_A_DAY: Final = 86_400
_MACHINES: Final = "machines"
# SparkPost's word for a link that its sender gave no name.
_UNNAMED: Final = "Raw URL"


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


def read_tallies(  # noqa: PLR0913 - what can be asked for
    store: Store,
    *,
    by: By,
    since: int,
    until: int,
    campaigns: Sequence[str] = (),
    domains: Sequence[str] = (),
) -> dict[Key, Tally]:
    """Read the sums of a time, by key: the Unix seconds, the campaign, the domain or the link.

    Args:
        store: It is read.
        by: What there is one result for each of; empty: one for all.
        since: Unix seconds; the beginning of an hour, of a day where domains or links are meant.
        until: Unix seconds; before the beginning of such an hour or day.
        campaigns: Only these.
        domains: Only mail to these.

    Raises:
        SinkError: the store can't be read; the text says what to do.
    """
    table = _find_table(by, has_domains=bool(domains))
    key = {
        "": "''",
        "time": f"{table.time} * {table.seconds}",
        "campaign": "campaign_id",
    }.get(by, "value")
    condition, values = table.condition(since, until, campaigns=campaigns, domains=domains)
    tallies: dict[Key, Tally] = {}
    for name, type_, class_, events in store.select(
        f"SELECT {key}, type, class, sum(events) FROM {table.counts} WHERE {condition}"
        " GROUP BY 1, 2, 3",
        *values,
    ):
        tally = tallies.setdefault(_read_key(by, name), Tally())
        tally.events[type_.decode()] += events
        if READERS.get(class_.decode()) != _MACHINES:
            tally.direct_events[type_.decode()] += events
    for name, action, messages, direct in store.select(
        f"SELECT {key}, action, sum(new_messages), sum(direct_messages) FROM {table.uniques}"
        f" WHERE {condition} GROUP BY 1, 2",
        *values,
    ):
        tally = tallies.setdefault(_read_key(by, name), Tally())
        tally.messages[action.decode()] += messages
        tally.direct_messages[action.decode()] += direct
    return tallies


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
    table = _HOURS if name == "campaigns" else _DOMAINS
    condition, values = table.condition(
        0 if since is None else since,
        _FOREVER if until is None else -(-until // table.seconds) * table.seconds,
    )
    key = "campaign_id" if name == "campaigns" else "value"
    found = store.select(
        f"SELECT DISTINCT {key} FROM {table.counts} WHERE {condition} AND events > 0", *values
    )
    return {_read_text(text) for (text,) in found}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """Where a store keeps counts.

    Attributes:
        counts: The table of events.
        uniques: The table of messages.
        time: The column of time.
        seconds: Its unit.
        dimension: What its values are; empty where it has none.
    """

    counts: str
    uniques: str
    time: str
    seconds: int
    dimension: str = ""

    def condition(
        self, since: int, until: int, *, campaigns: Sequence[str] = (), domains: Sequence[str] = ()
    ) -> tuple[str, list[Any]]:
        """Return which rows are meant in SQL, and the values in it."""
        parts = [f"{self.time} >= ?", f"{self.time} < ?"]
        values: list[Any] = [since // self.seconds, until // self.seconds]
        if self.dimension:
            parts, values = ["dimension = ?", *parts], [self.dimension, *values]
        for column, wanted in (("campaign_id", campaigns), ("value", domains)):
            if wanted:
                parts.append(f"{column} IN ({', '.join('?' * len(wanted))})")
                values += wanted
        return " AND ".join(parts), values


_HOURS: Final = _Table(counts="counts", uniques="uniques", time="hour", seconds=_SECONDS_AN_HOUR)
_DOMAINS: Final = _Table(
    counts="groups",
    uniques="group_uniques",
    time="day",
    seconds=_SECONDS_A_DAY,
    dimension="domain",
)
_LINKS: Final = replace(_DOMAINS, dimension="link")
# What the store counts a link by is its part and number with its name, or its target.
_LINK: Final = re.compile(r"(?:html|text|amp):[0-9]+ (.*)", re.DOTALL)
_FOREVER: Final = 2**40


def _find_table(by: By, *, has_domains: bool) -> _Table:
    if by == "link-name":
        return _LINKS
    return _DOMAINS if by == "domain" or has_domains else _HOURS


def _read_key(by: By, value: Any) -> Key:
    if by == "time":
        return int(value)
    text = _read_text(value)
    if by != "link-name":
        return text
    named = _LINK.fullmatch(text)
    return (named[1] if named else "") or _UNNAMED


def _read_text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
