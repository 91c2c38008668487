"""What a browser makes of an `href`, so that a redirect can be compared with it.

Kept apart from the mail reader because it reads one attribute's value by the HTML Standard, where
`html.unescape` follows the rule for text and takes the `&copy` of `?a=1&copy=2` for a sign.
"""

import html
import re
import urllib.parse
from html.entities import html5
from typing import Final

# URL Standard, "C0 control or space": dropped at both ends.
BLANK: Final = "".join(map(chr, range(0x21)))
_VISIBLE: Final = "".join(map(chr, range(0x21, 0x7F)))
_REFERENCE: Final = re.compile(r"&(#[0-9]+;?|#[xX][0-9a-fA-F]+;?|[A-Za-z0-9]+;?)")


def follow_href(href: bytes) -> str | None:
    """Return what a browser asks for, given an `href` as it stands in the HTML.

    None where that depends on more than ASCII: the charset, or a host in another script.
    """
    if not href.isascii() or b"\0" in href:  # HTML reads NUL as U+FFFD
        return None
    value = browser_target(attribute_value(href.decode("ascii")))
    return urllib.parse.quote(value, safe=_VISIBLE) if value.isascii() else None


def browser_target(value: str) -> str:
    """Return what a URL parser keeps of an attribute's value (URL Standard, section 4.4)."""
    return re.sub(r"[\t\r\n]", "", value.strip(BLANK))


def attribute_value(raw: str) -> str:
    """Decode the character references of an attribute's value (13.2.5.72 and on)."""

    def reference(match: re.Match[str]) -> str:
        name = match[1]
        if name.startswith("#"):
            mark, base = ("#x", 16) if name[1] in "xX" else ("#", 10)
            # A number of eight digits is beyond Unicode.
            digits = name[1:].rstrip(";").lstrip("xX0")[:8] or "0"
            # `html` drops what should not be in a document; the standard keeps it.
            return html.unescape(f"&{mark}{digits};") or chr(int(digits, base))
        for length in range(len(name), 1, -1):
            known = html5.get(name[:length])
            if known is None:
                continue
            after = (name + raw[match.end() : match.end() + 1])[length : length + 1]
            if not name[:length].endswith(";") and re.fullmatch(r"[=A-Za-z0-9]", after):
                return match[0]
            return known + name[length:]
        return match[0]

    return _REFERENCE.sub(reference, raw).replace("\0", "\ufffd")
