"""A judge of rewritten HTML that shares no code with what rewrites it.

Lexbor, by selectolax, reads both documents as a browser does. The bytes are compared too, since
mail clients are no browsers: what they make of bytes that nobody asked to change is unknown.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from functools import lru_cache
from html import unescape
from typing import Final

from selectolax.lexbor import LexborHTMLParser, LexborNode

KINDS: Final = (
    "doctype",
    "elements",
    "nesting",
    "attributes",
    "text",
    "comments",
    "conditional comments",
    "charset",
)
"""The kinds of structures of HTML, as `Damage.kinds` names them."""

# HTML Standard, section 13.2.4.3: a browser opens those again for whatever comes next, so also
# for a pixel behind one that was never closed. Not `a`, which would be one link more.
_FORMATTING: Final = frozenset(
    ["b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u"]
)
_HTTP: Final = re.compile(r"https?://[\\/]*[^\\/?#]", re.IGNORECASE)
_BLANK: Final = "".join(map(chr, range(0x21)))  # URL Standard, "C0 control or space"
_REMOVED: Final = re.compile(r"[\t\r\n]")  # URL Standard, section 4.4
_CONDITION: Final = re.compile(r"\s*\[if\b", re.IGNORECASE)
_HREF_TEXT: Final = r"""(?<![\w-])href\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>"'][^\s>]*))"""
_HREF: Final = re.compile(_HREF_TEXT, re.IGNORECASE)
_HREF_BYTES: Final = re.compile(_HREF_TEXT.encode("ascii"), re.IGNORECASE)
_IMAGE: Final = re.compile(
    rb"""(?P<div><div\b[^<>]*>)?<img\b[^<>]*?\bsrc=["']?(?P<src>[^\s"'<>]+)[^<>]*>(?(div)</div>)""",
    re.IGNORECASE,
)
_SHOWN_TO_OUTLOOK: Final = re.compile(
    r"\s*\[if\b[^\]]*\]>(.*?)(?:<!\[endif\]|\Z)", re.IGNORECASE | re.DOTALL
)
_COMMENT: Final = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_PIECES: Final = re.compile(rb"<[^<>]*>|[^<>]+|[<>]")
_WORDS: Final = re.compile(rb"\w+|\s+|[^\w\s]")
_BEFORE_HREF: Final = re.compile(rb"\s+(?=href\s*=)", re.IGNORECASE)
"""Where a line that would be too long may be broken."""
_CONDITIONS: Final = re.compile(
    r"<!--\s*\[if\b[^\]]*\]>(?:<!-->)?|<!\[if\b[^\]]*\]>|(?:<!--)?<!\[endif\](?:--)?>",
    re.IGNORECASE,
)
"""The conditions for Outlook, as it reads them."""
_MOST_EXACT: Final = 250_000
_MOST_ALIGNED: Final = 20_000
"""Alignment takes time by the square; beyond these products and lengths it is coarser."""
_URL: Final = b"\x00"
"""Stands for a URL that may be wrapped, or was; no HTML has this byte after it was read."""


@dataclass(frozen=True, slots=True)
class Damage:
    """What one rewriting did to the HTML."""

    wrapped: int = 0
    """Links that are shown, lead to http or https, and are tracked now."""
    missed: int = 0
    """The same that stand as they were, and nothing says why."""
    broken: int = 0
    """Links that lead elsewhere than they did, or are gone, or were no web links and are tracked.
    """
    bytes_changed: int = 0
    """Bytes of the original that are gone or others, and new ones: all but URLs that are tracked,
    the pixel, and the style of line breaks."""
    structures: int = 0
    """Elements, attributes, texts, comments and so on that a browser finds changed."""
    kinds: Mapping[str, int] = field(default_factory=dict)
    """The same by their kind, one of `KINDS`."""
    reasons: Mapping[str, int] = field(default_factory=dict)
    """Links that were left alone, by the reason that was given."""
    hidden_wrapped: int = 0
    """Links in conditional comments, which Outlook alone shows, that are tracked."""
    hidden_missed: int = 0
    """The same that are not, and nothing says why."""
    pixels: int = 0
    """Images that are tracked."""

    @property
    def is_damaged(self) -> bool:
        """Whether readers get anything else than the original with tracked links."""
        return bool(self.broken or self.structures)


def judge_html(
    before: bytes,
    after: bytes,
    is_tracked: Callable[[str], bool],
    *,
    find_target: Callable[[str], str | None] | None = None,
    find_reason: Callable[[str], str | None] | None = None,
) -> Damage:
    """Compare HTML in UTF-8 with what became of it.

    Args:
        before: the original.
        after: what was made of it.
        is_tracked: tells a tracked URL, given without character references.
        find_target: opens a tracked URL, if it is sealed; where it leads.
        find_reason: says why a link was left alone, given its `href` without character
            references; None if there is no reason.
    """
    page = copy = _read_original(before.decode("utf-8", "replace"))
    if before != after:
        copy = _read_page(after.decode("utf-8", "replace"), is_tracked)
    links = _Links(is_tracked, find_target, find_reason)
    links.compare(page.links, copy.links)
    links.compare_hidden(page.hidden, copy.hidden)
    kinds = {} if page is copy else _compare_structures(page, copy)
    if _is_utf8(before) and not _is_utf8(after):
        kinds["charset"] = 1
    return Damage(
        wrapped=links.counts["wrapped"],
        missed=links.counts["missed"],
        broken=links.counts["broken"],
        bytes_changed=0 if before == after else count_changed(before, after, is_tracked),
        structures=sum(kinds.values()),
        kinds=kinds,
        reasons=dict(links.reasons),
        hidden_wrapped=links.counts["hidden_wrapped"],
        hidden_missed=links.counts["hidden_missed"],
        pixels=copy.pixels,
    )


def leads_to_web(href: str) -> bool:
    """Tell whether a browser takes an `href` for http:// or https:// and a host.

    `https:example.com` and what is relative to a `<base>` is left alone by everybody: mail
    clients treat both in their own ways.
    """
    return _HTTP.match(_REMOVED.sub("", href.strip(_BLANK))) is not None


def count_changed(before: bytes, after: bytes, is_tracked: Callable[[str], bool]) -> int:
    """Count the bytes that differ, but for tracked URLs, the pixel, and how lines break."""
    old = _mask_links(_unify_breaks(before), leads_to_web)
    new = _mask_links(
        _without_pixels(_unify_breaks(after), is_tracked),
        lambda url: is_tracked(url) or leads_to_web(url),
    )
    return 0 if old == new else _count_differences(old, new)


@dataclass(slots=True)
class _Page:
    """What a browser finds in a document, in its order."""

    doctype: str = ""
    links: list[str] = field(default_factory=list)
    """Where each `a` and `area` leads."""
    hidden: list[str] = field(default_factory=list)
    """Where anything in conditional comments leads."""
    elements: list[str] = field(default_factory=list)
    depths: list[int] = field(default_factory=list)
    attributes: list[frozenset[tuple[str, str]]] = field(default_factory=list)
    """Of each element, but for where it leads."""
    texts: list[str] = field(default_factory=list)
    """Without white space; none is empty."""
    comments: list[str] = field(default_factory=list)
    conditional_comments: list[str] = field(default_factory=list)
    """Without where their links lead."""
    conditions: list[str] = field(default_factory=list)
    """The conditions, in the bytes as they are."""
    pixels: int = 0


@dataclass(slots=True)
class _Links:
    """Follows the links of a document into its copy."""

    is_tracked: Callable[[str], bool]
    find_target: Callable[[str], str | None] | None
    find_reason: Callable[[str], str | None] | None
    counts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)

    def compare(self, old: Sequence[str], new: Sequence[str]) -> None:
        """Count what became of each link that is shown."""
        if len(old) == len(new):
            for before, after in zip(old, new, strict=True):
                self._compare_link(before, after)
            return
        # Some are gone or new. Those that may be wrapped are the same to the alignment.
        keys = [_URL.decode() if leads_to_web(each) else each for each in old]
        others = [_URL.decode() if self._is_web(each) else each for each in new]
        matcher = SequenceMatcher(None, keys, others, autojunk=False)
        for kind, start, end, first, last in matcher.get_opcodes():
            if kind == "equal":
                for before, after in zip(old[start:end], new[first:last], strict=True):
                    self._compare_link(before, after)
            else:
                self.counts["broken"] += max(end - start, last - first)

    def compare_hidden(self, old: Sequence[str], new: Sequence[str]) -> None:
        """Count what became of the links that Outlook alone shows."""
        if len(old) != len(new):
            return  # the comment itself has changed, which is counted as such
        for before, after in zip(old, new, strict=True):
            if self.is_tracked(after) and after != before:
                self.counts["hidden_wrapped"] += 1
            elif leads_to_web(before):
                self._leave(before, "hidden_missed")

    def _is_web(self, href: str) -> bool:
        return self.is_tracked(href) or leads_to_web(href)

    def _compare_link(self, before: str, after: str) -> None:
        if before == after:
            if leads_to_web(before):
                self._leave(before, "missed")
        elif self.is_tracked(after) and self._leads_there(before, after):
            self.counts["wrapped"] += 1
        else:
            self.counts["broken"] += 1

    def _leads_there(self, before: str, after: str) -> bool:
        if self.find_target is None:
            return leads_to_web(before)
        target = self.find_target(after)
        return target is not None and _trim(target) == _trim(before)

    def _leave(self, href: str, count: str) -> None:
        reason = None if self.find_reason is None else self.find_reason(href)
        if reason is None:
            self.counts[count] += 1
        else:
            self.reasons[reason] += 1


def _trim(url: str) -> str:
    return _REMOVED.sub("", url.strip(_BLANK))


@lru_cache(maxsize=8)
def _read_original(html: str) -> _Page:
    return _read_page(html, lambda _: False)


def _read_page(html: str, is_tracked: Callable[[str], bool]) -> _Page:
    page = _Page()
    root = LexborHTMLParser(html).root
    for node, depth in _walk(root.parent) if root is not None and root.parent is not None else ():
        if node.is_element_node:
            _add_element(page, node, depth, is_tracked)
        elif node.is_text_node:
            if text := "".join((node.text_content or "").split()):
                page.texts.append(text)
        elif node.tag == "-doctype":
            page.doctype = (node.html_pretty(full_doctype=True) or "").strip()
        elif node.is_comment_node:
            _add_comment(page, node.comment_content or "")
        elif node.tag is None:  # a processing instruction
            page.comments.append(node.html or "")
    page.conditions += [" ".join(each.split()) for each in _CONDITIONS.findall(html)]
    return page


def _walk(root: LexborNode) -> Iterator[tuple[LexborNode, int]]:
    """Yield each node below `root` in the order of the document, with its depth."""
    node, depth = root.first_child, 0
    while node is not None:
        yield node, depth
        below = node.first_child
        if below is not None:
            node, depth = below, depth + 1
            continue
        while node is not None and node.next is None:
            node, depth = node.parent, depth - 1
            if depth < 0:
                return
        node = node.next if node is not None else None


def _add_element(
    page: _Page, node: LexborNode, depth: int, is_tracked: Callable[[str], bool]
) -> None:
    if _is_pixel(node, is_tracked):
        page.pixels += node.tag == "img"
        return
    attributes: dict[str, str | None] = node.attributes
    hrefs = [name for name in ("href", "xlink:href") if name in attributes]
    name = hrefs[0] if hrefs and (hrefs[0] == "href" or _is_inside_svg(node)) else None
    is_link = node.tag in ("a", "area") and name is not None
    if is_link and name is not None:
        page.links.append(attributes[name] or "")
    page.elements.append(node.tag or "")
    page.depths.append(depth)
    page.attributes.append(
        frozenset(
            (each, value or "")
            for each, value in attributes.items()
            if not is_link or each != name
        )
    )


def _is_inside_svg(node: LexborNode) -> bool:
    above: LexborNode | None = node
    while above is not None and above.tag != "svg":
        above = above.parent
    return above is not None


def _is_pixel(node: LexborNode, is_tracked: Callable[[str], bool]) -> bool:
    """Tell whether it is a tracked image, or a `div` that holds nothing else."""
    image: LexborNode | None = node
    if node.tag == "div":
        image = node.first_child
        if image is None or image.next is not None:
            return False
    if image is None or image.tag != "img":
        return False
    return is_tracked(image.attributes.get("src") or "")


def _add_comment(page: _Page, comment: str) -> None:
    if not _CONDITION.match(comment):
        page.comments.append(comment)
        return
    shown = _SHOWN_TO_OUTLOOK.match(comment)
    markup = "" if shown is None else _COMMENT.sub("", shown[1])
    page.hidden += [unescape("".join(found)) for found in _HREF.findall(markup)]
    page.conditional_comments.append(_HREF.sub("href", comment))


def _compare_structures(page: _Page, copy: _Page) -> dict[str, int]:
    """Count by kind what a browser finds changed; kinds that are whole are left out."""
    conditional = _count_items(page.conditional_comments, copy.conditional_comments)
    counts = {
        "doctype": int(page.doctype != copy.doctype),
        **_compare_elements(page, copy),
        "text": 0,
        "comments": _count_items(page.comments, copy.comments),
        # A comment may be the same to a browser and another to Outlook: `<![if` and `<!--[if`.
        "conditional comments": max(conditional, _count_items(page.conditions, copy.conditions)),
    }
    if "".join(page.texts) != "".join(copy.texts):  # how it is cut into nodes is nobody's matter
        counts["text"] = _count_items(page.texts, copy.texts)
    return {kind: count for kind, count in counts.items() if count}


def _compare_elements(page: _Page, copy: _Page) -> dict[str, int]:
    if page.elements == copy.elements:
        return {
            "nesting": _count_unlike(page.depths, copy.depths),
            "attributes": _count_unlike(page.attributes, copy.attributes),
        }
    changed = others = 0
    for kind, start, end, first, last in _align(page.elements, copy.elements):
        if kind == "equal":
            others += _count_unlike(page.attributes[start:end], copy.attributes[first:last])
        elif kind != "insert" or not _FORMATTING.issuperset(copy.elements[first:last]):
            changed += max(end - start, last - first)
    return {"elements": changed, "attributes": others}


def _count_unlike(old: Sequence[object], new: Sequence[object]) -> int:
    return sum(before != after for before, after in zip(old, new, strict=True))


def _count_items(old: Sequence[str], new: Sequence[str]) -> int:
    """Count the items that are gone, others, or new."""
    if old == new:
        return 0
    opcodes = _align(old, new)
    return sum(max(end - i, last - j) for kind, i, end, j, last in opcodes if kind != "equal")


def _align(old: Sequence[object], new: Sequence[object]) -> list[tuple[str, int, int, int, int]]:
    """Give the opcodes of difflib, where those of much would take too long one for it all."""
    start, end, last = 0, len(old), len(new)
    while start < min(end, last) and old[start] == new[start]:
        start += 1
    while end > start and last > start and old[end - 1] == new[last - 1]:
        end, last = end - 1, last - 1
    middle, others = old[start:end], new[start:last]
    found: list[tuple[str, int, int, int, int]] = [("equal", 0, start, 0, start)]
    if max(len(middle), len(others)) > _MOST_ALIGNED:
        found.append(("replace", start, end, start, last))
    elif middle or others:
        is_much = len(middle) * len(others) > _MOST_EXACT
        matcher = SequenceMatcher(None, middle, others, autojunk=is_much)
        found += [
            (kind, i + start, i2 + start, j + start, j2 + start)
            for kind, i, i2, j, j2 in matcher.get_opcodes()
        ]
    return [*found, ("equal", end, len(old), last, len(new))]


def _count_differences(old: bytes, new: bytes) -> int:
    """Count bytes: first by tags and what is between them, then by words where those differ."""
    pieces, others = _PIECES.findall(old), _PIECES.findall(new)
    count = 0
    for kind, start, end, first, last in _align(pieces, others):
        if kind != "equal":
            before, after = b"".join(pieces[start:end]), b"".join(others[first:last])
            count += _count_words(_WORDS.findall(before), _WORDS.findall(after))
    return count


def _count_words(old: Sequence[bytes], new: Sequence[bytes]) -> int:
    if max(len(old), len(new)) > _MOST_ALIGNED:  # without their order
        before, after = Counter(old), Counter(new)
        return max(
            _count_bytes((before - after).elements()), _count_bytes((after - before).elements())
        )
    return sum(
        max(_count_bytes(old[start:end]), _count_bytes(new[first:last]))
        for kind, start, end, first, last in _align(old, new)
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

    return _HREF_BYTES.sub(mask, _BEFORE_HREF.sub(b" ", html))


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


def _is_utf8(html: bytes) -> bool:
    try:
        html.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
