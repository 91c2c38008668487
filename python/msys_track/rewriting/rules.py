"""What of a message may be touched: the same for all messages of one configuration."""

from typing import Literal, NamedTuple


class Rules(NamedTuple):
    """What may be touched, and how.

    A named tuple, because every message looks up its plan by it, and a tuple is hashed four times
    as fast as a dataclass.
    """

    signed_mail: Literal["skip", "strip", "track"] = "skip"
    """What becomes of a message that is signed on entry."""
    outlook_links: bool = True
    """Whether links that only Outlook shows are wrapped."""
    text_links: bool = True
    """Whether links in text/plain are wrapped."""
    keep_link_attributes: bool = False
    """Whether `data-msys-*` attributes stay in a copy whose clicks are tracked."""
    never_wrap: tuple[str, ...] = ()
    """Patterns of targets that stay; `*` stands for any characters."""
    fold_long_lines: bool = True
    """Whether a line may be broken before an `href` that would make it too long."""
    foreign_opt_outs: bool = False
    """Whether other products' attributes keep a link from being wrapped."""
    spare_url_text: bool = False
    """Whether a link stays whose visible text is a URL."""
    strip_text_options: bool = False
    """Whether `[[data-msys-…]]` goes also from copies that are not tracked."""
    pixel_placeholder: str | None = None
    """What the open pixel replaces, if the HTML has it."""
