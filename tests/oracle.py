"""A second opinion on a rewritten message, which shares no code with what rewrites it.

It reads the message as received by its own means: header sections and boundaries by regular
expressions, fields and transfer encodings by the standard library, HTML by `html_standard`. From
that it says which bytes may differ and which must. Everything else is compared byte for byte:
other parts, boundary lines, preamble, headers, and in the HTML all but `href` and one `img`.
"""

import bisect
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tests import html_standard
from tests.mime_standard import BASE64, Leaf, decoded, html_leaf, text

from msys_track.testing.fidelity import field_lines
from msys_track.testing.href import attribute_value, browser_target

TRACKED = re.compile(r"https?://[^/\s\"'<>]+/f/a/[A-Za-z0-9_-]+")
PIXEL = re.compile(
    r"(?P<eol>\r?\n)"
    r'<img border="0" width="1" height="1" alt="" '
    r'src="(?P<url>https?://[^/\s"]+/q/[A-Za-z0-9_-]+)">(?P=eol)'
)
_NO_ESCAPE = re.compile(rb"=(?![0-9A-Fa-f]{2}|[ \t]*(?:\r?\n|\Z))")
MAX_ENCODED_LINE = 76  # RFC 2045 sections 6.7 (5) and 6.8
MAX_LINE = 998  # RFC 5322 section 2.1.1

Edits = Sequence[tuple[int, int, bytes]]


@dataclass(frozen=True, slots=True)
class Href:
    """An `href` of the message as received."""

    text: str
    """As it stands in the source."""
    target: str
    """Where a browser would go."""
    name: str | None
    """`data-msys-linkname`, at most 63 bytes of it."""
    opted_out: bool

    @property
    def reason(self) -> str | None:
        """Why click tracking is not for it; None for a link."""
        if self.opted_out:
            return "opted_out"
        if not re.match(r"https?://", self.target, re.IGNORECASE):
            return "not_http"
        return None if re.search(r"://[/\\]*[^/\\]", self.target) else "no_host"


@dataclass(frozen=True, slots=True)
class Difference:
    """What a rewritten message has of its own."""

    links: list[tuple[str, str]] = field(default_factory=list)
    """Raw `href` as it was, and the tracked URL that stands there now."""
    wrapped: list[Href] = field(default_factory=list)
    """What the message as received had in the places of `links`."""
    kept: list[Href] = field(default_factory=list)
    """What still stands there."""
    pixels: list[str] = field(default_factory=list)
    has_html: bool = False
    """Whether there is a part to track, in a form that can be read."""
    has_pixel_place: bool = False


def difference(before: bytes, after: bytes) -> Difference:
    """Compare two messages; anything but links and one pixel is an AssertionError."""
    api = list(field_lines(before, b"X-MSYS-API"))
    leaf = html_leaf(before)
    if leaf is None:
        assert after == _without(before, api), "a message without HTML has changed"
        return Difference()
    head, tail = _without(before[: leaf.start], api), before[leaf.end :]
    assert after.startswith(head), "something before the HTML has changed"
    assert after.endswith(tail), "something behind the HTML has changed"
    assert len(after) >= len(head) + len(tail)
    old, new = before[leaf.start : leaf.end], after[len(head) : len(after) - len(tail)]
    html = decoded(leaf.encoding, old) if leaf.is_readable else None
    if html is None:
        assert old == new, "HTML in an unknown form has changed"
        return Difference()
    _check_form(leaf.encoding, old, new)
    rewritten = decoded(leaf.encoding, new)
    assert rewritten is not None, "the new HTML can't be decoded"
    return _compare(leaf, html, rewritten)


def replayed(before: bytes, edits: Edits) -> bytes:
    """Make the edits: this must be the rewritten message."""
    pieces, at = [], 0
    for offset, length, inserted in edits:
        assert at <= offset <= offset + length <= len(before), "edits overlap or go back"
        pieces += [before[at:offset], inserted]
        at = offset + length
    return b"".join([*pieces, before[at:]])


def undone(before: bytes, after: bytes, edits: Edits) -> bytes:
    """Take the edits back, the last one first: this must be the message as received."""
    pieces, end, grown = [], len(after), sum(len(new) - length for _, length, new in edits)
    for offset, length, inserted in reversed(edits):
        behind = offset + length + grown
        grown -= len(inserted) - length
        assert after[offset + grown : behind] == inserted, "an edit is not where it says"
        pieces += [after[behind:end], before[offset : offset + length]]
        end = offset + grown
    return b"".join([*pieces, after[:end]][::-1])


def check_edits(before: bytes, edits: Edits) -> None:
    """Edits stand in X-MSYS-API or in the HTML; outside base64 each covers one `href` exactly."""
    api = set(field_lines(before, b"X-MSYS-API"))
    leaf = html_leaf(before)
    inner = []
    for offset, length, inserted in edits:
        if (offset, offset + length) in api:
            assert not inserted, "something stands where X-MSYS-API was"
        else:
            inner.append((offset, length, inserted))
    if not inner:
        return
    assert leaf is not None
    assert all(leaf.start <= at and at + length <= leaf.end for at, length, _ in inner)
    if leaf.encoding == "base64":
        assert len(inner) == 1
        return
    html = decoded(leaf.encoding, before[leaf.start : leaf.end]) or ""
    hrefs = iter([html[start:end] for (start, end), _ in html_standard.links(html)])
    for offset, length, _ in inner:
        # A bare `=` at its end is no soft break here: the next line is not in sight.
        raw = before[offset : offset + length]
        bare = raw[-1:] if raw.endswith(b"=") else b""
        covered = (decoded(leaf.encoding, raw.removesuffix(b"=")) or "") + bare.decode("ascii")
        assert not covered or covered in hrefs, f"an edit covers {covered!r}"


def _without(message: bytes, ranges: list[tuple[int, int]]) -> bytes:
    return replayed(message, [(start, end - start, b"") for start, end in ranges])


def _check_form(encoding: str, old: bytes, new: bytes) -> None:
    """The encoded text is well formed, and no line of ours is longer than RFC 2045 allows."""
    if old == new or encoding not in ("quoted-printable", "base64"):
        return
    limit = MAX_ENCODED_LINE
    if encoding == "base64":
        limit = max(limit, min(max(map(len, _lines(old))), MAX_LINE))
        characters = b"".join(new.split())
        assert re.fullmatch(BASE64, characters), "no base64"
        assert len(characters) % 4 == 0, "no whole groups"
    elif len(_NO_ESCAPE.findall(new)) > len(_NO_ESCAPE.findall(old)):
        raise AssertionError("an = of ours is no escape")
    theirs = [line for line in _lines(old) if len(line) > limit]
    for line in _lines(new):
        start = line[: limit - 1]
        known = len(line) <= limit or any(start in each for each in theirs)
        assert known, f"an encoded line of {len(line)} is ours"


def _lines(text: bytes) -> list[bytes]:
    return [line.rstrip(b" \t\r") for line in text.split(b"\n")]


def hrefs(charset: str | None, html: str) -> Iterator[tuple[tuple[int, int], Href]]:
    """Each `href` of a document and where it stands."""
    for (start, end), anchor in html_standard.links(html):
        switch = anchor.attributes.get("data-msys-clicktrack")
        said = html[slice(*switch)].strip().lower() if switch else ""
        span = anchor.attributes.get("data-msys-linkname")
        name = _value(charset, html[slice(*span)]) if span else ""
        yield (
            (start, end),
            Href(
                text=html[start:end],
                target=browser_target(_value(charset, html[start:end])),
                name=name.encode()[:63].decode("utf-8", "ignore") or None,
                opted_out=said in ("0", "false", "off"),
            ),
        )


def _value(charset: str | None, raw: str) -> str:
    return attribute_value(text(charset, raw))


def _compare(leaf: Leaf, old: str, new: str) -> Difference:
    document = html_standard.read(old)
    place = document.pixel_place(len(old))
    found = Difference(has_html=True, has_pixel_place=place is not None)
    walk = _Walk(old, new)
    for (start, end), href in hrefs(leaf.charset, old):
        if place is not None and place <= start and not found.pixels:
            walk.pixel(place, found)
        walk.href(start, end, href, found)
    if place is not None and not found.pixels:
        walk.pixel(place, found)
    walk.same_to(len(old))
    assert walk.new_at == len(new), "the HTML has something more at its end"
    if leaf.encoding in ("7bit", "8bit", "binary"):
        walk.check_lines()
    return found


class _Walk:
    """Goes along both texts; whatever is not asked for must be equal."""

    def __init__(self, old: str, new: str) -> None:
        self._old, self._new = old, new
        self._old_at = 0
        self.new_at = 0
        self._changes: list[tuple[int, int]] = []
        """Where in both texts, behind each change, they go on together."""

    def same_to(self, end: int) -> None:
        if end <= self._old_at:
            return
        length = end - self._old_at
        kept = self._new[self.new_at : self.new_at + length]
        expected = self._old[self._old_at : end]
        assert kept == expected, _first_difference(expected, kept)
        self._old_at, self.new_at = end, self.new_at + length

    def href(self, start: int, end: int, href: Href, found: Difference) -> None:
        self.same_to(start)
        url = TRACKED.match(self._new, self.new_at)
        if url is not None and not self._new.startswith(href.text, self.new_at):
            assert href.reason is None, f"{href.text!r} was wrapped, but {href.reason}"
            found.links.append((href.text, url[0]))
            found.wrapped.append(href)
            self._old_at, self.new_at = end, url.end()
            self._changes.append((self._old_at, self.new_at))
        else:
            found.kept.append(href)

    def pixel(self, place: int, found: Difference) -> None:
        self.same_to(place)
        pixel = PIXEL.match(self._new, self.new_at)
        if pixel is not None and not self._old.startswith(pixel[0], place):
            found.pixels.append(pixel["url"])
            self.new_at = pixel.end()
            self._changes.append((self._old_at, self.new_at))

    def check_lines(self) -> None:
        """A line is longer than 998 only where it was before."""
        start = 0
        for line in self._new.split("\n"):
            end = start + len(line)
            if len(line.removesuffix("\r")) > MAX_LINE:
                first = self._old.rfind("\n", 0, self._old_place(start)) + 1
                last = self._old.find("\n", self._old_place(end))
                theirs = self._old[first : last if last >= 0 else None]
                longest = max(len(each.removesuffix("\r")) for each in theirs.split("\n"))
                assert longest > MAX_LINE, f"a line of {len(line)} is ours"
            start = end + 1

    def _old_place(self, new: int) -> int:
        after = bisect.bisect_right(self._changes, new, key=lambda change: change[1])
        old_at, new_at = self._changes[after - 1] if after else (0, 0)
        return old_at + new - new_at


def _first_difference(old: str, new: str) -> str:
    at = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), len(new))
    return f"the HTML differs: {old[max(0, at - 20) : at + 40]!r}, {new[at : at + 40]!r}"
