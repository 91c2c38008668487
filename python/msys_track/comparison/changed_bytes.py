"""Counts the bytes of some HTML that nobody asked to change."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from html import unescape
from typing import Final

from msys_track.comparison.alignment import MOST_ALIGNED, align
from msys_track.comparison.hrefs import HREF_BYTES, has_web_scheme

_IMAGE: Final = re.compile(
    rb"""(?P<div><div\b[^<>]*>)?<img\b[^<>]*?\bsrc=["']?(?P<src>[^\s"'<>]+)[^<>]*>(?(div)</div>)""",
    re.IGNORECASE,
)
_PIECES: Final = re.compile(rb"<[^<>]*>|[^<>]+|[<>]")
_WORDS: Final = re.compile(rb"\w+|\s+|[^\w\s]")
_BEFORE_HREF: Final = re.compile(rb"\s+(?=href\s*=)", re.IGNORECASE)
"""Where a line that would be too long may be broken."""
_URL: Final = b"\x00"
"""Stands for a URL that may be wrapped, or was; no HTML has this byte after it was read."""


def count_changed(before: bytes, after: bytes, is_tracked: Callable[[str], bool]) -> int:
    """Count the bytes that differ, but for tracked URLs, the pixel, and how lines break."""
    old = _mask_links(_unify_breaks(before), has_web_scheme)
    new = _mask_links(
        _without_pixels(_unify_breaks(after), is_tracked),
        lambda url: is_tracked(url) or has_web_scheme(url),
    )
    return 0 if old == new else _count_differences(old, new)


def _count_differences(old: bytes, new: bytes) -> int:
    """Count bytes: first by tags and what is between them, then by words where those differ."""
    pieces, others = _PIECES.findall(old), _PIECES.findall(new)
    count = 0
    for kind, start, end, first, last in align(pieces, others):
        if kind != "equal":
            before, after = b"".join(pieces[start:end]), b"".join(others[first:last])
            count += _count_words(_WORDS.findall(before), _WORDS.findall(after))
    return count


def _count_words(old: Sequence[bytes], new: Sequence[bytes]) -> int:
    if max(len(old), len(new)) > MOST_ALIGNED:  # without their order
        before, after = Counter(old), Counter(new)
        return max(
            _count_bytes((before - after).elements()), _count_bytes((after - before).elements())
        )
    return sum(
        max(_count_bytes(old[start:end]), _count_bytes(new[first:last]))
        for kind, start, end, first, last in align(old, new)
        if kind != "equal"
    )


def _count_bytes(words: Iterable[bytes]) -> int:
    return sum(map(len, words))


def _mask_links(html: bytes, may_change: Callable[[str], bool]) -> bytes:
    def mask(match: re.Match[bytes]) -> bytes:
        which = match.lastindex or 0
        if not may_change(unescape(match[which].decode("utf-8", "replace"))):
            return match[0]
        start = match.start()
        return match[0][: match.start(which) - start] + _URL + match[0][match.end(which) - start :]

    return HREF_BYTES.sub(mask, _BEFORE_HREF.sub(b" ", html))


def _without_pixels(html: bytes, is_tracked: Callable[[str], bool]) -> bytes:
    """Take out tracked images, and the line breaks around one that has both."""
    kept, at = [], 0
    for match in _IMAGE.finditer(html):
        if not is_tracked(unescape(match["src"].decode("utf-8", "replace"))):
            continue
        start, end = match.span()
        if html[at:start].endswith(b"\n") and html.startswith(b"\n", end):
            start, end = start - 1, end + 1
        kept.append(html[at:start])
        at = end
    return b"".join([*kept, html[at:]])


def _unify_breaks(html: bytes) -> bytes:
    return html.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
