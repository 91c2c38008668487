"""A judge of whole copies that shares no code with what makes them.

It reads mail by the standard library's `email`, HTML by Lexbor, and URLs by Ada, all of which were
written for other purposes. So it says what a reader's programs make of a copy.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from functools import lru_cache
from typing import Final
from urllib.parse import quote

import ada_url
from selectolax.lexbor import LexborHTMLParser, LexborNode

from msys_track.comparison.fidelity.parts import Leaf, find_codec, list_leaves
from msys_track.keys.ring import Claims, KeyRing
from msys_track.rewriting.engine import LeftAlone

# HTML Standard, section 13.2.4.3; not `a`, which would be one link more.
_FORMATTING: Final = frozenset(
    "b big code em font i nobr s small strike strong tt u".split()  # noqa: SIM905
)
_BLANK: Final = "".join(map(chr, range(0x21)))  # URL Standard, "C0 control or space"
_REASONS_OF_PIXELS: Final = frozenset({"no_html_part", "no_pixel_place", "no_initial_pixel_place"})
_TEXT_OPTIONS: Final = re.compile(r"\[\[\s*data-msys-[^\]]*\]\]")


@dataclass(slots=True)
class Verdict:
    """What a browser finds in the HTML of a message and its copy."""

    links: int = 0
    """`a` and `area` elements that lead to an http or https URL."""
    wrapped: int = 0
    """Those of them that are tracked in the copy."""
    reasons: Counter[str] = field(default_factory=Counter)
    """Why the others are not."""
    reopened: int = 0
    """Pages in which a browser opens a `<font>` or the like again, around the pixel."""
    tracked_urls: Counter[str] = field(default_factory=Counter)
    """Every tracked URL in HTML and text by the kind of its event; hidden ones too."""


@dataclass(frozen=True, slots=True)
class _Page:
    links: list[str]
    base: str | None
    elements: list[str]
    """The names of all elements in their order, our pixels left out."""
    text: str
    """What is shown, without white space."""


class Judge:
    """Compares messages with their copies.

    Args:
        keys: those that sealed the links.
        origin: what each tracked URL begins with, as a regular expression.
    """

    def __init__(self, keys: KeyRing, origin: str) -> None:
        self._keys = keys
        self._tracked = re.compile(origin + r"/[fqu]/(?:a/)?[A-Za-z0-9_-]+")

    def judge(self, before: bytes, after: bytes, left_alone: Sequence[LeftAlone]) -> Verdict:
        """Compare a message with its copy.

        Raises:
            AssertionError: a reader gets something else than before, or a link was left alone
                without a reason.
        """
        verdict = Verdict()
        for old, new in zip(list_leaves(before), list_leaves(after), strict=True):
            assert old.kind == new.kind, "the parts differ"
            codec = find_codec(old.charset, old.body)
            texts = old.body.decode(codec, "replace"), new.body.decode(codec, "replace")
            if old.kind in ("text/html", "text/x-amp-html"):
                reasons = _Reasons(before, old, left_alone)
                self._compare_pages(verdict, *texts, codec, reasons)
            elif old != new:
                assert old.kind == "text/plain", f"{old.kind} has changed"
                self._compare_texts(*texts)
            for url in self._tracked.findall(texts[1]):
                verdict.tracked_urls[self._open(url).kind] += 1
        return verdict

    def _open(self, url: str) -> Claims:
        return self._keys.open("/" + url.partition("://")[2].partition("/")[2])

    def _compare_texts(self, old: str, new: str) -> None:
        restored = self._tracked.sub(lambda found: self._open(found[0]).target or "", new)
        assert _squeeze(_TEXT_OPTIONS.sub("", old)) == _squeeze(_TEXT_OPTIONS.sub("", restored))

    def _compare_pages(
        self, verdict: Verdict, old: str, new: str, codec: str, reasons: "_Reasons"
    ) -> None:
        page = _read_page(old, None)
        copy = page if old == new else _read_page(new, self._tracked)
        if copy.elements != page.elements:
            _check_reopened(page.elements, copy.elements)
            verdict.reopened += 1
        assert copy.text == page.text, "a browser shows another text"
        for href, written in zip(page.links, copy.links, strict=True):
            url = _browse(_encode_query(href, codec), page.base)
            if self._tracked.fullmatch(written) and href != written:
                target = self._open(written).target or ""
                assert url is None or _browse(target, None) == url, f"{href!r} leads to {target!r}"
                assert url is not None or target == re.sub(r"[\t\r\n]", "", href.strip(_BLANK))
                verdict.links += 1
                verdict.wrapped += 1
                continue
            assert written == href, f"{href!r} has become {written!r}"
            if url is not None:
                verdict.links += 1
                verdict.reasons[reasons.find(href, url, page.base)] += 1


class _Reasons:
    """Why links of one part were left alone."""

    def __init__(self, message: bytes, leaf: Leaf, left_alone: Sequence[LeftAlone]) -> None:
        self._message = message
        self._leaf = leaf
        self._left_alone = left_alone

    def find(self, href: str, url: str, base: str | None) -> str:
        """Return the code of the reason of this link, of its part or of its message."""
        for each in self._left_alone:
            if each.target is None:
                span = self._message[each.offset : each.offset + each.length]
                if self._leaf.raw.strip() in span and each.reason not in _REASONS_OF_PIXELS:
                    return each.reason
            elif each.target == href.strip(_BLANK) or _browse(each.target, base) == url:
                return each.reason
        raise AssertionError(f"{href!r} was left alone, and nothing says why")


@lru_cache(maxsize=64)
def _read_page(html: str, tracked: re.Pattern[str] | None) -> _Page:
    links, elements, text = [], [], []
    base = None
    root = LexborHTMLParser(html).root
    for node in root.traverse(include_text=True) if root is not None else ():
        if node.is_text_node:
            text.append(node.text_content or "")
            continue
        if not node.is_element_node or _is_pixel(node, tracked):
            continue
        elements.append(node.tag or "")
        if node.tag in ("a", "area"):
            href = _read_href(node)
            if href is not None:
                links.append(href)
        elif node.tag == "base" and base is None:
            base = node.attributes.get("href")
    return _Page(links, base, elements, _squeeze("".join(text)))


def _check_reopened(old: Sequence[str], new: Sequence[str]) -> None:
    """Accept formatting elements that a browser opens again for whatever comes next."""
    for kind, _, _, start, end in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        assert kind == "equal" or (kind == "insert" and set(new[start:end]) <= _FORMATTING), (
            "a browser finds other elements"
        )


def _is_pixel(node: LexborNode, tracked: re.Pattern[str] | None) -> bool:
    """Tell whether it is an image of ours, or the `div` around it."""
    image = node.first_child if node.tag == "div" else node
    if tracked is None or image is None or image.tag not in ("img", "amp-img"):
        return False
    return tracked.fullmatch(image.attributes.get("src") or "") is not None


def _read_href(node: LexborNode) -> str | None:
    attributes: dict[str, str | None] = node.attributes
    if "href" in attributes:
        return attributes["href"]
    above: LexborNode | None = node
    while above is not None and above.tag != "svg":
        above = above.parent
    return attributes.get("xlink:href") if above is not None else None


def _squeeze(text: str) -> str:
    return "".join(text.split())


def _browse(href: str, base: str | None) -> str | None:
    """Return the http or https URL that a browser asks for, if it is one."""
    try:
        url = ada_url.URL(href, base) if base is not None else ada_url.URL(href)
    except ValueError:
        return None
    return url.href if url.protocol in ("http:", "https:") else None


def _encode_query(href: str, codec: str) -> str:
    """Write a query beyond ASCII as a browser does (URL Standard, section 1.3)."""
    if href.isascii() or codec.startswith("utf"):
        return href
    before, hash_mark, fragment = href.partition("#")
    path, question_mark, query = before.partition("?")
    encoded = "".join(
        each if each.isascii() else quote(each.encode(codec, "xmlcharrefreplace"), safe="")
        for each in query
    )
    return f"{path}{question_mark}{encoded}{hash_mark}{fragment}"
