"""Messages of events: whatever an event says, there is a message that a broker can be sent."""

import json
from typing import Any

import pytest

from msys_track.sinks.rabbitmq.publisher import make_message


def write(**fields: Any) -> bytes:
    known = {"type": "click", "event_id": "1", "timestamp": "1712345678", **fields}
    return json.dumps({"msys": {"track_event": known}}).encode()


def test_a_message_says_what_its_event_is() -> None:
    message, key = make_message(write())
    said = message.properties
    assert (said.message_id, said.message_type, key) == ("1", "click", "track_event.click")
    assert said.timestamp is not None
    assert said.timestamp.timestamp() == 1_712_345_678


@pytest.mark.parametrize(
    "fields",
    [
        {"timestamp": "253402300800"},
        {"timestamp": str(10**30)},
        {"timestamp": -1},
        {"event_id": "x" * 256},
        {"event_id": "\N{SNOWMAN}" * 100},
        {"type": "x" * 1_000},
        {"type": "\ud800"},
    ],
    ids=str,
)
def test_an_event_of_somebody_else_s_making_holds_up_no_others(fields: dict[str, Any]) -> None:
    message, key = make_message(write(**fields))
    message.properties.marshal()
    assert len(key.encode()) <= 255
