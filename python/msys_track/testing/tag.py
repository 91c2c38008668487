"""The options of one link, read from the tag it stands in (`data-msys-*`).

Read without the product, so that a link below another path or with another event is noticed.
"""

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

DEFAULT_SUBLINK: Final = "a"

_YES: Final = frozenset({"1", "true", "on"})
_TAG: Final = re.compile(rb"<[A-Za-z][^ \t\n\f\r/>]*")
_ATTRIBUTE: Final = re.compile(
    rb"[ \t\n\f\r/]*([^ \t\n\f\r/>][^ \t\n\f\r/>=]*)"
    rb"(?:[ \t\n\f\r]*=[ \t\n\f\r]*(?:\"([^\"]*)\"|'([^']*)'|([^ \t\n\f\r>\"'][^ \t\n\f\r>]*)))?"
)
_BLANK: Final = " \t\n\f\r"  # HTML Standard, "ASCII whitespace"
_SUBLINK: Final = re.compile(
    r"(?!\.{1,2}(?:/|$))[\w.-]{1,64}(?:/(?!\.{1,2}(?:/|$))[\w.-]{1,64})*", re.ASCII
)

# Broken documents have long tags, and many that never end.
_MAX_TAG_BYTES: Final = 65_536
_MAX_STARTS: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class TagOptions:
    """The options that a tag sets for its link."""

    sublink: str = DEFAULT_SUBLINK
    """The path between `/f/` and the token."""
    unsubscribes: bool = False


def read_tag_options(document: bytes, at: int) -> TagOptions:
    """Read the tag that has the value at `at`; the defaults where none has."""
    start, values = at, None
    for _ in range(_MAX_STARTS):
        start = document.rfind(b"<", max(at - _MAX_TAG_BYTES, 0), start)
        values = _read_attributes(document, start, at) if start >= 0 else {}
        if values is not None:
            break
    values = values or {}
    sublink = values.get("data-msys-sublink", "").strip(_BLANK)
    return TagOptions(
        sublink=sublink if _SUBLINK.fullmatch(sublink) else DEFAULT_SUBLINK,
        unsubscribes=values.get("data-msys-unsubscribe", "").strip(_BLANK).lower() in _YES,
    )


def _read_attributes(document: bytes, start: int, at: int) -> Mapping[str, str] | None:
    """Read the tag that begins at `start`; None if it has no value at `at`."""
    tag = _TAG.match(document, start)
    if tag is None:
        return None
    values: dict[str, str] = {}
    has_value, end, last = False, tag.end(), at + _MAX_TAG_BYTES
    while (found := _ATTRIBUTE.match(document, end, last)) is not None:
        name, value = found[1].decode("latin-1").lower(), b""
        if found.lastindex != 1:
            value = found[found.lastindex or 1]
        # Of two attributes with one name the first counts.
        values.setdefault(name, html.unescape(value.decode("utf-8", "replace")))
        has_value = has_value or found.start(found.lastindex or 1) <= at < found.end()
        end = found.end()
    return values if has_value else None
