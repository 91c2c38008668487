"""What streams need to know of an event: found in its JSON without parsing all of it."""

import json
import re
from dataclasses import dataclass
from typing import Final

_MESSAGE_ID: Final = re.compile(rb'"message_id":"([^"\\]+)"')
_FACTS: Final = re.compile(
    rb'\{"msys":\{"([a-z_]+)":\{"type":"([a-z_]+)","event_id":"([^"\\]+)","timestamp":"(\d+)"'
)


@dataclass(frozen=True, slots=True)
class EventFacts:
    """What an event is.

    Attributes:
        envelope: The key below `msys`, such as `track_event`.
        type: Such as `click`.
        event_id: The same each time that it is delivered.
        timestamp: When it was, in Unix seconds.
    """

    envelope: str
    type: str
    event_id: str
    timestamp: int


def find_message_id(line: bytes) -> bytes | None:
    """Find the id of the message that an event belongs to; None where it has none.

    It stands before everything in which a sender could have the same name.
    """
    found = _MESSAGE_ID.search(line)
    return found[1] if found else None


def find_facts(line: bytes) -> EventFacts | None:
    """Find what an event is; None where that is not to be seen."""
    if found := _FACTS.match(line):
        envelope, kind, event_id, timestamp = found.groups()
        return EventFacts(envelope.decode(), kind.decode(), event_id.decode(), int(timestamp))
    try:
        ((name, fields),) = json.loads(line)["msys"].items()
        return EventFacts(
            name, str(fields["type"]), str(fields["event_id"]), int(fields["timestamp"])
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
