"""One hit as a line of a hit log: what a link's token says, and who fetched it."""

import json
import os
from typing import Final

from msys_track.event_fields import make_event_id, make_hit
from msys_track.keys.ring import Claims

_NUMBERS: Final = ("at", "customer_id")  # zero means something


def write_hit(  # noqa: PLR0913, PLR0917 - what is known of a hit
    claims: Claims,
    at: int,
    address: str | None,
    agent: str | None,
    language: str | None,
    request: str | None,
    randomness: bytes | None = None,
) -> bytes:
    """Write a hit as JSON on one line, without what is unknown or empty.

    Args:
        claims: What the link's token says.
        at: When it was fetched, Unix time in milliseconds.
        address: The client's, if it is known.
        agent: The header `User-Agent`.
        language: The header `Accept-Language`.
        request: What else is known of the request, as JSON text of an object.
        randomness: 10 bytes for the event's id, fresh ones unless given.
    """
    randomness = os.urandom(10) if randomness is None else randomness
    members = {
        "id": make_event_id(at, randomness),
        **make_hit(claims, at, address, agent, language),
    }
    known = {name: value for name, value in members.items() if value or name in _NUMBERS}
    text = json.dumps(known, ensure_ascii=False, separators=(",", ":"))
    if request is not None:
        text = f'{text[:-1]},"request":{request}}}'
    return text.encode("utf-8", "replace")
