"""What a request shows of who made it, beside its client: for the verdict on its event."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from msys_track.keys.link import find_path_and_query
from msys_track.keys.plain.ring import TokenError, locate_token

# What a browser or proxy says of a request that no reader made; any of the words counts.
_PURPOSES: Final[Mapping[bytes, tuple[tuple[bytes, str], ...]]] = {
    b"sec-purpose": ((b"prefetch", "prefetch"), (b"prerender", "prefetch")),
    b"purpose": ((b"prefetch", "prefetch"), (b"preview", "preview")),
    b"x-purpose": ((b"prefetch", "prefetch"), (b"preview", "preview")),
    b"x-moz": ((b"prefetch", "prefetch"),),
}
# What nobody appends by accident: quotes, brackets of tags, ways up, ends of commands.
_HOSTILE: Final = re.compile(rb"['\"<\\`|;{}\x00]|\.\./")
_MAX_SUFFIX: Final = 64


def find_purpose(headers: tuple[tuple[bytes, bytes], ...]) -> str | None:
    """Return `prefetch` or `preview` where a header says so; None for an ordinary request."""
    for name, value in headers:
        for word, purpose in _PURPOSES.get(name, ()):
            if word in value.lower():
                return purpose
    return None


def find_hostile_suffix(target: bytes) -> str | None:
    """Return what stands behind a true token if it is an attack; None if not.

    What mail clients and gateways append is none: `.`, `)`, `>`, `&utm_source=x`.
    """
    path_and_query = unquote_to_bytes(find_path_and_query(target))
    path = path_and_query.decode("ascii", "replace")
    try:
        located = locate_token(path.partition("?")[0])
    except TokenError:
        return None
    _, _, behind = path.partition(located.token)
    suffix = behind.encode("ascii", "replace")
    return behind[:_MAX_SUFFIX] if _HOSTILE.search(suffix) else None


def write_facts(facts: Mapping[str, Any]) -> str | None:
    """Write facts as the JSON of a hit's `request`; None where there are none."""
    return json.dumps(facts, ensure_ascii=False, separators=(",", ":")) if facts else None
