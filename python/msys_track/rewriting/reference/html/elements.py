"""Names of elements that tree construction treats alike (HTML Standard, 13.2.4 and 13.2.6)."""

from typing import Final


def _names(text: str) -> frozenset[bytes]:
    return frozenset(text.encode("ascii").split())


VOID: Final = _names(
    "area base basefont bgsound br col embed frame hr image img input keygen link meta param"
    " source track wbr"
)
HEAD: Final = _names(
    "base basefont bgsound head html link meta noframes noscript script style template title"
)
"""Start tags that may stand in a head."""

RAW_TEXT: Final = _names("iframe noembed noframes style textarea title xmp")

FORMATTING: Final = _names("a b big code em font i nobr s small strike strong tt u")
HEADINGS: Final = _names("h1 h2 h3 h4 h5 h6")
BLOCKS: Final = HEADINGS | _names(
    "address article aside blockquote center details dialog dir div dl fieldset figcaption figure"
    " footer header hgroup listing main menu nav ol pre search section summary ul"
)
"""Those that close an open `p`, and whose end tag closes all that is open above them."""

CLOSES_P: Final = BLOCKS | _names("dd dt form hr li p plaintext table xmp")
ENDS_WHAT_IS_ABOVE: Final = (BLOCKS - HEADINGS) | _names("applet button marquee object select")
IMPLIED_ENDS: Final = _names("dd dt li optgroup option p rb rp rt rtc")
RUBY: Final = _names("rb rp rt rtc")

SECTIONS: Final = _names("tbody tfoot thead")
CELLS: Final = _names("td th")
TABLE_PARTS: Final = SECTIONS | CELLS | _names("caption col colgroup tr")
TABLE_STRUCTURE: Final = (TABLE_PARTS - {b"col"}) | _names("table template")
"""Open elements that decide on the insertion mode."""

SCOPE: Final = _names("applet caption html marquee object select table td template th")
SPECIAL: Final = (
    BLOCKS
    | SCOPE
    | TABLE_PARTS
    | VOID
    | RAW_TEXT
    | _names("body button dd dt form frameset head li noscript p plaintext script")
) - {b"dialog", b"image"}

NOT_FRAMESET: Final = _names(
    "applet area body br button dd dt embed hr iframe image img input keygen li listing marquee"
    " object pre select table template textarea wbr xmp"
)
"""Start tags behind which a document can no longer become a frameset."""

BREAKS_OUT: Final = HEADINGS | _names(
    "b big blockquote body br center code dd div dl dt em embed head hr i img li listing menu meta"
    " nobr ol p pre ruby s small span strong strike sub sup table tt u ul var"
)
"""Start tags that end foreign content."""

BREAKING_FONT: Final = _names("color face size")
"""Attributes with which a `font` ends foreign content."""

SVG_HTML_POINTS: Final = _names("desc foreignobject title")
MATHML_TEXT_POINTS: Final = _names("mi mn mo ms mtext")
MATHML_IN_TEXT: Final = _names("malignmark mglyph")
HTML_ENCODINGS: Final = frozenset({"application/xhtml+xml", "text/html"})
"""Values of `encoding` that make an `annotation-xml` hold HTML."""
