"""What a browser makes of an `href`, so that a redirect can be compared with it.

Kept apart from the reader because it reads one attribute's bytes by the HTML Standard, where
`html.unescape` follows the rule for text and takes the `&copy` of `?a=1&copy=2` for a sign.
"""

import html
import re
import urllib.parse
from html.entities import html5
from typing import Final

# HTML Standard, "named character reference state": in an attribute a name without semicolon is
# none before "=" or a letter or digit.
_REFERENCE: Final = re.compile(
    r"&(?:#(?:[0-9]+|[xX][0-9A-Fa-f]+);?|[A-Za-z0-9]+(?:;|(?![A-Za-z0-9=;])))"
)
# URL Standard, "C0 control or space": dropped at both ends.
BLANK: Final = "".join(map(chr, range(0x21)))
_VISIBLE: Final = "".join(map(chr, range(0x21, 0x7F)))


def followed(href: bytes) -> str | None:
    """Return what a browser asks for, given an `href` as it stands in the HTML.

    None where that hangs on more than ASCII: the charset, or a host in another script.
    """
    if not href.isascii() or b"\0" in href:  # HTML reads NUL as U+FFFD
        return None
    value = _REFERENCE.sub(_character, href.decode("ascii")).strip(BLANK)
    value = re.sub(r"[\t\r\n]", "", value)
    return urllib.parse.quote(value, safe=_VISIBLE) if value.isascii() else None


def _character(reference: re.Match[str]) -> str:
    text = reference[0]
    return html.unescape(text) if text.startswith("&#") else html5.get(text[1:], text)
