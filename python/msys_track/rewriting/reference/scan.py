"""What of an HTML document a rewriter may touch: links, their attributes, places for pixels."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

Where: TypeAlias = Literal["html", "outlook"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundLink:
    """A link. Offsets are bytes into the decoded part."""

    start: int
    end: int
    """From `start` to here stands the value of `href`, without its quotes."""
    fold: int | None
    """Where the line may be broken: the white-space byte right before the attribute's name."""
    raw: bytes
    """The value as it stands: charset and character references are still to be decoded."""
    attributes: Mapping[str, bytes]
    """The raw values of the tag by their names in lower case; of duplicates the first."""
    where: Where
    url_text: bool
    """Whether its visible text is itself a URL; False where that was not asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundHtml:
    """What one document or fragment holds, in its order."""

    links: tuple[FoundLink, ...]
    attributes: tuple[tuple[int, int, Where], ...]
    """Start and end of each `data-msys-*` attribute, with the white space before it."""
    pixel: int | None
    """Where the open pixel goes."""
    initial_pixel: int | None
    """Behind the first `<body>` tag."""


def scan_html(html: bytes, *, decode: Callable[[bytes], str], url_text: bool = False) -> FoundHtml:
    """Find the links of a document or fragment, and the places of its pixels.

    Args:
        html: the part after transfer decoding, in a charset that agrees with ASCII.
        decode: the part's charset: bytes to text.
        url_text: whether to look at the visible text of links.
    """
    raise NotImplementedError(html, decode, url_text)
