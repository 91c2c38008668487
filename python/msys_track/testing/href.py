"""What a browser makes of an `href`, so that a redirect can be compared with it."""

import re
import urllib.parse
from typing import Final

from msys_track.rewriting.reference.html.references import decode_references

# URL Standard, "C0 control or space": dropped at both ends.
BLANK: Final = "".join(map(chr, range(0x21)))
_VISIBLE: Final = "".join(map(chr, range(0x21, 0x7F)))


def follow_href(href: bytes) -> str | None:
    """Return what a browser asks for, given an `href` as it stands in the HTML.

    None where that depends on more than ASCII: the charset, or a host in another script.
    """
    if not href.isascii() or b"\0" in href:  # HTML reads NUL as U+FFFD
        return None
    value = browser_target(decode_references(href.decode("ascii")))
    return urllib.parse.quote(value, safe=_VISIBLE) if value.isascii() else None


def browser_target(value: str) -> str:
    """Return what a URL parser keeps of an attribute's value (URL Standard, section 4.4)."""
    return re.sub(r"[\t\r\n]", "", value.strip(BLANK))
