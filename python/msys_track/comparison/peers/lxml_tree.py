"""lxml.html: a tree of libxml2's, its links set and the tree written again.

It seals nothing: each link becomes the same constant URL.
"""

from collections.abc import Callable

from lxml import html as lxml_html

from msys_track.comparison.peers.links import Links
from msys_track.comparison.peers.target import leads_to_http


def rewriting(html: bytes, links: Links) -> Callable[[], bytes]:
    """Give a call that sets each `http` and `https` link of `html`, and appends the pixel."""
    link = links.click_url.decode("ascii")
    pixel = links.pixel.decode("ascii")

    def rewrite() -> bytes:
        parser = lxml_html.HTMLParser(encoding="utf-8", default_doctype=False)
        root = lxml_html.document_fromstring(html, parser=parser)
        for element in root.iter("a", "area"):
            href = element.get("href")
            if href is not None and leads_to_http(href):
                element.set("href", link)
        body = root.find("body")
        (root if body is None else body).append(lxml_html.fragment_fromstring(pixel))
        # The tree, not its root: its doctype is written too.
        text: str = lxml_html.tostring(
            root.getroottree(), encoding="unicode", include_meta_content_type=True
        )
        return text.encode("utf-8")

    return rewrite
