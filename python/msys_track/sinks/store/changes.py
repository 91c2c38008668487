"""What is to be added to the counts of a store: collected first, so that few rows are written."""

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, Final, NamedTuple, TypeAlias

from msys_track.sinks.store.grouping import ALL_MAIL, Group, name_for_all

Firsts: TypeAlias = tuple[int, int, int]
"""Messages that were the first of their kind of reader, of all, and of those by no machine."""

_HOURS_A_DAY: Final = 24
_MUCH_ALIKE: Final = 2
_ROWS_A_STATEMENT: Final = 32
_ADD_EVENTS: Final = " ON CONFLICT DO UPDATE SET events = events + excluded.events"
_ADD_FIRSTS: Final = (
    " ON CONFLICT DO UPDATE SET messages = messages + excluded.messages,"
    " new_messages = new_messages + excluded.new_messages,"
    " direct_messages = direct_messages + excluded.direct_messages"
)


class FirstSeen(NamedTuple):
    """A message that was first seen doing something."""

    action: str
    reader: str
    firsts: Firsts


class Mark(NamedTuple):
    """What is counted of an event; events that are alike have the same one.

    Attributes:
        campaign: Empty without one.
        hour: Since 1970.
        type: The event's.
        class_: The verdict on it.
        events: 1, or -1 to take it away, or 0 to change what was first seen alone.
        first_seen: What its message did for the first time.
    """

    campaign: str
    hour: int
    type: str
    class_: str
    events: int
    first_seen: tuple[FirstSeen, ...]


class Changes:
    """Nothing is written before `save`."""

    def __init__(self) -> None:
        self._groups: defaultdict[Mark, list[Sequence[Group]]] = defaultdict(list)

    def add(self, mark: Mark, events: Iterable[Sequence[Group]]) -> None:
        """Add events that are alike, each to its groups; all mail is counted by the hour too."""
        self._groups[mark].extend(events)

    def save(self, connection: sqlite3.Connection) -> None:
        """Add all of it.

        Raises:
            sqlite3.Error: the counts can't be stored.
        """
        hours, days = _Sums(), _Sums()
        of_all: defaultdict[Mark, list[Sequence[Group]]] = defaultdict(list)
        for mark, collected in self._groups.items():
            day = mark.hour // _HOURS_A_DAY
            counted = _count_groups(collected)
            if ALL_MAIL in counted:
                hours.add((mark.campaign, mark.hour), mark, counted[ALL_MAIL])
            for (dimension, value), times in counted.items():
                days.add((dimension, day, mark.campaign, value), mark, times)
            of_all[mark._replace(campaign="", hour=day * _HOURS_A_DAY)] += collected
        for mark, collected in of_all.items():
            day = mark.hour // _HOURS_A_DAY
            for (dimension, value), times in _count_groups(collected).items():
                days.add((name_for_all(dimension), day, "", value), mark, times)
        hours.write(connection, "counts", "uniques")
        days.write(connection, "groups", "group_uniques")


class _Sums:
    """Sums of events and of messages, by place and what was done."""

    def __init__(self) -> None:
        self._events: defaultdict[tuple[Any, ...], int] = defaultdict(int)
        self._messages: dict[tuple[Any, ...], list[int]] = {}

    def add(self, place: tuple[Any, ...], mark: Mark, times: int) -> None:
        _, _, type_, class_, events, first_seen = mark
        if events:
            self._events[*place, type_, class_] += events * times
        for action, reader, (of_reader, of_all, direct) in first_seen:
            key = (*place, action, reader)
            total = self._messages.get(key)
            if total is None:
                self._messages[key] = [of_reader * times, of_all * times, direct * times]
            else:
                total[0] += of_reader * times
                total[1] += of_all * times
                total[2] += direct * times

    def write(self, connection: sqlite3.Connection, events: str, messages: str) -> None:
        rows = [(*key, count) for key, count in self._events.items() if count]
        _write(connection, events, rows, _ADD_EVENTS)
        rows = [(*key, *total) for key, total in self._messages.items() if any(total)]
        _write(connection, messages, rows, _ADD_FIRSTS)


def _count_groups(collected: Sequence[Sequence[Group]]) -> Mapping[Group, int]:
    # Many events have the very same groups, and to compare these takes longer.
    found = {id(groups): groups for groups in collected}
    if len(found) > len(collected) / _MUCH_ALIKE:
        return Counter(chain.from_iterable(collected))
    counted: defaultdict[Group, int] = defaultdict(int)
    for identity, times in Counter(map(id, collected)).items():
        for group in found[identity]:
            counted[group] += times
    return counted


def _write(
    connection: sqlite3.Connection, table: str, rows: list[tuple[Any, ...]], conflict: str
) -> None:
    if not rows:
        return
    # In the order of the table, so that no page is written twice; some at a time, which takes
    # two thirds of the time.
    rows.sort()
    row = f"({', '.join('?' * len(rows[0]))})"
    whole = len(rows) // _ROWS_A_STATEMENT * _ROWS_A_STATEMENT
    several = range(0, whole, _ROWS_A_STATEMENT)
    connection.executemany(
        f"INSERT INTO {table} VALUES {', '.join([row] * _ROWS_A_STATEMENT)}{conflict}",  # noqa: S608
        (tuple(chain.from_iterable(rows[at : at + _ROWS_A_STATEMENT])) for at in several),
    )
    connection.executemany(f"INSERT INTO {table} VALUES {row}{conflict}", rows[whole:])  # noqa: S608
