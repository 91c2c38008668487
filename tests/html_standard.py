"""Where the links of an HTML document are, read by the HTML Standard's own tokenizer rules.

A second opinion for the oracle: section 13.2.5 of the standard ("Tokenization") in pure Python,
and as much of tree construction as decides what is markup: raw text, scripts, foreign content.
It is written for reading, and reads text whose characters are the document's bytes (latin-1), so
that positions are those of the bytes.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

_SPACE = r"\t\n\f\r "
_NAME_ENDS = rf"(?=[{_SPACE}/>])"
_TAG_OPEN = re.compile(rf"<(/?)([A-Za-z][^{_SPACE}/>]*)")
_BETWEEN = re.compile(rf"[{_SPACE}/]*")
# A quoted value that never ends takes the rest of the document.
_ATTRIBUTE = re.compile(
    rf"([^{_SPACE}/>][^{_SPACE}/>=]*)"
    rf"""(?:[{_SPACE}]*=[{_SPACE}]*(?:"([^"]*)"?|'([^']*)'?|([^{_SPACE}>]+)?))?"""
)
_COMMENT = re.compile(r"<!--(?:-?>|.*?--!?>)", re.DOTALL)
_SCRIPT = re.compile(rf"<!--|-->|<(/?)script{_NAME_ENDS}", re.IGNORECASE)

_RAW_TEXT = frozenset(["title", "textarea", "style", "xmp", "iframe", "noembed", "noframes"])
_BREAKS_OUT = re.compile(
    "b|big|blockquote|body|br|center|code|dd|div|dl|dt|em|embed|h[1-6]|head|hr|i|img|li|listing|"
    "menu|meta|nobr|ol|p|pre|ruby|s|small|span|strong|strike|sub|sup|table|tt|u|ul|var"
)
_HTML_AGAIN = {
    "svg": frozenset({"foreignobject", "desc", "title"}),
    "math": frozenset({"mi", "mo", "mn", "ms", "mtext"}),
}


@dataclass(frozen=True, slots=True)
class Anchor:
    """A start tag of `a` or `area`; of attributes with one name, the first."""

    start: int
    attributes: dict[str, tuple[int, int] | None]
    """Where each value stands, without its quotes; None for an attribute without one."""


@dataclass(slots=True)
class HtmlDocument:
    """What a document holds that a rewriter may care for, in its order."""

    anchors: list[Anchor] = field(default_factory=list)
    body_ends: list[int] = field(default_factory=list)
    html_ends: list[int] = field(default_factory=list)
    ends_as_text: bool = True
    """Whether something put behind the last character would be markup."""

    def pixel_place(self, length: int) -> int | None:
        """Before the last `</body>`, else before the last `</html>`, else at the end."""
        if self.body_ends:
            return self.body_ends[-1]
        if self.html_ends:
            return self.html_ends[-1]
        return length if self.ends_as_text else None


def parse_document(html: str) -> HtmlDocument:
    """Tokenize a document or a fragment."""
    return _Tokenizer(html).document()


class _Tokenizer:
    def __init__(self, html: str) -> None:
        self._html = html
        self._found = HtmlDocument()
        self._foreign: list[tuple[str, str]] = []
        """Names and namespaces of what is open, from the outermost `svg` or `math` on."""

    def document(self) -> HtmlDocument:
        at: int | None = 0
        while at is not None and at < len(self._html):
            at = self._html.find("<", at)
            if at < 0:
                return self._found
            at = self._markup(at)
        self._found.ends_as_text = at is not None
        return self._found

    def _markup(self, at: int) -> int | None:
        """Read what starts with the `<` at `at`; None where the document ends inside it."""
        if tag := _TAG_OPEN.match(self._html, at):
            return self._tag(tag)
        if self._html.startswith("<!--", at):
            comment = _COMMENT.match(self._html, at)
            return comment.end() if comment else None
        if self._html.startswith("<![CDATA[", at) and self._is_foreign():
            return self._behind("]]>", at)
        if self._html.startswith("</>", at):
            return at + 3
        if self._html.startswith(("<!", "<?", "</"), at):  # a bogus comment, or a doctype
            return self._behind(">", at)
        return at + 1

    def _behind(self, text: str, at: int) -> int | None:
        found = self._html.find(text, at)
        return None if found < 0 else found + len(text)

    def _tag(self, tag: re.Match[str]) -> int | None:
        name = tag[2].lower()
        read = self._attributes(tag.end())
        if read is None:
            return None
        attributes, at, self_closing = read
        if tag[1]:
            self._end_tag(name, tag.start())
            return at
        if name in ("a", "area"):
            self._found.anchors.append(Anchor(tag.start(), attributes))
        return self._content(name, attributes, at, self_closing=self_closing)

    def _attributes(self, at: int) -> tuple[dict[str, tuple[int, int] | None], int, bool] | None:
        """Read from a tag's name to behind its `>`."""
        attributes: dict[str, tuple[int, int] | None] = {}
        while True:
            between = _BETWEEN.match(self._html, at)
            assert between is not None
            at = between.end()
            if at == len(self._html):
                return None
            if self._html[at] == ">":
                return attributes, at + 1, between[0].endswith("/")
            attribute = _ATTRIBUTE.match(self._html, at)
            assert attribute is not None
            spans = [attribute.span(form) for form in (2, 3, 4) if attribute[form] is not None]
            attributes.setdefault(attribute[1].lower(), spans[0] if spans else None)
            at = attribute.end()

    def _end_tag(self, name: str, start: int) -> None:
        if name == "body":
            self._found.body_ends.append(start)
        elif name == "html":
            self._found.html_ends.append(start)
        if name in ("p", "br"):
            self._break_out()
        if any(name == each for each, _ in self._foreign):
            while self._foreign.pop()[0] != name:
                pass

    def _content(
        self, name: str, attributes: Collection[str], at: int, *, self_closing: bool
    ) -> int | None:
        """Go on behind a start tag, over what its element has for text."""
        if self._is_foreign():
            coloured = name == "font" and not {"color", "face", "size"}.isdisjoint(attributes)
            if not _BREAKS_OUT.fullmatch(name) and not coloured:
                if not self_closing:
                    self._foreign.append((name, self._foreign[-1][1]))
                return at
            self._break_out()
        if name in _HTML_AGAIN and not self_closing:
            self._foreign.append((name, name))
        if name == "script":
            return self._script(at)
        if name == "plaintext":
            return None
        if name in _RAW_TEXT:
            end = re.compile(rf"</{name}{_NAME_ENDS}", re.IGNORECASE)
            return self._close(end.search(self._html, at))
        return at

    def _is_foreign(self) -> bool:
        if not self._foreign:
            return False
        name, namespace = self._foreign[-1]
        return name not in _HTML_AGAIN[namespace]

    def _break_out(self) -> None:
        while self._is_foreign():
            self._foreign.pop()

    def _script(self, at: int) -> int | None:
        """Script data, with its two escaped states (13.2.5.15 to 13.2.5.31)."""
        escaped = doubly = False
        while token := _SCRIPT.search(self._html, at):
            at = token.end()
            if token[0] == "<!--":
                at -= 2  # its dashes may be those of the end: <!-->
                escaped = True
            elif token[0] == "-->":
                escaped = doubly = False
            elif token[1] and not doubly:
                return self._close(token)
            else:
                doubly = escaped and not token[1]
        return None

    def _close(self, end: re.Match[str] | None) -> int | None:
        if end is None:
            return None
        read = self._attributes(end.end())
        return None if read is None else read[1]


def links(html: str) -> Iterator[tuple[tuple[int, int], Anchor]]:
    """Each `a` and `area` whose `href` has a value, and where that stands."""
    for anchor in parse_document(html).anchors:
        href = anchor.attributes.get("href")
        if href is not None:
            yield href, anchor
