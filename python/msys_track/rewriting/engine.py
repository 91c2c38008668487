"""The seam between mail and the code that changes its bytes.

Whoever rewrites can be swapped: the compiled core, or a slow second opinion in tests.
"""

from collections.abc import Sequence
from typing import Protocol

from msys_track.keys import Engagement, KeyRing, TrackedUrls


class Link(Protocol):
    """A link that copies may wrap."""

    @property
    def offset(self) -> int:
        """Bytes into the message; in a base64 part, where the part's body starts."""

    @property
    def length(self) -> int:
        """Bytes of the `href` as they stand in the message."""

    @property
    def target(self) -> str:
        """Where the link leads, decoded."""

    @property
    def name(self) -> str | None:
        """`data-msys-linkname`, cut to 63 bytes."""


class LeftAlone(Protocol):
    """A link, a part or a message that stays as it is."""

    @property
    def offset(self) -> int:
        """Bytes into the message."""

    @property
    def length(self) -> int:
        """Bytes."""

    @property
    def reason(self) -> str:
        """A code of `msys_track.reasons.Reason`."""


class Rendered(Protocol):
    """One recipient's copy."""

    @property
    def message(self) -> bytes:
        """The copy."""

    @property
    def edits(self) -> Sequence[tuple[int, int, bytes]]:
        """Offset and length in the message as received, and what stands there now."""

    @property
    def left_alone(self) -> Sequence[LeftAlone]:
        """What this copy could not have, beyond what the plan leaves alone."""

    @property
    def wrapped_links(self) -> int:
        """How many links were wrapped."""

    @property
    def pixels(self) -> int:
        """How many pixels were added."""


class Plan(Protocol):
    """A message and its edits, found once."""

    @property
    def links(self) -> Sequence[Link]:
        """The links that copies may wrap, in the order of the message."""

    @property
    def left_alone(self) -> Sequence[LeftAlone]:
        """What no copy changes."""

    @property
    def pixel_offset(self) -> int | None:
        """Bytes into the message; None where a pixel could not be seen."""

    def render(self, keys: KeyRing, engagement: Engagement, urls: TrackedUrls) -> Rendered:
        """Make the copy for one recipient; `engagement` says what is tracked.

        Raises:
            RewriteFailed: a defect of the engine; the caller sends the original.
        """


class Engine(Protocol):
    """Finds what can be tracked in a message."""

    def plan(self, message: bytes, *, drop_header: bytes | None = None) -> Plan:
        """Scan a message once; header fields of the name `drop_header` go from every copy.

        Raises:
            RewriteFailed: a defect of the engine; the caller sends the original.
        """

    def header_fields(self, message: bytes, name: bytes) -> Sequence[tuple[int, int, bytes]]:
        """List the top-level header fields of that name.

        Each is the offset and length of its lines in the message, and its value, still folded.
        """
