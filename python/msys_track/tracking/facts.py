"""What a request shows of who made it, beside its client: for the verdict on its event."""

import json
import re
from collections.abc import Mapping, Sequence
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
# What nobody appends by accident: apostrophes, ways up, and what only begins with a mark that may
# close a sentence or a quotation.
_HOSTILE: Final = re.compile(r"['\\`{\x00]|\.\./|[\"<|;].", re.DOTALL)
# A query is not the token's neighbour: campaigns have names like `Valentine's`.
_HOSTILE_QUERY: Final = re.compile(r"<.|[\\\x00]|\.\./", re.DOTALL)
_MAX_SUFFIX: Final = 64


def find_facts(
    target: bytes, headers: Sequence[tuple[bytes, bytes]], known: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what a request shows, beside what is known of it already.

    Args:
        target: Of a request whose token is authentic.
        headers: Names in lower case, with their values.
        known: What the answer brought to light.
    """
    facts = dict(known)
    if (purpose := find_purpose(headers)) is not None:
        facts["purpose"] = purpose
    if (suffix := find_hostile_suffix(target)) is not None:
        facts["suffix"] = suffix
    return facts


def find_purpose(headers: Sequence[tuple[bytes, bytes]]) -> str | None:
    """Return `prefetch` or `preview` where a header says so; None for an ordinary request."""
    for name, value in headers:
        for word, purpose in _PURPOSES.get(name, ()):
            if word in value.lower():
                return purpose
    return None


def find_hostile_suffix(target: bytes) -> str | None:
    """Return what stands behind a true token if it is an attack; None if not.

    What mail clients and gateways append is none: `.`, `)`, `>`, `&utm_source=x`. It is
    percent-decoded once, as the path is.
    """
    path, question, query = find_path_and_query(target).partition(b"?")
    text = _decode(path)
    try:
        token = locate_token(text.partition("?")[0]).token
    except TokenError:
        return None
    _, _, behind = text.rpartition(token)
    query_text = _decode(query)
    if not _HOSTILE.search(behind) and not _HOSTILE_QUERY.search(query_text):
        return None
    return (behind + question.decode("ascii") + query_text)[:_MAX_SUFFIX]


def _decode(text: bytes) -> str:
    return unquote_to_bytes(text).decode("ascii", "replace")


def write_facts(facts: Mapping[str, Any]) -> str | None:
    """Write facts as the JSON of a hit's `request`; None where there are none."""
    return json.dumps(facts, ensure_ascii=False, separators=(",", ":")) if facts else None
