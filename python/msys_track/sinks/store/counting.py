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
from msys_track.sinks.store.grouping import Group, find_groups, find_link
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
_Firsts: TypeAlias = tuple[int, ...]
"""Whether it is the first of its kind of reader, of all, and of those that are no machines."""

_HOURS_A_DAY: Final = 24
_COLUMNS: Final = 3
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


class Changes:
    """What is to be added to the counts; nothing is written before `save`."""

    def __init__(self) -> None:
        self._events: Counter[tuple[str, int, str, str]] = Counter()
        self._groups: Counter[tuple[str, int, str, str, str, str]] = Counter()
        self._uniques: dict[tuple[str, int, str, str], list[int]] = defaultdict(_zeros)
        self._group_uniques: dict[tuple[str, int, str, str, str, str], list[int]] = defaultdict(
            _zeros
        )

    def add_event(
        self, place: _Place, type_: str, class_: str, groups: Iterable[Group], by: int
    ) -> None:
        """Add an event, or take it away."""
        campaign, hour = place
        self._events[campaign, hour, type_, class_] += by
        day = hour // _HOURS_A_DAY
        for dimension, value in groups:
            self._groups[dimension, day, campaign, value, type_, class_] += by

    def add_firsts(
        self, place: _Place, action: str, reader: str, groups: Iterable[Group], firsts: _Firsts
    ) -> None:
        """Add a message that was first seen doing something, or take it away."""
        campaign, hour = place
        _add(self._uniques[campaign, hour, action, reader], firsts)
        day = hour // _HOURS_A_DAY
        for dimension, value in groups:
            _add(self._group_uniques[dimension, day, campaign, value, action, reader], firsts)

    def save(self, connection: sqlite3.Connection) -> None:
        """Add all of it.

        Raises:
            sqlite3.Error: the counts can't be stored.
        """
        # In the order of the tables, so that no page is written twice.
        for statement, counted in ((_ADD, self._events), (_ADD_GROUP, self._groups)):
            rows = sorted((*key, count) for key, count in counted.items() if count)
            connection.executemany(statement, rows)
        for statement, first_seen in (
            (_ADD_UNIQUE, self._uniques),
            (_ADD_GROUP_UNIQUE, self._group_uniques),
        ):
            rows = sorted((*key, *firsts) for key, firsts in first_seen.items() if any(firsts))
            connection.executemany(statement, rows)


class Grouping:
    """Keeps what the events of a batch are counted by, until they are counted."""

    def __init__(self) -> None:
        self.groups: dict[int, list[Group]] = {}
        self.links: dict[tuple[str, str], str] = {}

    def note(self, sequence: int, fields: Mapping[str, Any]) -> None:
        """Note the fields of a row that is to be stored."""
        self.groups[sequence] = find_groups(fields)
        if (link := find_link(fields)) is not None:
            self.links.setdefault((fields.get("campaign_id") or "", link[0]), link[1])


def count_new(connection: sqlite3.Connection, first_sequence: int, grouping: Grouping) -> None:
    """Count the events from a row on, which were stored in this transaction.

    Raises:
        sqlite3.Error: the counts can't be stored.
    """
    changes = Changes()
    groups_of = grouping.groups
    verdicts = []
    for sequence, campaign, hour, type_, class_, reader, action, seen in connection.execute(
        _SELECT_NEW, (NO_MESSAGE_ID, first_sequence)
    ):
        groups = groups_of.get(sequence, ())
        place = (campaign, hour)
        changes.add_event(place, type_, class_, groups, 1)
        if type_ == RECLASSIFIED:
            verdicts.append(sequence)
        if seen < 0:
            continue
        if firsts := _find_new(reader, seen):
            changes.add_firsts(place, action, reader, groups, firsts)
        if action in _CONFIRMS and (firsts := _find_new(reader, seen | seen >> 3)):
            changes.add_firsts(place, CONFIRMED, reader, groups, firsts)
    changes.save(connection)
    connection.executemany(
        _ADD_LINK, sorted((*key, target) for key, target in grouping.links.items())
    )
    for sequence in verdicts:
        (text,) = connection.execute(
            "SELECT event FROM events WHERE sequence = ?", (sequence,)
        ).fetchone()
        own = read_fields(text.encode()).get(OWN_OBJECT, {})
        class_, event_id = own.get("class"), own.get("reclassifies")
        if isinstance(class_, str) and isinstance(event_id, str):
            _reclassify(connection, pack_id(event_id), class_)


def _find_new(reader: str, seen: int) -> _Firsts | None:
    """Say what an event is the first of, where older ones were seen of these kinds of readers."""
    seen &= _ALL_BITS
    if seen & _BITS[reader]:
        return None
    is_direct = reader != MACHINES and not seen & ~_BITS[MACHINES]
    return 1, int(not seen), int(is_direct)


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

    changes = Changes()
    groups = _read_groups(connection, sequence)
    changes.add_event((campaign, hour), type_, old_class, groups, -1)
    changes.add_event((campaign, hour), type_, new_class, groups, 1)
    after.subtract(before)
    for (first, place, what, reader, column), change in after.items():
        if change:
            firsts = tuple(change * (column == each) for each in range(_COLUMNS))
            changes.add_firsts(place, what, reader, _read_groups(connection, first), firsts)
    changes.save(connection)


_First: TypeAlias = tuple[int, _Place, str, str, int]
"""Sequence, campaign and hour, action, reader, and which of `_Firsts` it is."""


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
    columns = (0, 0, 0, 1, 2)
    for name, rows in named:
        for column, is_wanted in zip(columns, wanted, strict=True):
            first = min((row for row in rows if is_wanted(row[3])), default=None)
            if first is not None:
                sequence, campaign, hour, reader = first
                firsts[sequence, (campaign, hour), name, reader, column] += 1
    return firsts


def _read_groups(connection: sqlite3.Connection, sequence: int) -> list[Group]:
    (text,) = connection.execute(
        "SELECT event FROM events WHERE sequence = ?", (sequence,)
    ).fetchone()
    return find_groups(read_fields(text.encode()))


def _zeros() -> list[int]:
    return [0] * _COLUMNS


def _add(total: list[int], firsts: _Firsts) -> None:
    for column, count in enumerate(firsts):
        total[column] += count
