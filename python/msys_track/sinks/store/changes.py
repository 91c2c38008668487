"""What is to be added to the counts of a store: collected first, so that few rows are written."""

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, Final, NamedTuple, TypeAlias

from msys_track.sinks.store.grouping import MAIL, Group, name_for_all

Firsts: TypeAlias = tuple[int, int, int]
"""Messages that were the first of their kind of reader, of all, and of those by no machine."""

_HOURS_A_DAY: Final = 24
_MUCH_ALIKE: Final = 2
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
        hours, groups = Counter[Any](), Counter[Any]()
        unique_hours, unique_groups = _Totals(), _Totals()
        for mark, collected in self._groups.items():
            campaign, hour, type_, class_, events, first_seen = mark
            day = hour // _HOURS_A_DAY
            for (dimension, value), times in _count_groups(collected).items():
                place = (dimension, day, campaign, value)
                if dimension == MAIL:
                    hours[campaign, hour, type_, class_] += events * times
                    for action, reader, firsts in first_seen:
                        unique_hours.add((campaign, hour, action, reader), firsts, times)
                groups[*place, type_, class_] += events * times
                for action, reader, firsts in first_seen:
                    unique_groups.add((*place, action, reader), firsts, times)
        for table, counted in (("counts", hours), ("groups", _with_all(groups))):
            _write(connection, table, ((*key, n) for key, n in counted.items() if n), _ADD_EVENTS)
        for table, totals in (
            ("uniques", unique_hours),
            ("group_uniques", unique_groups.with_all()),
        ):
            _write(connection, table, totals.rows(), _ADD_FIRSTS)


class _Totals:
    """Sums of `Firsts` by a key."""

    def __init__(self) -> None:
        self._sums: dict[Any, list[int]] = {}

    def add(self, key: tuple[Any, ...], firsts: Sequence[int], times: int = 1) -> None:
        total = self._sums.get(key)
        if total is None:
            total = self._sums[key] = [0, 0, 0]
        of_reader, of_all, direct = firsts
        total[0] += of_reader * times
        total[1] += of_all * times
        total[2] += direct * times

    def with_all(self) -> "_Totals":
        for key, total in list(self._sums.items()):
            self.add(_name_all(key), total)
        return self

    def rows(self) -> Iterator[tuple[Any, ...]]:
        return ((*key, *total) for key, total in self._sums.items() if any(total))


def _count_groups(collected: Sequence[Sequence[Group]]) -> Counter[Group]:
    # Many events have the very same groups, and comparing these would take longer.
    found = {id(groups): groups for groups in collected}
    if len(found) > len(collected) / _MUCH_ALIKE:
        return Counter(chain.from_iterable(collected))
    counted = Counter[Group]()
    for identity, times in Counter(map(id, collected)).items():
        for group in found[identity]:
            counted[group] += times
    return counted


def _with_all(groups: Counter[Any]) -> Counter[Any]:
    for key, count in list(groups.items()):
        groups[_name_all(key)] += count
    return groups


def _name_all(key: tuple[Any, ...]) -> tuple[Any, ...]:
    dimension, day, _, *rest = key
    return (name_for_all(dimension), day, "", *rest)


def _write(
    connection: sqlite3.Connection, table: str, rows: Iterable[tuple[Any, ...]], conflict: str
) -> None:
    # In the order of the table, so that no page is written twice.
    ordered = sorted(rows)
    if ordered:
        marks = ", ".join("?" * len(ordered[0]))
        connection.executemany(f"INSERT INTO {table} VALUES ({marks}){conflict}", ordered)  # noqa: S608
