"""Lines of the event log for tests of the store."""

from __future__ import annotations

import itertools
from typing import Any

import orjson

from msys_track.event_fields import make_event_id
from msys_track.sinks.delivery import EventBatch

AT = 1_700_000_000
HOUR = AT // 3600
_chance = itertools.count()


def line(
    type_: str = "click", *, at: int = AT, class_: str | None = "human", **fields: Any
) -> bytes:
    """An event as the recorder writes it."""
    own: dict[str, Any] = {"class": class_} if class_ is not None else {}
    own |= fields.pop("own", {})
    event_id = make_event_id(at * 1000, next(_chance).to_bytes(10))
    envelope = {"injection": "message_event"}.get(type_, "track_event")
    known = {
        "type": type_,
        "event_id": event_id,
        "timestamp": str(at),
        "message_id": "000443ee14578172be22",
        "customer_id": "1",
        "campaign_id": "Summer Sale",
        "rcpt_to": "grün@b.test",
        "raw_rcpt_to": "Grün@b.test",
        "injection_time": "2023-11-14T22:13:20.000Z",
        "target_link_url": "https://shop.test/",
        **fields,
        "x_msys_track": own,
    }
    return orjson.dumps({"msys": {envelope: {k: v for k, v in known.items() if v is not None}}})


def event_id(line: bytes) -> str:
    ((_, fields),) = orjson.loads(line)["msys"].items()
    return str(fields["event_id"])


def batch(*lines: bytes, first: int = 1) -> EventBatch:
    return EventBatch(lines, first)
