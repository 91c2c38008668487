"""The interface between mail and the code that changes its bytes.

There are two engines: the compiled core (`msys_track.rewriting.native`), and one in pure Python
(`msys_track.rewriting.reference`). What an engine returns is described here and nowhere else; the
core's own classes fit it, and so do the frozen dataclasses of the other.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, TypeAlias

from msys_track.keys.ring import Engagement, KeyRing, TrackedUrls
from msys_track.rewriting.rules import Rules

__all__ = ["Engine", "HeaderField", "LeftAlone", "Link", "Part", "Plan", "Rendered"]

HeaderField: TypeAlias = tuple[Sequence[tuple[int, int]], bytes]
"""Offset and length of each run of its lines in the message, and its value, still folded."""


class _Span(Protocol):
    @property
    def offset(self) -> int:
        """Bytes into the message; in a base64 part those of the part's body."""

    @property
    def length(self) -> int:
        """Bytes of the message."""


class Link(_Span, Protocol):
    """A link that copies may wrap: the value of its `href`, or the URL in a text."""

    @property
    def target(self) -> str:
        """Where it leads, decoded."""

    @property
    def name(self) -> str | None:
        """`data-msys-linkname`."""

    @property
    def kind(self) -> Literal["click", "amp_click", "link_unsubscribe"]:
        """The kind of event that following it makes."""

    @property
    def sublink(self) -> str | None:
        """`data-msys-sublink`."""

    @property
    def where(self) -> Literal["html", "outlook", "text", "amp"]:
        """The kind of markup or text that it is in."""


class LeftAlone(_Span, Protocol):
    """A link, a part or a message that stays as it is."""

    @property
    def reason(self) -> str:
        """The code of a `Reason`."""

    @property
    def target(self) -> str | None:
        """Where it leads, if it is a link."""


class Part(_Span, Protocol):
    """The body of a part that holds no other, or that was not entered."""

    @property
    def media_type(self) -> str:
        """Such as `text/html`, in lower case."""

    @property
    def charset(self) -> str | None:
        """As the part names it."""

    @property
    def transfer_encoding(self) -> str:
        """In lower case; `7bit` where the part names none."""

    @property
    def reason(self) -> str | None:
        """The code of the `Reason` why it is not changed."""


class Rendered(Protocol):
    """One recipient's copy."""

    @property
    def message(self) -> bytes:
        """The copy's bytes, written each time they are asked for: keep them.

        Raises:
            RewriteError: a defect of the engine; the caller sends the original.
        """

    @property
    def edits(self) -> Sequence[tuple[int, int, bytes]]:
        """Offset and length in the message as received, and the new bytes there."""

    @property
    def left_alone(self) -> Sequence[LeftAlone]:
        """What this copy lacks; what every copy lacks is in the plan."""

    @property
    def wrapped_links(self) -> int:
        """How many links were wrapped."""

    @property
    def pixels(self) -> int:
        """How many pixels were added."""

    @property
    def clips_html(self) -> bool:
        """Whether an HTML part has passed 102,400 bytes, of which Gmail shows no more."""

    @property
    def links_without_metadata(self) -> Sequence[int]:
        """The numbers in `Plan.links` of links whose URL had no room for the metadata."""

    @property
    def pixels_without_metadata(self) -> Sequence[str]:
        """The same of pixels: `open`, `initial_open`, and both with `amp_` before it."""


class Plan(Protocol):
    """A message and its edits, found once."""

    @property
    def links(self) -> Sequence[Link]:
        """The links that copies may wrap, in the order of the message."""

    @property
    def left_alone(self) -> Sequence[LeftAlone]:
        """Everything that no copy changes, in the order of the message."""

    @property
    def parts(self) -> Sequence[Part]:
        """The message's parts, in its order."""

    @property
    def pixel_offsets(self) -> Sequence[int]:
        """Bytes into the message, in its order, one for each part that has a place for a pixel.

        These are HTML and AMP parts; HTML that is shown below other HTML has none.
        """

    @property
    def initial_pixel_offsets(self) -> Sequence[int]:
        """The same right after `<body>` tags."""

    @property
    def has_amp(self) -> bool:
        """Whether it has an AMP part that copies may change."""

    def revise(self, changes: Mapping[int, tuple[str, str | None] | None], /) -> "Plan":
        """Make the plan of the same message with other links.

        `changes` give a link of `links`, by its number from 0, another target and name, or None
        to veto it: then it is in `left_alone`, with the reason `vetoed`, and the links behind it
        move up. A name is cut to 63 bytes, as one from `data-msys-linkname`.

        Raises:
            RewriteError: a defect of the engine; the caller sends the original.
            ValueError: there is no such link, or a target is not an http or https URL with a host.
        """

    def render(
        self,
        keys: KeyRing,
        engagement: Engagement,
        urls: TrackedUrls,
        insertions: Sequence[tuple[int, bytes]] = (),
        /,
    ) -> Rendered:
        """Make the copy for one recipient; `engagement` says what is tracked.

        `insertions` are header lines that this copy alone has, each with the offset in the
        message where it goes: up to the end of the header section.

        Raises:
            RewriteError: a defect of the engine; the caller sends the original.
            ValueError: an insertion is behind the header section or inside lines that go.
        """

    def render_all(
        self,
        keys: KeyRing,
        engagements: Sequence[Engagement],
        urls: TrackedUrls,
        insertions: Sequence[tuple[int, bytes]] = (),
        /,
    ) -> Sequence[Rendered]:
        """Make a copy for each engagement, in one step; all of them have the same insertions.

        A copy's bytes are written when they are asked for, so that many copies need no more
        memory than what they have of their own.

        Raises:
            RewriteError: a defect of the engine; the caller sends the original.
            ValueError: an insertion is behind the header section or inside lines that go.
        """


class Engine(Protocol):
    """Finds what can be tracked in a message."""

    def plan(self, message: bytes, rules: Rules, /, *, drop_headers: Sequence[bytes] = ()) -> Plan:
        """Scan a message once; `rules` say what may be touched.

        Header fields named in `drop_headers` go from every copy.

        Raises:
            RewriteError: a defect of the engine; the caller sends the original.
            ValueError: a pattern of `never_wrap` is empty, or a rule has no such value.
        """

    def header_fields(self, message: bytes, name: bytes, /) -> Sequence[HeaderField]:
        """List the top-level header fields of that name.

        A continuation line belongs to the last field before it; where lines that are not a field
        stand between, the field's lines have several offsets.
        """
