"""A second opinion on a rewritten message, which shares no code with what rewrites it.

It reads the message as received by its own means: header sections and boundaries by regular
expressions, fields and transfer encodings by the standard library, HTML by the reference engine,
which follows the HTML Standard in Python. From that it says which bytes may differ and which must.
Everything else is compared byte for byte: other parts, boundary lines, preamble, headers, and in
the HTML all but `href` and one `img`.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tests.mime_standard import decode_transfer, html_leaf, text

from msys_track.rewriting.reference.references import decode_references
from msys_track.rewriting.reference.scan import FoundHtml, scan_html
from msys_track.testing.fidelity import Body, compare_bodies, field_lines
from msys_track.testing.href import browser_target

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


_HIDES_PIXELS = re.compile(
    r"<(?:a|select|noscript|template)(?=[\s/>])|<[^>]*display\s*:\s*none", re.IGNORECASE
)
"""A start tag that a pixel stands before, and not inside of."""


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
    html = decode_transfer(leaf.encoding, old) if leaf.is_readable else None
    if html is None:
        assert old == new, "HTML in an unknown form has changed"
        return Difference()
    rewritten = decode_transfer(leaf.encoding, new)
    assert rewritten is not None, "the new HTML can't be decoded"
    changes = compare_bodies(
        Body(raw=old, decoded=html.encode("latin-1"), encoding=leaf.encoding),
        Body(raw=new, decoded=rewritten.encode("latin-1"), encoding=leaf.encoding),
    )
    place = _scan(leaf.charset, html).pixel
    found = Difference(has_html=True, has_pixel_place=place is not None)
    tracked = {each.offset: each for each in changes.wrapped}
    for (start, end), href in hrefs_of(leaf.charset, html):
        wrapped = tracked.pop(start, None)
        if wrapped is None:
            found.kept.append(href)
            continue
        assert wrapped.original == html[start:end].encode("latin-1"), "more than an href is gone"
        assert href.reason is None, f"{href.text!r} was wrapped, but {href.reason}"
        found.links.append((href.text, wrapped.url))
        found.wrapped.append(href)
    assert not tracked, f"tracked URLs that are in no href: {tracked}"
    for pixel in changes.pixels:
        assert not pixel.is_initial
        assert place is not None
        is_moved = pixel.offset < place and _HIDES_PIXELS.match(html, pixel.offset)
        assert is_moved or pixel.offset == place, "a pixel in another place"
        found.pixels.append(pixel.url)
    assert len(found.pixels) <= 1, "more than one pixel"
    return found


def replay_edits(before: bytes, edits: Edits) -> bytes:
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
    """Edits stand in X-MSYS-API or in the HTML; outside base64 each covers one `href` exactly.

    Or it is a line break in place of the white space before one.
    """
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
    html = decode_transfer(leaf.encoding, before[leaf.start : leaf.end]) or ""
    hrefs = iter([href.text for _, href in hrefs_of(leaf.charset, html)])
    for offset, length, inserted in inner:
        # A bare `=` at its end is not a soft break here: the next line is not in sight.
        raw = before[offset : offset + length]
        if inserted in (b"\n", b"\r\n") and raw in (b" ", b"\t", b"\f"):
            assert before[offset + 1 : offset + 5].lower() == b"href", "a break in another place"
            continue
        bare = raw[-1:] if raw.endswith(b"=") else b""
        covered = (decode_transfer(leaf.encoding, raw.removesuffix(b"=")) or "") + bare.decode(
            "ascii"
        )
        assert not covered or covered in hrefs, f"an edit covers {covered!r}"


def _without(message: bytes, ranges: list[tuple[int, int]]) -> bytes:
    return replay_edits(message, [(start, end - start, b"") for start, end in ranges])


def hrefs_of(charset: str | None, html: str) -> Iterator[tuple[tuple[int, int], Href]]:
    """Each `href` that all clients see, and where it stands."""
    for link in _scan(charset, html).links:
        if link.where != "html":
            continue
        options = {
            name: decode_references(text(charset, raw.decode("latin-1")))
            for name, raw in link.attributes.items()
        }
        switch = options.get("data-msys-clicktrack", "").strip().lower()
        name = options.get("data-msys-linkname", "").encode()[:63].decode("utf-8", "ignore")
        yield (
            (link.start, link.end),
            Href(
                text=link.raw.decode("latin-1"),
                target=browser_target(
                    decode_references(text(charset, link.raw.decode("latin-1")))
                ),
                name=name or None,
                opted_out=switch in ("0", "false", "off"),
            ),
        )


def _scan(charset: str | None, html: str) -> FoundHtml:
    """Read HTML whose characters are its bytes."""
    return scan_html(
        html.encode("latin-1"), decode=lambda raw: text(charset, raw.decode("latin-1"))
    )
