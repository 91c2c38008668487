"""The seam between mail and the code that changes its bytes.

Whoever rewrites can be swapped: the compiled core, or a slow second opinion in tests.
"""

from collections.abc import Sequence
from typing import Protocol

from msys_track.keys.ring import Engagement, KeyRing, TrackedUrls
from msys_track.rewriting.native import LeftAlone, Link, Part, Rendered, Rules

__all__ = ["Engine", "LeftAlone", "Link", "Part", "Plan", "Rendered", "Rules"]


class Plan(Protocol):
    """A message and its edits, found once."""

    @property
    def links(self) -> Sequence[Link]:
        """The links that copies may wrap, in the order of the message."""

    @property
    def left_alone(self) -> Sequence[LeftAlone]:
        """What no copy changes, in the order of the message."""

    @property
    def parts(self) -> Sequence[Part]:
        """The message's parts, in its order."""

    @property
    def pixel_offset(self) -> int | None:
        """Bytes into the message; None where a pixel could not be seen."""

    @property
    def initial_pixel_offset(self) -> int | None:
        """Right after the `<body>` tag; None if there is none."""

    def render(
        self,
        keys: KeyRing,
        engagement: Engagement,
        urls: TrackedUrls,
        insertions: Sequence[tuple[int, bytes]] = (),
    ) -> Rendered:
        """Make the copy for one recipient; `engagement` says what is tracked.

        `insertions` are header lines that this copy alone has, each with the offset in the
        message where it goes: up to the end of the header section.

        Raises:
            RewriteError: a defect of the engine; the caller sends the original.
            ValueError: an insertion is behind the header section or inside lines that go.
        """


class Engine(Protocol):
    """Finds what can be tracked in a message."""

    def plan(self, message: bytes, rules: Rules, *, drop_headers: Sequence[bytes] = ()) -> Plan:
        """Scan a message once; `rules` say what may be touched.

        Header fields named in `drop_headers` go from every copy.

        Raises:
            RewriteError: a defect of the engine; the caller sends the original.
        """

    def header_fields(
        self, message: bytes, name: bytes
    ) -> Sequence[tuple[Sequence[tuple[int, int]], bytes]]:
        """List the top-level header fields of that name.

        Each is offset and length of its lines in the message, and its value, still folded. A
        continuation line belongs to the last field before it; where lines that are no field stand
        between, the field's lines have several offsets.
        """
