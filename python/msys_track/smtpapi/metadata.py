"""Cuts metadata to the room that a link has, between whole pairs.

The tracker could not read half a JSON object, and all of it would be lost.
"""

from bisect import bisect_right
from itertools import accumulate
from typing import NamedTuple

from msys_track.smtpapi.json import compact, parse_object


class Trimmed(NamedTuple):
    """Metadata that fits, and whether pairs were dropped."""

    metadata: str | None
    """Compact JSON text of an object; None if nothing is left."""
    truncated: bool = False


def trim_metadata(metadata: str | None, max_bytes: int) -> Trimmed:
    """Keep whole top-level pairs in their order while they fit `max_bytes` of UTF-8.

    Args:
        metadata: compact JSON text of an object; None if there is none.
        max_bytes: Momentum's `max_metadata_len`.
    """
    if metadata is None or metadata == "{}":
        return Trimmed(None)
    if len(metadata) * 4 <= max_bytes or len(metadata.encode("utf-8")) <= max_bytes:
        return Trimmed(metadata)
    members = parse_object(metadata).items()
    pairs = [f"{compact(key)}:{compact(value)}" for key, value in members]
    # The opening brace, and behind each pair a comma or the closing brace.
    ends = list(accumulate(1 + len(pair.encode("utf-8")) for pair in pairs))
    kept = pairs[: bisect_right(ends, max_bytes - 1)]
    return Trimmed("{" + ",".join(kept) + "}" if kept else None, truncated=True)
