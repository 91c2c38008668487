"""pytracking 0.2.2 as its README shows, with encryption: lxml parses, Fernet seals each link."""

from collections.abc import Callable, Mapping

from cryptography.fernet import Fernet
from pytracking import Configuration
from pytracking.html import adapt_html


def rewriting(html: bytes, metadata: Mapping[str, str], base_url: str) -> Callable[[], str]:
    """Give a call that rewrites `html` with the same metadata in each sealed link."""
    configuration = Configuration(
        base_open_tracking_url=base_url,
        base_click_tracking_url=base_url,
        encryption_bytestring_key=Fernet.generate_key(),
    )
    carried = dict(metadata)

    def rewrite() -> str:
        rewritten: str = adapt_html(html, carried, configuration=configuration)
        return rewritten

    return rewrite
