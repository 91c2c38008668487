"""What a browser finds in a document: Lexbor reads it."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from html import unescape
from typing import Final

from selectolax.lexbor import LexborHTMLParser, LexborNode

from msys_track.comparison.hrefs import HREF

_CONDITION: Final = re.compile(r"\s*\[if\b", re.IGNORECASE)
_SHOWN_TO_OUTLOOK: Final = re.compile(
    r"\s*\[if\b[^\]]*\]>(.*?)(?:<!\[endif\]|\Z)", re.IGNORECASE | re.DOTALL
)
_COMMENT: Final = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_CONDITIONS: Final = re.compile(
    r"<!--\s*\[if\b[^\]]*\]>(?:<!-->)?|<!\[if\b[^\]]*\]>|(?:<!--)?<!\[endif\](?:--)?>",
    re.IGNORECASE,
)
"""The conditions for Outlook, as it reads them."""


@dataclass(slots=True)
class Page:
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


@lru_cache(maxsize=8)
def read_original(html: str) -> Page:
    """Read a document that has no tracked images; the last ones are kept."""
    return read_page(html, lambda _: False)


def read_page(html: str, is_tracked: Callable[[str], bool]) -> Page:
    """Read a document; tracked images count as pixels and are no elements."""
    page = Page()
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
        else:  # a processing instruction
            page.comments.append(node.html or "")
    page.conditions += [" ".join(each.split()) for each in _CONDITIONS.findall(html)]
    return page


def _walk(root: LexborNode) -> Iterator[tuple[LexborNode, int]]:
    """Yield each node below `root` in the order of the document, with its depth."""
    waiting = [(root.first_child, 0)]
    while waiting:
        node, depth = waiting.pop()
        if node is not None:
            yield node, depth
            waiting += [(node.next, depth), (node.first_child, depth + 1)]


def _add_element(
    page: Page, node: LexborNode, depth: int, is_tracked: Callable[[str], bool]
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


def _add_comment(page: Page, comment: str) -> None:
    if not _CONDITION.match(comment):
        page.comments.append(comment)
        return
    shown = _SHOWN_TO_OUTLOOK.match(comment)
    markup = "" if shown is None else _COMMENT.sub("", shown[1])
    page.hidden += [unescape("".join(found)) for found in HREF.findall(markup)]
    page.conditional_comments.append(HREF.sub("href", comment))
