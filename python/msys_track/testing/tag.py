"""What a sender asks for one link, read from the tag it stood in (`data-msys-*`).

The product is not asked: a link below another path, or with another event, must be noticed.
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
class Asked:
    """What a link's tag asks for."""

    sublink: str = DEFAULT_SUBLINK
    """What stands between `/f/` and the token."""
    unsubscribes: bool = False


def asked(document: bytes, at: int) -> Asked:
    """Read the tag that has the value at `at`; where none has, nothing is asked."""
    values = _attributes(document, at)
    sublink = values.get("data-msys-sublink", "").strip(_BLANK)
    return Asked(
        sublink=sublink if _SUBLINK.fullmatch(sublink) else DEFAULT_SUBLINK,
        unsubscribes=values.get("data-msys-unsubscribe", "").strip(_BLANK).lower() in _YES,
    )


def _attributes(document: bytes, at: int) -> Mapping[str, str]:
    start = at
    for _ in range(_MAX_STARTS):
        start = document.rfind(b"<", max(at - _MAX_TAG_BYTES, 0), start)
        found = _read(document, start, at) if start >= 0 else {}
        if found is not None:
            return found
    return {}


def _read(document: bytes, start: int, at: int) -> Mapping[str, str] | None:
    """Read the tag that begins at `start`; None if it has no value at `at`."""
    tag = _TAG.match(document, start)
    if tag is None:
        return None
    values: dict[str, str] = {}
    is_it, end, last = False, tag.end(), at + _MAX_TAG_BYTES
    while (found := _ATTRIBUTE.match(document, end, last)) is not None:
        name, value = found[1].decode("latin-1").lower(), found[found.lastindex or 1]
        # Of two attributes with one name the first counts.
        values.setdefault(name, _text(value) if found.lastindex != 1 else "")
        is_it = is_it or found.start(found.lastindex or 1) <= at < found.end()
        end = found.end()
    return values if is_it else None


def _text(value: bytes) -> str:
    return html.unescape(value.decode("utf-8", "replace"))
