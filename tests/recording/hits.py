"""Lines of hit logs for tests."""

import json
import os
from typing import Any

from msys_track.event_fields import make_event_id

AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


def make_hit(**members: Any) -> dict[str, Any]:
    """A person's click, a minute after the injection."""
    at = members.get("at", 1_712_345_678_901)
    hit = {
        "id": make_event_id(at, os.urandom(10)),
        "at": at,
        "kind": "click",
        "message_id": "000443ee14578172be22",
        "recipient": "Someone@Example.com",
        "injected_at": max(0, at // 1000 - 60),
        "expires_at": 4_000_000_000,
        "customer_id": 1,
        "transmission_id": 65832150921904138,
        "options": ["open_tracking", "click_tracking"],
        "target": "https://shop.test/",
        "link_number": 1,
        "link_part": "html",
        "address": "192.0.2.1",
        "agent": AGENT,
        **members,
    }
    if "open" in hit["kind"]:
        for name in ("target", "link_number", "link_part"):
            hit.pop(name, None)
    return hit


def make_hit_line(**members: Any) -> bytes:
    return json.dumps(make_hit(**members)).encode()
