"""Counts of a store: kept with the events in one transaction, and kept when events are removed.

Events are counted by campaign and hour, and by what `grouping` finds in them and day. A message is
counted where it was first seen doing something: by its kind of reader, by anyone, and by anyone
who is no machine. `confirmed` is an open or a click, whichever came first.
"""

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias

from msys_track.events import NO_MESSAGE_ID, OWN_OBJECT
from msys_track.sinks.store.grouping import (
    Group,
    Known,
    find_groups,
    find_link,
    list_groups,
    read_known,
)
from msys_track.sinks.store.rows import (
    MACHINES,
    PEOPLE,
    READERS,
    RECLASSIFIED,
    UNKNOWN,
    pack_id,
    read_fields,
)

CONFIRMED: Final = "confirmed"

_Place: TypeAlias = tuple[str, int]
"""Campaign and hour."""
_OF_READER: Final = 1
"""The first of its kind of reader: such bits say what an event is the first of."""
_OF_ALL: Final = 2
_DIRECT: Final = 4
"""The first of those that are no machines."""

# A `Counter` calls Python for each key that is new.
_Numbers: TypeAlias = defaultdict[int, int]

_HOURS_A_DAY: Final = 24
# A batch has fewer groups than that.
_GROUP_BITS: Final = 32
_GROUP_MASK: Final = (1 << _GROUP_BITS) - 1
_FIRSTS_BITS: Final = 3
_FIRSTS_MASK: Final = (1 << _FIRSTS_BITS) - 1
_BITS_AN_ACTION: Final = 3
_BITS: Final[Mapping[str, int]] = {PEOPLE: 1, MACHINES: 2, UNKNOWN: 4}
_ALL_BITS: Final = 7
_CONFIRMS: Final[Mapping[str, str]] = {"open": "click", "click": "open"}


def _seen(action: str, shift: int) -> str:
    """Write in SQL which kinds of readers did something with a message before, as bits."""
    return " + ".join(
        f"{bit << shift} * EXISTS (SELECT 1 FROM events AS older"  # noqa: S608
        f" WHERE older.message_key = new.message_key AND older.action = {action}"
        f" AND older.reader = '{reader}' AND older.sequence < new.sequence)"
        for reader, bit in _BITS.items()
    )


# Mail's own events have no reader.
_SELECT_NEW: Final = f"""
    SELECT sequence, coalesce(campaign_id, ''), at / 3600, type, class, reader, action,
        CASE WHEN action = '' OR message_id IN ('', ?) THEN -1
            WHEN action = 'sent' THEN 4 * EXISTS (SELECT 1 FROM events AS older
                WHERE older.message_key = new.message_key AND older.action = 'sent'
                AND older.reader = '{UNKNOWN}' AND older.sequence < new.sequence)
            WHEN action = 'open' THEN {_seen("'open'", 0)} + {_seen("'click'", 3)}
            WHEN action = 'click' THEN {_seen("'click'", 0)} + {_seen("'open'", 3)}
            ELSE {_seen("new.action", 0)} END
    FROM events AS new WHERE sequence >= ?
"""  # noqa: S608
_FIRST: Final = """
    SELECT sequence, coalesce(campaign_id, ''), at / 3600, reader FROM events
    WHERE sequence = (
        SELECT min(sequence) FROM events WHERE message_key = ? AND action = ? AND reader = ?
    )
"""
_ADD: Final = (
    "INSERT INTO counts VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT DO UPDATE SET events = events + excluded.events"
)
_ADD_GROUP: Final = (
    "INSERT INTO groups VALUES (?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT DO UPDATE SET events = events + excluded.events"
)
_ADD_FIRSTS: Final = (
    " ON CONFLICT DO UPDATE SET messages = messages + excluded.messages,"
    " new_messages = new_messages + excluded.new_messages,"
    " direct_messages = direct_messages + excluded.direct_messages"
)
_ADD_UNIQUE: Final = "INSERT INTO uniques VALUES (?, ?, ?, ?, ?, ?, ?)" + _ADD_FIRSTS  # noqa: S608
_ADD_GROUP_UNIQUE: Final = (
    "INSERT INTO group_uniques VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)" + _ADD_FIRSTS  # noqa: S608
)
_ADD_LINK: Final = "INSERT OR IGNORE INTO links VALUES (?, ?, ?)"


class Grouping:
    """What the events of a batch are counted by, each group as a number."""

    def __init__(self) -> None:
        self._numbers: dict[Group, int] = {}
        self._known: dict[Known, tuple[int, ...]] = {}
        self._numbers_of: dict[int, tuple[int, ...]] = {}
        self._links: dict[tuple[str, str], str] = {}

    def note(self, sequence: int, fields: Mapping[str, Any]) -> None:
        """Note the fields of a row that is to be stored."""
        link = find_link(fields)
        known = read_known(fields, link and link[0])
        try:
            numbers = self._known.get(known)
            if numbers is None:
                numbers = self._known[known] = self.number(list_groups(known))
        except TypeError:  # something in it is a list
            numbers = self.number(list_groups(known))
        self._numbers_of[sequence] = numbers
        if link is not None:
            self._links.setdefault((fields.get("campaign_id") or "", link[0]), link[1])

    def number(self, groups: Iterable[Group]) -> tuple[int, ...]:
        """Return the numbers of groups."""
        numbers = self._numbers
        return tuple(numbers.setdefault(group, len(numbers)) for group in groups)

    def numbers_of(self, sequence: int) -> tuple[int, ...]:
        """Return the numbers of an event's groups."""
        return self._numbers_of.get(sequence, ())

    def list_groups(self) -> list[Group]:
        """List the groups in the order of their numbers."""
        return list(self._numbers)

    def list_links(self) -> list[tuple[str, str, str]]:
        """List campaign, link and target, in order."""
        return sorted((*key, target) for key, target in self._links.items())


class Changes:
    """What is to be added to the counts; nothing is written before `save`.

    Args:
        grouping: Has the groups' numbers.
    """

    # Keys are numbers, made of two: to look up tuples of texts takes several times as long.

    def __init__(self, grouping: Grouping) -> None:
        self._grouping = grouping
        self._kinds: dict[tuple[str, int, str, str], int] = {}
        self._events: _Numbers = defaultdict(int)
        self._groups: _Numbers = defaultdict(int)
        self._doings: dict[tuple[str, int, str, str], int] = {}
        self._uniques: _Numbers = defaultdict(int)
        self._group_uniques: _Numbers = defaultdict(int)

    def add_event(
        self, place: _Place, type_: str, class_: str, groups: Iterable[int], by: int
    ) -> None:
        """Add an event, or take it away."""
        kind = self._kinds.setdefault((*place, type_, class_), len(self._kinds))
        self._events[kind] += by
        counted, kind = self._groups, kind << _GROUP_BITS
        for group in groups:
            counted[kind | group] += by

    def add_firsts(  # noqa: PLR0913, PLR0917 - what a message is counted by
        self,
        place: _Place,
        action: str,
        reader: str,
        groups: Iterable[int],
        firsts: int,
        by: int = 1,
    ) -> None:
        """Add a message that was first seen doing something, or take it away."""
        doing = self._doings.setdefault((*place, action, reader), len(self._doings))
        key = doing << _FIRSTS_BITS | firsts
        self._uniques[key] += by
        counted, key = self._group_uniques, key << _GROUP_BITS
        for group in groups:
            counted[key | group] += by

    def save(self, connection: sqlite3.Connection) -> None:
        """Add all of it, in the order of the tables, so that no page is written twice.

        Raises:
            sqlite3.Error: the counts can't be stored.
        """
        kinds, doings = list(self._kinds), list(self._doings)
        groups = self._grouping.list_groups()

        def place(group: int, what: tuple[str, int, str, str]) -> tuple[Any, ...]:
            campaign, hour, *others = what
            dimension, value = groups[group]
            return dimension, hour // _HOURS_A_DAY, campaign, value, *others

        uniques: defaultdict[tuple[Any, ...], list[int]] = defaultdict(_zeros)
        for key, by in self._uniques.items():
            _add(uniques[doings[key >> _FIRSTS_BITS]], key & _FIRSTS_MASK, by)
        group_uniques: defaultdict[tuple[Any, ...], list[int]] = defaultdict(_zeros)
        for key, by in self._group_uniques.items():
            group, first = key & _GROUP_MASK, key >> _GROUP_BITS
            where = place(group, doings[first >> _FIRSTS_BITS])
            _add(group_uniques[where], first & _FIRSTS_MASK, by)
        by_group = (
            (*place(key & _GROUP_MASK, kinds[key >> _GROUP_BITS]), count)
            for key, count in self._groups.items()
        )
        for statement, rows in (
            (_ADD, ((*kinds[kind], count) for kind, count in self._events.items())),
            (_ADD_GROUP, by_group),
            (_ADD_UNIQUE, ((*key, *counts) for key, counts in uniques.items())),
            (_ADD_GROUP_UNIQUE, ((*key, *counts) for key, counts in group_uniques.items())),
        ):
            connection.executemany(statement, sorted(rows))


def count_new(connection: sqlite3.Connection, first_sequence: int, grouping: Grouping) -> None:
    """Count the events from a row on, which were stored in this transaction.

    Raises:
        sqlite3.Error: the counts can't be stored.
    """
    changes = Changes(grouping)
    verdicts = []
    for sequence, campaign, hour, type_, class_, reader, action, seen in connection.execute(
        _SELECT_NEW, (NO_MESSAGE_ID, first_sequence)
    ):
        groups, place = grouping.numbers_of(sequence), (campaign, hour)
        changes.add_event(place, type_, class_, groups, 1)
        if type_ == RECLASSIFIED:
            verdicts.append(sequence)
        if seen < 0:
            continue
        if firsts := _find_new(reader, seen):
            changes.add_firsts(place, action, reader, groups, firsts)
        if action in _CONFIRMS and (firsts := _find_new(reader, seen | seen >> _BITS_AN_ACTION)):
            changes.add_firsts(place, CONFIRMED, reader, groups, firsts)
    changes.save(connection)
    connection.executemany(_ADD_LINK, grouping.list_links())
    for sequence in verdicts:
        own = _read_fields(connection, sequence).get(OWN_OBJECT, {})
        class_, event_id = own.get("class"), own.get("reclassifies")
        if isinstance(class_, str) and isinstance(event_id, str):
            _reclassify(connection, pack_id(event_id), class_)


def _find_new(reader: str, seen: int) -> int:
    """Say what an event is the first of, where older ones were seen of these kinds of readers."""
    seen &= _ALL_BITS
    if seen & _BITS[reader]:
        return 0
    is_direct = reader != MACHINES and not seen & ~_BITS[MACHINES]
    return _OF_READER | (not seen) * _OF_ALL | is_direct * _DIRECT


def _reclassify(connection: sqlite3.Connection, event_id: bytes, new_class: str) -> None:
    """Find and count an event under its later verdict; its JSON stays as it is."""
    found = connection.execute(
        "SELECT sequence, coalesce(campaign_id, ''), at / 3600, type, class, message_key,"
        " CASE WHEN message_id IN ('', ?) THEN '' ELSE action END FROM events WHERE event_id = ?",
        (NO_MESSAGE_ID, event_id),
    ).fetchone()
    if found is None:
        return
    sequence, campaign, hour, type_, old_class, message_key, action = found
    before = _find_firsts(connection, message_key, action)
    connection.execute(
        "UPDATE events SET class = ?, reader = ? WHERE sequence = ?",
        (new_class, READERS.get(new_class, UNKNOWN), sequence),
    )
    after = _find_firsts(connection, message_key, action)

    grouping = Grouping()
    changes = Changes(grouping)

    def read_groups(sequence: int) -> tuple[int, ...]:
        return grouping.number(find_groups(_read_fields(connection, sequence)))

    groups = read_groups(sequence)
    changes.add_event((campaign, hour), type_, old_class, groups, -1)
    changes.add_event((campaign, hour), type_, new_class, groups, 1)
    after.subtract(before)
    for (first, place, what, reader, firsts), change in after.items():
        if change:
            changes.add_firsts(place, what, reader, read_groups(first), firsts, change)
    changes.save(connection)


_First: TypeAlias = tuple[int, _Place, str, str, int]
"""Sequence, campaign and hour, action, reader, and the bit that says what it is the first of."""


def _find_firsts(
    connection: sqlite3.Connection, message_key: int, action: str
) -> "Counter[_First]":
    """Find where an action of a message counts, and what it confirms.

    However many events the message has, only the first ones are looked at.
    """
    firsts: Counter[_First] = Counter()
    if not action:
        return firsts
    found = {
        each: [
            row
            for reader in _BITS
            for row in connection.execute(_FIRST, (message_key, each, reader))
        ]
        for each in (action, _CONFIRMS.get(action))
        if each is not None
    }
    named = [(action, found[action])]
    if action in _CONFIRMS:
        named.append((CONFIRMED, [row for rows in found.values() for row in rows]))
    wanted: tuple[Callable[[str], bool], ...] = (
        *(PEOPLE.__eq__, MACHINES.__eq__, UNKNOWN.__eq__),
        lambda _: True,
        MACHINES.__ne__,
    )
    bits = (_OF_READER, _OF_READER, _OF_READER, _OF_ALL, _DIRECT)
    for name, rows in named:
        for bit, is_wanted in zip(bits, wanted, strict=True):
            first = min((row for row in rows if is_wanted(row[3])), default=None)
            if first is not None:
                sequence, campaign, hour, reader = first
                firsts[sequence, (campaign, hour), name, reader, bit] += 1
    return firsts


def _read_fields(connection: sqlite3.Connection, sequence: int) -> Mapping[str, Any]:
    query = "SELECT event FROM events WHERE sequence = ?"
    (text,) = connection.execute(query, (sequence,)).fetchone()
    return read_fields(text.encode())


def _zeros() -> list[int]:
    return [0, 0, 0]


def _add(counts: list[int], firsts: int, by: int) -> None:
    for column, bit in enumerate((_OF_READER, _OF_ALL, _DIRECT)):
        if firsts & bit:
            counts[column] += by
