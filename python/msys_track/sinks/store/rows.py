"""One line of the event log as a row of the store."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final, TypeAlias

import orjson

from msys_track.event_fields import OWN_OBJECT, link_key
from msys_track.eventlog.erasing import is_erased
from msys_track.sinks.store.form import BLOCK_BITS, DAY_BITS

Row: TypeAlias = tuple[
    int, int, bytes, int, str, str, str, str, str | None, str | None, str, int, str | None, str
]
"""The columns of `events`, in order."""

ACTIONS: Final[Mapping[str, str]] = {
    "injection": "sent",
    "policy_rejection": "rejected",
    "open": "open",
    "initial_open": "open",
    "amp_open": "open",
    "amp_initial_open": "open",
    "click": "click",
    "amp_click": "click",
    "list_unsubscribe": "unsubscribe",
    "link_unsubscribe": "unsubscribe",
}
"""What is counted once for a message, by the event's type; other types have an empty action."""

READERS: Final[Mapping[str, str]] = {
    "human": "people",
    "proxy": "people",  # it fetches when somebody looks
    "prefetch": "machines",
    "scanner": "machines",
    "bot": "machines",
}
"""Who made an event, by its class; else `UNKNOWN`."""

PEOPLE: Final = "people"
MACHINES: Final = "machines"
UNKNOWN: Final = "unknown"
RECLASSIFIED: Final = "reclassified"

_EPOCH: Final = date(1970, 1, 1).toordinal()
_SECONDS_A_DAY: Final = 86_400
_NOTHING: Final[Mapping[str, Any]] = {}
_ID_BYTES: Final = 16
_LARGEST: Final = 1 << 63  # SQLite's numbers are below it
_UUID_CHARACTERS: Final = 36


def make_rows(
    lines: Iterable[bytes],
    first_sequence: int,
    now: int,
    note_fields: Callable[[int, Mapping[str, Any]], None] = lambda _sequence, _fields: None,
) -> Iterator[Row]:
    """Make a row of each line but those that were erased.

    A line that is no event known here is stored too: what can't be found in it is empty.

    Args:
        lines: JSON as a webhook has it.
        first_sequence: The number of the first row.
        now: Unix seconds; the time of lines that have none.
        note_fields: Is called with the number and the fields of each row that is an event.
    """
    sequence = first_sequence
    for line in lines:
        fields = read_fields(line)
        if not fields and is_erased(line):
            continue
        try:
            row = _make_row(line, fields, sequence, now)
            note_fields(sequence, fields)
            yield row
        except (AttributeError, KeyError, TypeError, ValueError):
            yield _make_row(line, _NOTHING, sequence, now)
        sequence += 1


def read_fields(line: bytes) -> Mapping[str, Any]:
    """Return the fields of an event, whatever its envelope is; empty for what is no event."""
    try:
        ((_, fields),) = orjson.loads(line)["msys"].items()
    except (AttributeError, KeyError, TypeError, ValueError):
        return _NOTHING
    return fields if isinstance(fields, dict) else _NOTHING


def make_message_key(message_id: str, injected_day: int) -> int:
    """Return the number that stands for a message: the day and 48 bits of its id."""
    try:
        digits = int(message_id[-12:], 16)
    except ValueError:
        digits = int.from_bytes(blake2b(message_id.encode(), digest_size=6).digest())
    return (injected_day & 0x7FFF) << DAY_BITS | digits & 0xFFFF_FFFF_FFFF


def pack_id(event_id: str) -> bytes:
    """Return an event's id as it is stored: the 16 bytes of a UUID, else its text."""
    if len(event_id) == _UUID_CHARACTERS:
        try:
            packed = bytes.fromhex(event_id.replace("-", ""))
        except ValueError:
            packed = b""
        if len(packed) == _ID_BYTES:
            return packed
    return event_id.encode("utf-8", "replace")


def _make_row(line: bytes, fields: Mapping[str, Any], sequence: int, now: int) -> Row:
    find = fields.get
    at = int(find("timestamp", now))
    type_ = _take_text(find("type")) or ""
    own = find(OWN_OBJECT, _NOTHING)
    class_ = _take_text(own.get("class")) or ""
    event_id = find("event_id")
    injected = find("injection_time")
    message_id = _take_text(find("message_id")) or ""
    if not -_LARGEST <= at < _LARGEST:
        raise ValueError(f"{at} seconds")
    return (
        sequence,
        sequence >> BLOCK_BITS,
        pack_id(event_id) if event_id else blake2b(line, digest_size=_ID_BYTES).digest(),
        at,
        type_,
        ACTIONS.get(type_, ""),
        class_,
        READERS.get(class_, UNKNOWN),
        _take_text(find("campaign_id")),
        _take_text(find("rcpt_to")),
        message_id,
        make_message_key(
            message_id, _find_day(injected[:10]) if injected else at // _SECONDS_A_DAY
        ),
        _take_text(link_key(fields)),
        line.decode("utf-8", "replace"),
    )


def _take_text(value: object) -> str | None:
    """Take a member that may be missing; one of another type is as good as that."""
    return value if isinstance(value, str) else None


@lru_cache(maxsize=1_000)
def _find_day(text: str) -> int:
    return date.fromisoformat(text).toordinal() - _EPOCH
