"""python-lolhtml: lol_html driven by Python callbacks.

It seals nothing: each link becomes the same constant URL. It does not see links in comments.
"""

from collections.abc import Callable
from html import unescape
from typing import Any, cast

from lolhtml import ContentType, DocumentEnd, Element, HTMLRewriter

from msys_track.comparison.peers.links import Links
from msys_track.comparison.peers.target import leads_to_http


class _Links:
    def __init__(self, link: str) -> None:
        self._link = link

    def element(self, element: Element) -> None:
        if leads_to_http(unescape(element.get_attribute("href") or "")):
            element.set_attribute("href", self._link)


class _Body:
    def __init__(self, pixel: str) -> None:
        self._pixel = pixel
        self._was_found = False

    def element(self, element: Element) -> None:
        self._was_found = True
        element.append(self._pixel, ContentType.HTML)

    def end(self, end: DocumentEnd) -> None:
        if not self._was_found:
            end.append(self._pixel, ContentType.HTML)


def rewriting(html: bytes, links: Links) -> Callable[[], bytes]:
    """Give a call that sets each `http` and `https` link of `html`, and appends the pixel."""
    link = links.click_url.decode("ascii")
    pixel = links.pixel.decode("ascii")

    def rewrite() -> bytes:
        chunks: list[bytes] = []
        rewriter = HTMLRewriter(cast("Any", chunks.append))
        body = _Body(pixel)
        rewriter.on("a[href], area[href]", _Links(link))
        rewriter.on("body", body)
        rewriter.on_document(body)
        rewriter.write(html)
        rewriter.end()
        return b"".join(chunks)

    return rewrite
