"""What of an HTML document a rewriter may touch: links, their attributes, places for pixels."""

import html as html_text
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

from msys_track.rewriting.reference.html import elements
from msys_track.rewriting.reference.html.open_elements import Namespace
from msys_track.rewriting.reference.html.pixel import SPOILERS, WATCHED, PixelPlace
from msys_track.rewriting.reference.html.references import decode_references
from msys_track.rewriting.reference.html.tokenizer import (
    Attribute,
    Token,
    Tokenizer,
    TokenKind,
    is_self_closing,
    match_other_tags,
    read_attributes,
)
from msys_track.rewriting.reference.html.tree import PlainTree, build_tree
from msys_track.rewriting.reference.links import OWN_ATTRIBUTES

Where: TypeAlias = Literal["html", "outlook"]
Decode: TypeAlias = Callable[[bytes], str]
"""Reads bytes in a part's charset."""

_OWN_ATTRIBUTES: Final = frozenset(name.encode("ascii") for name in OWN_ATTRIBUTES)
# As Outlook's templates have them; in another case neither engine takes them for Outlook's.
_CONDITION: Final = re.compile(rb"<!--\[if[\t\n\r (]")
_MAY_LINK: Final = re.compile(rb"<(?:a|v:)", re.IGNORECASE)
_VML_NAME: Final = re.compile(rb"<v:[0-9A-Za-z]*+[\t\n\f\r />]")
_BLANK: Final = r"[\t\n\f\r \xa0]*+"
_URL_TEXT: Final = re.compile(
    _BLANK + r"(?:https?://|www\.)[^\t\n\f\r \xa0]*+" + _BLANK, re.IGNORECASE
)
_DISPLAY_NONE: Final = rb"[\t\n\f\r ]*+".join(bytes([byte]) for byte in b"display:none")
_HIDES: Final = re.compile(_DISPLAY_NONE, re.IGNORECASE)
_MAY_HIDE: Final = re.compile(_DISPLAY_NONE + rb"|&", re.IGNORECASE)
"""The same, or a character reference that may be a piece of it."""

_OTHER_TAGS: Final = match_other_tags(
    SPOILERS
    | elements.RAW_TEXT
    | {b"area", b"body", b"html", b"plaintext", b"script", b"v:[0-9a-z]*"}
)
_TABLE_TAGS: Final = elements.TABLE_PARTS | {b"table"}
_SPACES: Final = str.maketrans("", "", "\t\n\f\r ")


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundLink:
    """A link. Offsets are bytes into the decoded part."""

    start: int
    end: int
    """From `start` to here stands the value of `href`, without its quotes."""
    fold: int | None
    """Where the line may be broken: the white-space byte right before the attribute's name."""
    raw: bytes
    """The value as it stands: charset and character references are still to be decoded."""
    attributes: Mapping[str, bytes]
    """The raw values of the tag by their names in lower case; of duplicates the first."""
    where: Where
    is_in_comment: bool
    """Whether it stands in a conditional comment; one of Outlook's that does not is VML."""
    url_text: bool
    """Whether its visible text is itself a URL; False where that was not asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundHtml:
    """What one document or fragment holds, in its order."""

    links: tuple[FoundLink, ...]
    attributes: tuple[tuple[int, int, Where], ...]
    """Start and end of each `data-msys-*` attribute, with the white space before it."""
    pixel: int | None
    """Where the open pixel goes."""
    initial_pixel: int | None
    """Behind the first `<body>` tag."""


def scan_html(html: bytes, *, decode: Decode, url_text: bool = False) -> FoundHtml:
    """Find the links of a document or fragment, and the places of its pixels.

    Args:
        html: the part after transfer decoding, in a charset that agrees with ASCII.
        decode: the part's charset: bytes to text.
        url_text: whether to look at the visible text of links.
    """
    scanner = Scanner(html, decode, reads_url_text=url_text)
    if not scanner.read_document():
        scanner = Scanner(html, decode, reads_url_text=url_text, follows_all=True)
        scanner.read_document()
    return FoundHtml(
        links=tuple(scanner.links),
        attributes=tuple(scanner.attributes),
        pixel=scanner.pixel,
        initial_pixel=scanner.initial_pixel,
    )


class Scanner:
    """Reads one document, and each conditional comment in it as one of its own."""

    def __init__(
        self,
        html: bytes,
        decode: Decode,
        *,
        reads_url_text: bool,
        follows_all: bool = False,
        comment_at: int | None = None,
    ) -> None:
        self.links: list[FoundLink] = []
        self.attributes: list[tuple[int, int, Where]] = []
        self.pixel: int | None = None
        self.initial_pixel: int | None = None
        self._html = html
        self._decode = decode
        self._is_comment = comment_at is not None
        self._offset = comment_at or 0
        self._tokenizer = Tokenizer(html)
        self._tree = build_tree(html)
        self._pixel_place = PixelPlace()
        self._follows_all = follows_all or reads_url_text or not isinstance(self._tree, PlainTree)
        self._hides_at = -1
        self._body_end_seen = False
        self._reads_url_text = reads_url_text
        self._link_text: list[bytes] | None = None
        """Text behind the start tag of a link, while it is open."""
        self._text_of = 0

    def read_document(self) -> bool:
        """Read all tokens, and note what they hold; False if all tags must be followed."""
        tokenizer, tree = self._tokenizer, self._tree
        while (token := self._read_token()) is not None:
            if token.kind is TokenKind.START_TAG:
                state = tree.read_start_tag(token)
                self._read_start_tag(token)
                if state is not None:
                    tokenizer.read_text(state, token.name)
            elif token.kind is TokenKind.END_TAG:
                tree.read_end_tag(token)
                self._read_end_tag(token)
            elif not self._is_comment and _CONDITION.match(self._html, token.start):
                self._read_conditional_comment(token)
            tokenizer.in_foreign_content = tree.in_foreign_content
            if (
                token.name in _TABLE_TAGS
                and not self._follows_all
                and self._pixel_place.lowest() is not None
            ):
                return False
        self._finish_link()
        if self.pixel is None and tokenizer.ends_in_markup:
            self._note_pixel(len(self._html))
        return True

    def _read_token(self) -> Token | None:
        tokenizer = self._tokenizer
        if self._follows_all:
            token = tokenizer.read_token()
            if tokenizer.text_start < tokenizer.text_end:
                self._read_text(self._html[tokenizer.text_start : tokenizer.text_end])
            return token
        if self._pixel_place.lowest() is None:
            self._pass_by_tags()
        return tokenizer.read_token()

    def _pass_by_tags(self) -> None:
        """Pass by tags that are no links and hide nothing, while nothing that hides is open.

        Those of tables are among them: while nothing is open, they keep nothing from its end.
        """
        tokenizer = self._tokenizer
        if self._hides_at < tokenizer.position:
            hides = _HIDES.search(self._html, tokenizer.position)
            self._hides_at = len(self._html) if hides is None else hides.start()
        tokenizer.pass_by(_OTHER_TAGS, self._hides_at)

    def _read_text(self, text: bytes) -> None:
        self._tree.read_text(text)
        if self._link_text is not None:
            self._link_text += text.split(b"</>")

    def _read_start_tag(self, tag: Token) -> None:
        is_vml = tag.name.startswith(b"v:") and _VML_NAME.match(self._html, tag.start) is not None
        if is_vml or tag.name in {b"a", b"area"}:
            self._read_link(tag, "outlook" if is_vml or self._is_comment else "html")
        elif tag.name == b"body" and self.initial_pixel is None:
            self.initial_pixel = tag.end
        elif tag.name in {b"svg", b"math", b"script", b"plaintext"}:
            self._link_text = None
        if self._is_comment:
            return
        is_hidden = self._is_hidden(tag)
        if tag.name in WATCHED:
            is_watched = self._follows_all or tag.name not in _TABLE_TAGS
        else:
            is_watched = self._pixel_place.watches_all
        if is_hidden or is_watched:
            is_foreign = self._tree.namespace is not Namespace.HTML
            is_empty = is_foreign and is_self_closing(self._html, tag)
            self._pixel_place.read_start_tag(
                tag.name, tag.start, is_hidden=is_hidden, is_empty=is_empty
            )

    def _read_end_tag(self, tag: Token) -> None:
        if tag.name == b"body":
            self._body_end_seen = True
            self._note_pixel(tag.start)
        elif tag.name == b"html" and not self._body_end_seen:
            self._note_pixel(tag.start)
        elif tag.name == b"a":
            self._finish_link()
        if self._follows_all or tag.name not in _TABLE_TAGS:
            self._pixel_place.read_end_tag(tag.name)

    def _note_pixel(self, place: int) -> None:
        """Note a place for the pixel, or that of the outermost element that spoils it."""
        spoiler = self._pixel_place.lowest()
        is_in_body = self.initial_pixel is None or (spoiler or 0) >= self.initial_pixel
        self.pixel = spoiler if spoiler is not None and is_in_body else place

    def _is_hidden(self, tag: Token) -> bool:
        """Whether the `style` of the tag itself says `display:none`."""
        if _MAY_HIDE.search(self._html, tag.start, tag.end) is None:
            return False
        for attribute in read_attributes(self._html, tag):
            if attribute.name == b"style":
                style = decode_references(self._decode(self._value(attribute)))
                return "display:none" in style.lower().translate(_SPACES)
        return False

    def _value(self, attribute: Attribute) -> bytes:
        return b"" if attribute.value is None else self._html[slice(*attribute.value)]

    def _read_link(self, tag: Token, where: Where) -> None:
        """Note the attributes that are ours, and the link if the tag is one."""
        if tag.name == b"a":
            self._finish_link()
        found: dict[bytes, Attribute] = {}
        at = tag.start + 1 + len(tag.name)
        for attribute in read_attributes(self._html, tag):
            found.setdefault(attribute.name, attribute)
            if attribute.name in _OWN_ATTRIBUTES:
                self.attributes.append((*self._removable(attribute, at), where))
            at = attribute.end
        href = found.get(b"href")
        if href is None and tag.name == b"a" and self._tree.namespace is Namespace.SVG:
            href = found.get(b"xlink:href")
        if href is None or href.value is None:
            return
        self.links.append(self._link(href, href.value, found, where))
        is_html = self._tree.namespace is Namespace.HTML
        if self._reads_url_text and is_html and tag.name == b"a":
            self._text_of, self._link_text = len(self.links) - 1, []

    def _removable(self, attribute: Attribute, before: int) -> tuple[int, int]:
        """Choose what goes with an attribute, from the end of what is before it.

        The white space before it goes too, unless that keeps others apart.
        """
        html, start, end = self._html, attribute.name_start, attribute.end
        if html[end] in _ENDS_ATTRIBUTE:
            start = before + len(html[before:start].rstrip(_SPACE))
        return start + self._offset, end + self._offset

    def _link(
        self,
        href: Attribute,
        value: tuple[int, int],
        found: Mapping[bytes, Attribute],
        where: Where,
    ) -> FoundLink:
        before = href.name_start - 1
        start, end = value
        return FoundLink(
            start=start + self._offset,
            end=end + self._offset,
            fold=before + self._offset if self._html[before] in _FOLDABLE else None,
            raw=self._html[start:end],
            attributes={name.decode("latin-1"): self._value(each) for name, each in found.items()},
            where=where,
            is_in_comment=self._is_comment,
            url_text=False,
        )

    def _finish_link(self) -> None:
        """Look at the text of the link that ends here."""
        if self._link_text is None:
            return
        text = "".join(html_text.unescape(self._decode(run)) for run in self._link_text)
        if _URL_TEXT.fullmatch(text):
            self.links[self._text_of] = replace(self.links[self._text_of], url_text=True)
        self._link_text = None

    def _read_conditional_comment(self, comment: Token) -> None:
        """Read what Outlook takes for markup: behind the condition, up to the end."""
        html = self._html[comment.start : comment.end]
        end = _COMMENT_CLOSE.search(html)
        text_end = len(html) if end is None else end.start()
        start = html.find(b">", 0, text_end) + 1
        if not start or _MAY_LINK.search(html, start) is None:
            return
        inner = Scanner(
            html[start:text_end],
            self._decode,
            reads_url_text=self._reads_url_text,
            comment_at=comment.start + start,
        )
        inner.read_document()
        self.links += inner.links
        self.attributes += inner.attributes


_SPACE: Final = b"\t\n\f\r "
_ENDS_ATTRIBUTE: Final = frozenset(_SPACE + b">")
_FOLDABLE: Final = frozenset(b"\t\f ")
_COMMENT_CLOSE: Final = re.compile(rb"--!?>\Z")
