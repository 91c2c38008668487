"""BeautifulSoup over Python's own `html.parser`, its default that needs nothing else.

It seals nothing: each link becomes the same constant URL.
"""

from collections.abc import Callable

from bs4 import BeautifulSoup, Tag

from msys_track.comparison.peers.links import Links
from msys_track.comparison.peers.target import leads_to_http


def rewriting(html: bytes, links: Links) -> Callable[[], bytes]:
    """Give a call that sets each `http` and `https` link of `html`, and appends the pixel."""
    link = links.click_url.decode("ascii")
    pixel = links.pixel.decode("ascii")

    def rewrite() -> bytes:
        soup = BeautifulSoup(html, "html.parser", from_encoding="utf-8")
        for tag in soup.find_all(["a", "area"], href=True):
            if leads_to_http(str(tag["href"])):
                tag["href"] = link
        place: Tag = soup.body or soup
        place.append(BeautifulSoup(pixel, "html.parser"))
        # Without an encoding to come, it leaves the charset that a `meta` names as it is.
        text = soup.decode(eventual_encoding=None)  # type: ignore[arg-type]
        return text.encode("utf-8")

    return rewrite
