"""Metadata as it travels in links and events: compact JSON, cut only between whole pairs.

A link has room for so much; half a JSON object would lose all of it at the other end.
"""

from typing import Final, NamedTuple

from msys_track.smtpapi.json import compact, parse_object


class Trimmed(NamedTuple):
    """Compact JSON text of an object, None if nothing is left; whether pairs were dropped."""

    metadata: str | None
    truncated: bool = False


_NOTHING: Final = Trimmed(None)


def trimmed(metadata: str | None, max_bytes: int) -> Trimmed:
    """Keep whole top-level pairs in their order while they fit `max_bytes` of UTF-8.

    Args:
        metadata: compact JSON text of an object; None when there is none.
        max_bytes: Momentum's `max_metadata_len`.
    """
    if metadata is None or metadata == "{}":
        return _NOTHING
    if len(metadata) * 4 <= max_bytes or len(metadata.encode("utf-8")) <= max_bytes:
        return Trimmed(metadata)
    kept = _fitting(metadata, max_bytes)
    return Trimmed("{" + ",".join(kept) + "}" if kept else None, truncated=True)


def _fitting(metadata: str, max_bytes: int) -> list[str]:
    kept: list[str] = []
    size = 1  # the opening brace; each pair then brings its comma or the closing brace
    for key, value in parse_object(metadata).items():
        pair = f"{compact(key)}:{compact(value)}"
        size += len(pair.encode("utf-8")) + 1
        if size > max_bytes:
            break
        kept.append(pair)
    return kept
