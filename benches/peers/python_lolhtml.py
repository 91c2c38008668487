"""python-lolhtml 0.1.0: lol_html driven by Python callbacks, and without any handler.

It seals nothing: each link becomes the same constant URL. It does not see links in comments.
"""

from collections.abc import Callable
from html import unescape
from typing import Any, cast

from lolhtml import ContentType, Element, HTMLRewriter


class _Links:
    def __init__(self, link: str) -> None:
        self._link = link

    def element(self, element: Element) -> None:
        target = unescape(element.get_attribute("href") or "")
        if target.lower().startswith(("http://", "https://")):
            element.set_attribute("href", self._link)


class _Body:
    def __init__(self, pixel: str) -> None:
        self._pixel = pixel

    def element(self, element: Element) -> None:
        element.append(self._pixel, ContentType.HTML)


def rewriting(html: bytes, link: str, pixel: str) -> Callable[[], bytes]:
    """Give a call that puts `link` into each `http` and `https` link, and `pixel` into `body`."""

    def rewrite() -> bytes:
        chunks: list[bytes] = []
        rewriter = HTMLRewriter(cast("Any", chunks.append))
        rewriter.on("a[href], area[href]", _Links(link))
        rewriter.on("body", _Body(pixel))
        rewriter.write(html)
        rewriter.end()
        return b"".join(chunks)

    return rewrite


def passing(html: bytes) -> Callable[[], bytes]:
    """Give a call that sends `html` through without a handler."""

    def through() -> bytes:
        chunks: list[bytes] = []
        rewriter = HTMLRewriter(cast("Any", chunks.append))
        rewriter.write(html)
        rewriter.end()
        return b"".join(chunks)

    return through
