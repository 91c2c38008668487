"""A mail of the tour: what goes in, and what must come out of it.

The expectation stands beside the mail and was written by hand, so that nothing the product does
can change it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any, Final

from msys_track.reasons import Reason
from msys_track.testing.mail_reader import Place
from msys_track.testing.sender import wire_form

# Where links are wrapped. Links in the other places are left alone.
WRAPPED_PLACES: Final = frozenset({Place.HTML, Place.OUTLOOK})


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedLink:
    """A link of a mail, as its reader's mail program has it before tracking."""

    href: str
    place: Place = Place.HTML
    name: str = "Raw URL"
    """What its clicks are called in events: `data-msys-linkname`, or SparkPost's word for none."""
    left_alone: Reason | None = None

    @property
    def is_wrapped(self) -> bool:
        """Whether it must lead to the tracker."""
        return self.left_alone is None and self.place in WRAPPED_PLACES


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """One mail of the tour and all that must become of it."""

    file: str
    """Its name in the folder `mails`."""
    title: str
    shape: str
    sender: str
    recipients: tuple[str, ...]
    links: tuple[ExpectedLink, ...]
    """Every link, in the order they stand."""
    is_opened: bool = True
    """Whether it must get a pixel."""
    reasons: frozenset[Reason] = frozenset()
    """All that must be told about what was left alone."""
    campaign_id: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    tags: tuple[str, ...] = ()

    @property
    def wrapped(self) -> tuple[ExpectedLink, ...]:
        """The links that must lead to the tracker."""
        return tuple(link for link in self.links if link.is_wrapped)

    @property
    def is_tracked(self) -> bool:
        """Whether anything of it must be changed."""
        return self.is_opened or bool(self.wrapped)

    def message(self) -> bytes:
        """Read the mail, in wire form."""
        file = resources.files("msys_track.demo") / "mails" / self.file
        return wire_form(file.read_bytes()).message
