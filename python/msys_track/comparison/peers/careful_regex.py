"""What a careful programmer writes without a parser: one expression over the bytes.

It knows comments, style and script, both quotes and none, upper case, attributes before the
`href` that hold `>` or `href=`, and character references in it. It seals nothing: each link
becomes the same constant URL.
"""

import re
from collections.abc import Callable
from html import unescape

from msys_track.comparison.peers.links import Links
from msys_track.comparison.peers.target import leads_to_http

_TAG = re.compile(
    rb"""<(?:
        !--.*?(?:-->|\Z)
      | (?P<raw>style|script|title|textarea)\b.*?</(?P=raw)
      | (?:a|area)(?=[\s/])
        (?P<before>(?:[^>"'hH]|"[^"]*"|'[^']*'|(?<![\s/"'])[hH]|[hH](?!ref[\s=]))*)
        href\s*=\s*
        (?:"(?P<double>[^"]*)"|'(?P<single>[^']*)'|(?P<bare>[^\s"'>]+))
    )""",
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
_VALUES = ("double", "single", "bare")


def rewriting(html: bytes, links: Links) -> Callable[[], bytes]:
    """Give a call that replaces each `http` and `https` link of `html`, and adds the pixel."""
    link, pixel = links.click_url, links.pixel

    def wrapped(match: re.Match[bytes]) -> bytes:
        which = match.lastgroup
        if which not in _VALUES:
            return match[0]
        target = unescape(match[which].decode("utf-8", "surrogateescape"))
        if not leads_to_http(target):
            return match[0]
        start = match.start()
        return (
            match.string[start : match.start(which)]
            + link
            + match.string[match.end(which) : match.end()]
        )

    def rewrite() -> bytes:
        rewritten = _TAG.sub(wrapped, html)
        end = rewritten.lower().rfind(b"</body")
        place = end if end >= 0 else len(rewritten)
        return rewritten[:place] + pixel + rewritten[place:]

    return rewrite
