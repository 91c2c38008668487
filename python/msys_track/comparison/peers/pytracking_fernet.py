"""pytracking as its README shows, with encryption: lxml parses, Fernet seals each link."""

from collections.abc import Callable
from typing import Final

from cryptography.fernet import Fernet
from pytracking import Configuration, get_click_tracking_result, get_click_tracking_url_path
from pytracking.html import adapt_html

from msys_track.comparison.peers.links import Links

_KEY: Final = Fernet.generate_key()


def _configure(base_url: str) -> Configuration:
    return Configuration(
        base_open_tracking_url=base_url,
        base_click_tracking_url=base_url,
        encryption_bytestring_key=_KEY,
    )


def rewriting(html: bytes, links: Links) -> Callable[[], bytes]:
    """Give a call that rewrites `html` with the same metadata in each sealed link."""
    configuration = _configure(links.base_url)
    metadata = dict(links.metadata)
    # A text says its charset by itself, but lxml takes an XML declaration from bytes only.
    text = html if html.lstrip().startswith(b"<?xml") else html.decode("utf-8", "replace")

    def rewrite() -> bytes:
        rewritten: str = adapt_html(text, metadata, configuration=configuration)
        return rewritten.encode("utf-8")

    return rewrite


def find_target(url: str) -> str | None:
    """Open a URL that was sealed in this process."""
    configuration = _configure(url[: url.rfind("/") + 1])
    path = get_click_tracking_url_path(url, configuration)
    target: str | None = get_click_tracking_result(path, configuration=configuration).tracked_url
    return target
