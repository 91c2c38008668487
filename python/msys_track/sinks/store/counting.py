"""Counts of a store: kept with the events in one transaction, and kept when events are removed.

Events are counted by campaign and hour, and by what `grouping` finds in them and day. A message is
counted where it was first seen doing something: by its kind of reader, by anyone, and by anyone
who is no machine. `confirmed` is an open or a click, whichever came first. Under a link a message
is counted where that link was first clicked.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from msys_track.event_fields import NO_MESSAGE_ID, OWN_OBJECT
from msys_track.sinks.store.changes import Changes, FirstSeen, Mark
from msys_track.sinks.store.firsts import (
    ALONE,
    CONFIRMED,
    CONFIRMS,
    SEEN,
    First,
    LinksSeen,
    find_firsts,
    find_new,
)
from msys_track.sinks.store.grouping import ALL_MAIL, LINK, Group, find_groups, find_link
from msys_track.sinks.store.rows import (
    ACTIONS,
    READERS,
    RECLASSIFIED,
    UNKNOWN,
    pack_id,
    read_fields,
)

_COLUMNS: Final = 3
_ONLY_MAIL: Final = (ALL_MAIL,)
_SELECT_NEW: Final = f"""
    SELECT sequence, coalesce(campaign_id, ''), at / 3600, type, class, message_key, link, {SEEN}
    FROM events AS new WHERE sequence >= ? ORDER BY sequence
"""  # noqa: S608
_ADD_LINK: Final = "INSERT OR IGNORE INTO links VALUES (?, ?, ?)"


class Grouping:
    """Keeps what the events of a batch are counted by, until they are counted.

    Attributes:
        groups: Of each row that is an event, by its number.
        links: Of each row that has one.
        targets: Where links lead, by campaign and link.
    """

    def __init__(self) -> None:
        self.groups: dict[int, Sequence[Group]] = {}
        self.links: dict[int, tuple[Group]] = {}
        self.targets: dict[tuple[str, str], str] = {}

    def note(self, sequence: int, fields: Mapping[str, Any]) -> None:
        """Note the fields of a row that is to be stored."""
        self.groups[sequence] = find_groups(fields)
        found = find_link(fields)
        if found is not None:
            link, target = found
            self.links[sequence] = ((LINK, link),)
            if target:
                self.targets.setdefault((fields.get("campaign_id") or "", link), target)


def count_new(connection: sqlite3.Connection, first_sequence: int, grouping: Grouping) -> None:
    """Count the events from a row on, which were stored in this transaction.

    Raises:
        sqlite3.Error: the counts can't be stored.
    """
    links_seen = LinksSeen(connection, first_sequence)
    collected: defaultdict[tuple[str, int, str, str, int], list[Sequence[Group]]] = defaultdict(
        list
    )
    clicked: list[tuple[Mark, Sequence[Group]]] = []
    verdicts = []
    groups_of, links_of = grouping.groups, grouping.links
    for row in connection.execute(_SELECT_NEW, (NO_MESSAGE_ID, first_sequence)):
        sequence, campaign, hour, type_, class_, message_key, link, seen = row
        collected[campaign, hour, type_, class_, seen].append(groups_of.get(sequence, _ONLY_MAIL))
        if sequence in links_of:
            first_seen: tuple[FirstSeen, ...] = ()
            if seen >= 0 and ACTIONS.get(type_) == "click":
                reader = READERS.get(class_, UNKNOWN)
                link_seen = 0 if seen == ALONE else links_seen.note(message_key, link, reader)
                if firsts := find_new(reader, link_seen):
                    first_seen = (FirstSeen("click", reader, firsts),)
            clicked.append(
                (Mark(campaign, hour, type_, class_, 1, first_seen), links_of[sequence])
            )
        if type_ == RECLASSIFIED:
            verdicts.append(sequence)
    changes = Changes()
    for (campaign, hour, type_, class_, seen), groups in collected.items():
        first_seen = _find_first_seen(ACTIONS.get(type_, ""), READERS.get(class_, UNKNOWN), seen)
        changes.add(Mark(campaign, hour, type_, class_, 1, first_seen), groups)
    for mark, link_groups in clicked:
        changes.add(mark, [link_groups])
    changes.save(connection)
    connection.executemany(
        _ADD_LINK, sorted((*key, target) for key, target in grouping.targets.items())
    )
    for sequence in verdicts:
        own = _read_event(connection, sequence).get(OWN_OBJECT, {})
        class_, event_id = own.get("class"), own.get("reclassifies")
        if isinstance(class_, str) and isinstance(event_id, str):
            _reclassify(connection, pack_id(event_id), class_)


def _find_first_seen(action: str, reader: str, seen: int) -> tuple[FirstSeen, ...]:
    if seen < 0:
        return ()
    found: tuple[FirstSeen, ...] = ()
    if firsts := find_new(reader, seen):
        found = (FirstSeen(action, reader, firsts),)
    if action in CONFIRMS and (firsts := find_new(reader, seen | seen >> _COLUMNS)):
        found = (*found, FirstSeen(CONFIRMED, reader, firsts))
    return found


def _reclassify(connection: sqlite3.Connection, event_id: bytes, new_class: str) -> None:
    """Find and count an event under its later verdict; its JSON stays as it is."""
    found = connection.execute(
        "SELECT sequence, coalesce(campaign_id, ''), at / 3600, type, class, message_key, link,"
        " CASE WHEN message_id IN ('', ?) THEN '' ELSE action END FROM events WHERE event_id = ?",
        (NO_MESSAGE_ID, event_id),
    ).fetchone()
    if found is None:
        return
    sequence, campaign, hour, type_, old_class, message_key, link, action = found
    before = find_firsts(connection, message_key, action, link)
    connection.execute(
        "UPDATE events SET class = ?, reader = ? WHERE sequence = ?",
        (new_class, READERS.get(new_class, UNKNOWN), sequence),
    )
    after = find_firsts(connection, message_key, action, link)

    changes = Changes()
    groups = _read_groups(connection, sequence)
    for class_, events in ((old_class, -1), (new_class, 1)):
        changes.add(Mark(campaign, hour, type_, class_, events, ()), [groups])
    after.subtract(before)
    for first, change in after.items():
        if change:
            _move(changes, first, change, _read_groups(connection, first.sequence))
    changes.save(connection)


def _move(changes: Changes, first: First, change: int, groups: Sequence[Group]) -> None:
    of_reader, of_all, direct = (change * (first.column == each) for each in range(_COLUMNS))
    seen = FirstSeen(first.action, first.reader, (of_reader, of_all, direct))
    wanted = [group for group in groups if (group[0] == LINK) == first.is_of_link]
    changes.add(Mark(first.campaign, first.hour, "", "", 0, (seen,)), [wanted])


def _read_groups(connection: sqlite3.Connection, sequence: int) -> Sequence[Group]:
    fields = _read_event(connection, sequence)
    found = find_link(fields)
    return (*find_groups(fields), *(() if found is None else ((LINK, found[0]),)))


def _read_event(connection: sqlite3.Connection, sequence: int) -> Mapping[str, Any]:
    (text,) = connection.execute(
        "SELECT event FROM events WHERE sequence = ?", (sequence,)
    ).fetchone()
    return read_fields(text.encode())
