"""A second opinion on a rewritten message, which shares no code with the core that rewrites it.

It reads the message as received by the reference engine's readers of mail, charsets and HTML,
which follow the standards in Python. From that it says which bytes may differ and which must.
Everything else is compared byte for byte: other parts, boundary lines, preamble, headers, and in
the HTML all but `href` and one `img`.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from msys_track.rewriting.reference.body import Body as ReadBody
from msys_track.rewriting.reference.body import read_body
from msys_track.rewriting.reference.charsets.query import encode_query
from msys_track.rewriting.reference.entity import Leaf, list_parts
from msys_track.rewriting.reference.header import read_section, skip_prelude
from msys_track.rewriting.reference.html.references import decode_references
from msys_track.rewriting.reference.html.scan import FoundHtml, scan_html
from msys_track.rewriting.reference.left_alone import LeftAloneError
from msys_track.rewriting.reference.quoted_printable import Decoded
from msys_track.testing.fidelity import Body, compare_bodies, field_lines
from msys_track.testing.href import browser_target

Edits = Sequence[tuple[int, int, bytes]]

SIGNATURES = frozenset({b"dkim-signature", b"arc-seal"})


@dataclass(frozen=True, slots=True)
class HtmlPart:
    """An HTML part of a message as received."""

    leaf: Leaf
    body: ReadBody | None
    """None if its charset or transfer encoding can't be read."""
    found: FoundHtml | None
    """What stands in the body."""


# Several checks of one message ask, and reading is most of what each of them takes.
@lru_cache(maxsize=1)
def read_parts(message: bytes) -> tuple[HtmlPart, ...]:
    """Read the HTML parts that may be changed."""
    parts = []
    for leaf in list_html(message):
        body = read_html(message, leaf)
        parts.append(HtmlPart(leaf, body, None if body is None else _scan(body)))
    return tuple(parts)


def list_html(message: bytes) -> list[Leaf]:
    """Find the HTML parts that may be changed."""
    section = read_section(message, skip_prelude(message), len(message))
    if section.is_malformed or SIGNATURES & {each.name for each in section.fields}:
        return []
    return [leaf for leaf in list_parts(message, section) if leaf.role == "html"]


def read_html(message: bytes, leaf: Leaf) -> ReadBody | None:
    """Read an HTML part; None if its charset or transfer encoding can't be read."""
    try:
        return read_body(message, leaf)
    except LeftAloneError:
        return None


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


@dataclass(slots=True)
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
    pixel_places: int = 0
    """How many of its parts have a place for a pixel."""
    pixels_lost: int = 0
    """How many have none."""


_HIDES_PIXELS = re.compile(
    rb"<(?:a|select|noscript|template)(?=[\s/>])|<[^>]*display\s*:\s*none", re.IGNORECASE
)
"""A start tag that a pixel stands before, and not inside of."""


def difference(before: bytes, after: bytes) -> Difference:
    """Compare two messages; anything but links and a pixel in each HTML is an AssertionError."""
    api = list(field_lines(before, b"X-MSYS-API"))
    found = Difference()
    copied = at = 0
    parts = read_parts(before)
    for number, part in enumerate(parts):
        leaf = part.leaf
        between = before[copied : leaf.start] if copied else _without(before[: leaf.start], api)
        assert after.startswith(between, at), "something before the HTML has changed"
        at += len(between)
        behind = parts[number + 1].leaf.start if number + 1 < len(parts) else len(before)
        rest = before[leaf.end : behind]
        end = after.find(rest, at) if behind < len(before) else len(after) - len(rest)
        assert at <= end, "something behind the HTML has changed"
        copy = replace(leaf, start=at, end=end)
        _compare(found, before, part, (after, copy))
        copied, at = leaf.end, end
    if not parts:
        assert after == _without(before, api), "a message without HTML has changed"
    else:
        assert after[at:] == before[copied:], "something behind the HTML has changed"
    return found


def _compare(found: Difference, before: bytes, part: HtmlPart, after: tuple[bytes, Leaf]) -> None:
    old, new = (message[leaf.start : leaf.end] for message, leaf in ((before, part.leaf), after))
    html = part.body
    if html is None or part.found is None:
        assert old == new, "HTML in an unknown form has changed"
        return
    rewritten = read_html(*after)
    assert rewritten is not None, "the new HTML can't be decoded"
    encoding = html.leaf.transfer_encoding
    changes = compare_bodies(
        Body(raw=old, decoded=html.text, encoding=encoding),
        Body(raw=new, decoded=rewritten.text, encoding=encoding),
    )
    place = part.found.pixel
    is_first = not html.leaf.is_later_piece
    found.has_html = True
    if is_first:
        found.pixel_places += place is not None
        found.pixels_lost += place is None
    tracked = {each.offset: each for each in changes.wrapped}
    for (start, end), href in hrefs_of(html, part.found):
        wrapped = tracked.pop(start, None)
        if wrapped is None:
            found.kept.append(href)
            continue
        assert wrapped.original == html.text[start:end], "more than an href is gone"
        assert href.reason is None, f"{href.text!r} was wrapped, but {href.reason}"
        found.links.append((href.text, wrapped.url))
        found.wrapped.append(href)
    assert not tracked, f"tracked URLs that are in no href: {tracked}"
    for pixel in changes.pixels:
        assert not pixel.is_initial
        assert place is not None
        is_moved = pixel.offset < place and _HIDES_PIXELS.match(html.text, pixel.offset)
        assert is_moved or pixel.offset == place, "a pixel in another place"
        found.pixels.append(pixel.url)
    assert len(changes.pixels) <= is_first, "more than one pixel"


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
    inner = []
    for offset, length, inserted in edits:
        if (offset, offset + length) in api:
            assert not inserted, "something stands where X-MSYS-API was"
        else:
            inner.append((offset, length, inserted))
    for part in read_parts(before):
        leaf = part.leaf
        own = [edit for edit in inner if leaf.start <= edit[0] <= edit[0] + edit[1] <= leaf.end]
        inner = [edit for edit in inner if edit not in own]
        if own:
            _check_edits_of(part, before, own)
    assert not inner, "something stands outside of the HTML"


def _check_edits_of(part: HtmlPart, before: bytes, edits: Edits) -> None:
    if part.leaf.transfer_encoding == "base64":
        assert len(edits) == 1
        return
    html = part.body
    assert html is not None
    assert part.found is not None
    if html.transcoded is not None:
        return
    hrefs = iter([href.text for _, href in hrefs_of(html, part.found)])
    for offset, length, inserted in edits:
        raw = before[offset : offset + length]
        if inserted in (b"\n", b"\r\n") and raw in (b" ", b"\t", b"\f"):
            assert before[offset + 1 : offset + 5].lower() == b"href", "a break in another place"
            continue
        covered = raw.decode("latin-1")
        if html.quoted_printable is not None:
            # A bare `=` at its end is not a soft break here: the next line is not in sight.
            bare = "=" if raw.endswith(b"=") else ""
            covered = Decoded(raw.removesuffix(b"="), 0).content.decode("latin-1") + bare
        assert not covered or covered in hrefs, f"an edit covers {covered!r}"


def _without(message: bytes, ranges: list[tuple[int, int]]) -> bytes:
    return replay_edits(message, [(start, end - start, b"") for start, end in ranges])


def hrefs_of(html: ReadBody, found: FoundHtml) -> Iterator[tuple[tuple[int, int], Href]]:
    """Each `href` that all clients see, and where it stands in the text."""
    decode = html.charset.decode
    for link in found.links:
        if link.where != "html":
            continue
        options = {name: decode_references(decode(raw)) for name, raw in link.attributes.items()}
        switch = options.get("data-msys-clicktrack", "").strip().lower()
        target = browser_target(decode_references(decode(link.raw)))
        encoder = html.charset.find_encoder(link.raw)
        name = options.get("data-msys-linkname", "").encode()[:63].decode("utf-8", "ignore")
        yield (
            (link.start, link.end),
            Href(
                text=link.raw.decode("latin-1"),
                target=target if encoder is None else encode_query(target, encoder),
                name=name or None,
                opted_out=switch in ("0", "false", "off"),
            ),
        )


def _scan(html: ReadBody) -> FoundHtml:
    return scan_html(html.text, decode=html.charset.decode)
