"""selectolax: a tree of Lexbor's, its links set and the tree written again.

It seals nothing: each link becomes the same constant URL.
"""

from collections.abc import Callable

from selectolax.lexbor import LexborHTMLParser

from msys_track.comparison.peers.links import Links
from msys_track.comparison.peers.target import leads_to_http


def rewriting(html: bytes, links: Links) -> Callable[[], bytes]:
    """Give a call that sets each `http` and `https` link of `html`, and appends the pixel."""
    link = links.click_url.decode("ascii")
    pixel = links.pixel.decode("ascii")

    def rewrite() -> bytes:
        tree = LexborHTMLParser(html)
        for node in tree.css("a[href], area[href]"):
            if leads_to_http(node.attributes["href"] or ""):
                node.attrs["href"] = link
        place = tree.body or tree.css("html")[0]
        place.insert_child(LexborHTMLParser(pixel).css("img")[0])
        text: str = tree.html or ""
        return text.encode("utf-8")

    return rewrite
