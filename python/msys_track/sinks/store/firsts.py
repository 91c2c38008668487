"""Where a message was first seen doing something: by people, by machines, by who knows whom.

However many events a message has, only the first ones are looked at.
"""

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

from msys_track.sinks.store.changes import Firsts
from msys_track.sinks.store.grouping import cut_target
from msys_track.sinks.store.rows import MACHINES, PEOPLE, UNKNOWN

CONFIRMED: Final = "confirmed"
CONFIRMS: Final[Mapping[str, str]] = {"open": "click", "click": "open"}
"""What confirms that a mail was seen, and what else does."""

BITS: Final[Mapping[str, int]] = {PEOPLE: 1, MACHINES: 2, UNKNOWN: 4}
"""Kinds of readers as one number: those that were seen."""
ALL_BITS: Final = 7
ALONE: Final = 64
"""No message has another open or click: a bit that stands for no kind of reader."""

MAX_CLICKS: Final = 200
"""So many clicks of a kind of reader on a message are known by their links."""


def _seen(action: str, shift: int) -> str:
    """Write in SQL which kinds of readers did something with a message before, as bits."""
    return " + ".join(
        f"{bit << shift} * EXISTS (SELECT 1 FROM events AS older"  # noqa: S608
        f" WHERE older.message_key = new.message_key AND older.action = {action}"
        f" AND older.reader = '{reader}' AND older.sequence < new.sequence)"
        for reader, bit in BITS.items()
    )


# Mostly a message has no other open or click, which one look tells, or another of its kind.
SEEN: Final = f"""
    CASE WHEN action = '' OR message_id IN ('', ?) THEN -1
        WHEN action IN ('open', 'click') THEN CASE
            WHEN NOT EXISTS (SELECT 1 FROM events AS other
                WHERE other.message_key = new.message_key
                AND other.action BETWEEN 'click' AND 'open'
                AND other.sequence <> new.sequence) THEN {ALONE}
            WHEN EXISTS (SELECT 1 FROM events AS older
                WHERE older.message_key = new.message_key AND older.action = new.action
                AND older.reader = new.reader AND older.sequence < new.sequence) THEN {ALL_BITS}
            WHEN action = 'open' THEN {_seen("'open'", 0)} + {_seen("'click'", 3)}
            ELSE {_seen("'click'", 0)} + {_seen("'open'", 3)} END
        WHEN action = 'sent' THEN {BITS[UNKNOWN]} * EXISTS (SELECT 1 FROM events AS older
            WHERE older.message_key = new.message_key AND older.action = 'sent'
            AND older.reader = '{UNKNOWN}' AND older.sequence < new.sequence)
        ELSE {_seen("new.action", 0)} END
"""  # noqa: S608 - mail's own events have no reader
"""Which kinds of readers did an event's action with its message before, in SQL over `new`.

Bits above `ALL_BITS` tell the same of what confirms it too; -1: no message can be told. It wants
one value, the id that tells no message.
"""

_FIRST: Final = """
    SELECT sequence, coalesce(campaign_id, ''), at / 3600, reader FROM events
    WHERE sequence = (
        SELECT min(sequence) FROM events WHERE message_key = ? AND action = ? AND reader = ?
    )
"""
_CLICKS: Final = """
    SELECT sequence, coalesce(campaign_id, ''), at / 3600, reader, link FROM events
    WHERE message_key = ? AND action = 'click' AND reader = ? AND sequence < ?
    ORDER BY sequence LIMIT ?
"""
_LAST: Final = (1 << 63) - 1


def find_new(reader: str, seen: int) -> Firsts | None:
    """Say what an event is the first of, where older ones were seen of these kinds of readers."""
    seen &= ALL_BITS
    if seen & BITS[reader]:
        return None
    is_direct = reader != MACHINES and not seen & ~BITS[MACHINES]
    return 1, int(not seen), int(is_direct)


class LinksSeen:
    """Knows who clicked which links of the messages of a batch.

    Args:
        connection: To the store.
        first_sequence: Where the batch begins.
    """

    def __init__(self, connection: sqlite3.Connection, first_sequence: int) -> None:
        self._connection = connection
        self._first_sequence = first_sequence
        self._messages: dict[int, defaultdict[str, int]] = {}

    def note(self, message_key: int, link: str, reader: str) -> int:
        """Note a click; return which kinds of readers clicked the link before."""
        links = self._messages.get(message_key)
        if links is None:
            links = self._messages[message_key] = self._read(message_key)
        link = cut_target(link)
        seen = links[link]
        links[link] = seen | BITS[reader]
        return seen

    def _read(self, message_key: int) -> defaultdict[str, int]:
        found: list[tuple[str, str]] = []
        too_many = 0
        for reader, bit in BITS.items():
            rows = self._connection.execute(
                _CLICKS, (message_key, reader, self._first_sequence, MAX_CLICKS)
            ).fetchall()
            found += ((row[3], row[4]) for row in rows)
            too_many |= bit * (len(rows) == MAX_CLICKS)
        links: defaultdict[str, int] = defaultdict(lambda: too_many)
        for reader, link in found:
            links[cut_target(link or "")] |= BITS[reader]
        return links


class First(NamedTuple):
    """An event that is the first of its message.

    Attributes:
        sequence: The event's.
        campaign: Empty without one.
        hour: Since 1970.
        action: What it did, or `CONFIRMED`.
        reader: Who did it.
        column: Which of `Firsts` it is.
        is_of_link: Whether it is the first of its link.
    """

    sequence: int
    campaign: str
    hour: int
    action: str
    reader: str
    column: int
    is_of_link: bool


_Row: TypeAlias = tuple[Any, ...]
"""Sequence, campaign, hour, reader."""


def find_firsts(
    connection: sqlite3.Connection, message_key: int, action: str, link: str | None
) -> Counter[First]:
    """Find the first events of a message's action, of what it confirms, and of its link."""
    if not action:
        return Counter()
    own = _find_first_rows(connection, message_key, action)
    found = Counter(_pick_firsts(own, action))
    if action in CONFIRMS:
        other = _find_first_rows(connection, message_key, CONFIRMS[action])
        found.update(_pick_firsts([*own, *other], CONFIRMED))
    if action == "click" and link is not None:
        clicks = [
            row
            for reader in BITS
            for row in connection.execute(_CLICKS, (message_key, reader, _LAST, MAX_CLICKS))
            if cut_target(row[4] or "") == cut_target(link)
        ]
        found.update(_pick_firsts(clicks, action, is_of_link=True))
    return found


def _find_first_rows(connection: sqlite3.Connection, message_key: int, action: str) -> list[_Row]:
    return [
        row for reader in BITS for row in connection.execute(_FIRST, (message_key, action, reader))
    ]


def _pick_firsts(rows: Iterable[_Row], action: str, *, is_of_link: bool = False) -> list[First]:
    ordered = sorted(rows)
    wanted = (
        *((0, {reader}) for reader in BITS),
        (1, set(BITS)),
        (2, set(BITS) - {MACHINES}),
    )
    found = []
    for column, readers in wanted:
        first = next((row for row in ordered if row[3] in readers), None)
        if first is not None:
            sequence, campaign, hour, reader = first[:4]
            found.append(First(sequence, campaign, hour, action, reader, column, is_of_link))
    return found
