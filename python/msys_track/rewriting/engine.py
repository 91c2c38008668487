"""The seam between mail and the code that changes its bytes.

Whoever rewrites can be swapped: the compiled core, or a slow second opinion in tests.
"""

from collections.abc import Sequence
from typing import Literal, Protocol

from msys_track.keys.ring import Engagement, KeyRing, TrackedUrls
from msys_track.rewriting.native import Rules

__all__ = ["Engine", "LeftAlone", "Link", "Part", "Plan", "Rendered", "Rules"]


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

    @property
    def kind(self) -> Literal["click", "link_unsubscribe"]:
        """What following the link means."""

    @property
    def sublink(self) -> str | None:
        """`data-msys-sublink`: what the tracked URL's path has in place of `a`."""

    @property
    def where(self) -> Literal["html", "outlook", "text"]:
        """In markup, in markup that Outlook alone shows, or in plain text."""


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

    @property
    def target(self) -> str | None:
        """Where the link leads, decoded; None for what is no link."""


class Part(Protocol):
    """A part that holds no other, or one that was not entered."""

    @property
    def offset(self) -> int:
        """Where its body starts, in bytes into the message."""

    @property
    def length(self) -> int:
        """Bytes of the body as they stand in the message."""

    @property
    def media_type(self) -> str:
        """Type and subtype in lower case."""

    @property
    def charset(self) -> str | None:
        """The charset as the part names it."""

    @property
    def transfer_encoding(self) -> str:
        """Lower case; `7bit` where none is named."""

    @property
    def role(self) -> Literal["html", "text"] | None:
        """The message's text in one of its forms; None for what is never rewritten."""

    @property
    def reason(self) -> str | None:
        """A code of `msys_track.reasons.Reason`; None if the part may be rewritten."""


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

    @property
    def links_without_metadata(self) -> Sequence[int]:
        """Indices of the plan's links that found room only without their metadata."""

    @property
    def pixels_without_metadata(self) -> Sequence[str]:
        """Those of `open` and `initial_open` that found room only without metadata."""


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
        message where it goes: up to `Engine.header_end`.

        Raises:
            RewriteFailed: a defect of the engine; the caller sends the original.
            ValueError: an insertion is behind the header section or inside lines that go.
        """


class Engine(Protocol):
    """Finds what can be tracked in a message."""

    def plan(self, message: bytes, rules: Rules, *, drop_headers: Sequence[bytes] = ()) -> Plan:
        """Scan a message once; `rules` say what may be touched.

        Header fields named in `drop_headers` go from every copy.

        Raises:
            RewriteFailed: a defect of the engine; the caller sends the original.
        """

    def header_fields(
        self, message: bytes, name: bytes
    ) -> Sequence[tuple[Sequence[tuple[int, int]], bytes]]:
        """List the top-level header fields of that name.

        Each is offset and length of its lines in the message, and its value, still folded. A
        continuation line belongs to the last field before it; where lines that are no field stand
        between, the field's lines have several offsets.
        """

    def header_end(self, message: bytes) -> int:
        """Tell where new header lines go: the offset of the blank line, or the message's end."""
