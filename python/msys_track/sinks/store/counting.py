"""Counts of a store: kept with the events in one transaction, and kept when events are removed."""

import sqlite3
from collections import Counter
from typing import Final, TypeAlias

from msys_track.events import NO_MESSAGE_ID, OWN_OBJECT
from msys_track.sinks.store.rows import READERS, RECLASSIFIED, UNKNOWN, pack_id, read_fields

_Key: TypeAlias = tuple[str, int, str, str]
"""Campaign, hour, action, reader."""

_COUNT: Final = """
    INSERT INTO counts
    SELECT coalesce(campaign_id, ''), at / 3600, type, class, count(*)
    FROM events WHERE sequence >= ? GROUP BY 1, 2, 3, 4
    ON CONFLICT DO UPDATE SET events = events + excluded.events
"""
# Each message counts where it was first seen doing this: for its kind of reader, and for all.
_COUNT_UNIQUE: Final = """
    INSERT INTO uniques
    SELECT coalesce(campaign_id, ''), at / 3600, action, reader,
        sum(NOT EXISTS (
            SELECT 1 FROM events AS older
            WHERE older.message_key = new.message_key
                AND older.action = new.action AND older.reader = new.reader
                AND older.sequence < new.sequence
        )) AS of_reader,
        sum(NOT EXISTS (
            SELECT 1 FROM events AS older
            WHERE older.message_key = new.message_key
                AND older.action = new.action AND older.sequence < new.sequence
        )) AS of_all
    FROM events AS new
    WHERE sequence >= ? AND action <> '' AND message_id NOT IN ('', ?)
    GROUP BY 1, 2, 3, 4 HAVING of_reader
    ON CONFLICT DO UPDATE SET messages = messages + excluded.messages,
        new_messages = new_messages + excluded.new_messages
"""
_FIRST: Final = """
    SELECT sequence, coalesce(campaign_id, ''), at / 3600, action, reader FROM events
    WHERE sequence = (
        SELECT min(sequence) FROM events WHERE message_key = ? AND action = ? AND reader = ?
    )
"""
_ADD: Final = (
    "INSERT INTO counts VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT DO UPDATE SET events = events + excluded.events"
)
_ADD_UNIQUE: Final = (
    "INSERT INTO uniques VALUES (?, ?, ?, ?, ?, ?)"
    " ON CONFLICT DO UPDATE SET messages = messages + excluded.messages,"
    " new_messages = new_messages + excluded.new_messages"
)


def count_new(connection: sqlite3.Connection, first_sequence: int) -> None:
    """Count the events from a row on, which were stored in this transaction.

    Raises:
        sqlite3.Error: the counts can't be stored.
    """
    connection.execute(_COUNT, (first_sequence,))
    connection.execute(_COUNT_UNIQUE, (first_sequence, NO_MESSAGE_ID))
    verdicts = connection.execute(
        "SELECT event FROM events WHERE sequence >= ? AND type = ?", (first_sequence, RECLASSIFIED)
    ).fetchall()
    for (text,) in verdicts:
        own = read_fields(text.encode()).get(OWN_OBJECT, {})
        class_, event_id = own.get("class"), own.get("reclassifies")
        if isinstance(class_, str) and isinstance(event_id, str):
            _reclassify(connection, pack_id(event_id), class_)


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
    of_reader, of_all = _find_firsts(connection, message_key, action)
    connection.execute(
        "UPDATE events SET class = ?, reader = ? WHERE sequence = ?",
        (new_class, READERS.get(new_class, UNKNOWN), sequence),
    )
    for class_, change in ((old_class, -1), (new_class, 1)):
        connection.execute(_ADD, (campaign, hour, type_, class_, change))
    of_reader_now, of_all_now = _find_firsts(connection, message_key, action)
    of_reader_now.subtract(of_reader)
    of_all_now.subtract(of_all)
    for key in of_reader_now.keys() | of_all_now.keys():
        connection.execute(_ADD_UNIQUE, (*key, of_reader_now[key], of_all_now[key]))


def _find_firsts(
    connection: sqlite3.Connection, message_key: int, action: str
) -> tuple[Counter[_Key], Counter[_Key]]:
    """Find where an action of a message counts: for each kind of reader, and for all of them.

    However many events the message has, only the first ones are looked at.
    """
    firsts: list[tuple[int, _Key]] = []
    for reader in {*READERS.values(), UNKNOWN} if action else ():
        for sequence, *key in connection.execute(_FIRST, (message_key, action, reader)):
            firsts.append((sequence, tuple(key)))
    return Counter(key for _, key in firsts), Counter(key for _, key in sorted(firsts)[:1])
