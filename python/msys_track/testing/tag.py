"""The options of each link, read from the tag it stands in (`data-msys-*`).

Read by the reference engine, so that a link of the compiled core below another path or with
another event is noticed.
"""

import re
from dataclasses import dataclass
from typing import Final

from msys_track.rewriting.reference.html.references import decode_references
from msys_track.rewriting.reference.html.scan import FoundLink, scan_html

DEFAULT_SUBLINK: Final = "a"

_YES: Final = frozenset({"1", "true", "on"})
_BLANK: Final = " \t\n\f\r"  # HTML Standard, "ASCII whitespace"
_SUBLINK: Final = re.compile(
    r"(?!\.{1,2}(?:/|$))[\w.-]{1,64}(?:/(?!\.{1,2}(?:/|$))[\w.-]{1,64})*", re.ASCII
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TagOptions:
    """The options that a tag sets for its link."""

    sublink: str = DEFAULT_SUBLINK
    """The path between `/f/` and the token."""
    unsubscribes: bool = False


def read_tag_options(document: bytes) -> dict[int, TagOptions]:
    """Read the options of each link, by where its `href` begins."""
    found = scan_html(document, decode=_decode)
    return {link.start: _read_options(link) for link in found.links}


def _read_options(link: FoundLink) -> TagOptions:
    values = {
        name: decode_references(_decode(value)).strip(_BLANK)
        for name, value in link.attributes.items()
    }
    sublink = values.get("data-msys-sublink", "")
    return TagOptions(
        sublink=sublink if _SUBLINK.fullmatch(sublink) else DEFAULT_SUBLINK,
        unsubscribes=values.get("data-msys-unsubscribe", "").lower() in _YES,
    )


def _decode(value: bytes) -> str:
    return value.decode("utf-8", "replace")
