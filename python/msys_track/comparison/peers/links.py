"""What every peer is asked to write into a mail."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Links:
    """The tracked URLs of one copy.

    Peers that seal their links make URLs below `base_url` themselves, with `metadata` in each.
    The others write `click_url` in place of each link, so that they write as much as one that
    seals.
    """

    click_url: bytes
    """Begins with `base_url`; it needs no escape in HTML."""
    pixel: bytes
    """One `img` tag whose `src` begins with `base_url`."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    base_url: str = "https://click.example.com/"

    def is_tracked(self, url: str) -> bool:
        """Tell whether a URL is one of those that are written."""
        return url.startswith(self.base_url)


Start: TypeAlias = Callable[[bytes, Links], Callable[[], bytes]]
"""From HTML in UTF-8 to a call that rewrites it, each time from the start, and gives UTF-8."""
