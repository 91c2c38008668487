"""The compiled engine: the only way from Python to the bytes of a message."""

from collections.abc import Sequence
from dataclasses import dataclass

from msys_track import _core
from msys_track._core import LeftAlone, Link, Part, Rendered, Rules
from msys_track.errors import RewriteError
from msys_track.keys.ring import Engagement, KeyRing, TrackedUrls

__all__ = ["LeftAlone", "Link", "NativeEngine", "NativePlan", "Part", "Rendered", "Rules"]


@dataclass(frozen=True, slots=True)
class NativePlan:
    """A plan that the core holds; see `msys_track.rewriting.engine.Plan`."""

    core: _core.Plan

    @property
    def links(self) -> Sequence[Link]:
        """The links that copies may wrap, in the order of the message."""
        return self.core.links

    @property
    def left_alone(self) -> Sequence[LeftAlone]:
        """What no copy changes, in the order of the message."""
        return self.core.left_alone

    @property
    def parts(self) -> Sequence[Part]:
        """The message's parts, in its order."""
        return self.core.parts

    @property
    def pixel_offset(self) -> int | None:
        """Bytes into the message; None where a pixel could not be seen."""
        return self.core.pixel_offset

    @property
    def initial_pixel_offset(self) -> int | None:
        """Right after the `<body>` tag; None if there is none."""
        return self.core.initial_pixel_offset

    def render(
        self,
        keys: KeyRing,
        engagement: Engagement,
        urls: TrackedUrls,
        insertions: Sequence[tuple[int, bytes]] = (),
    ) -> Rendered:
        """Make the copy for one recipient.

        Raises:
            RewriteError: the core panicked.
            ValueError: an insertion is behind the header section or inside lines that go.
        """
        try:
            return self.core.render(keys.core, engagement, urls, insertions)
        except _core.CoreError as error:
            raise RewriteError(f"rendering failed: {error}") from error


class NativeEngine:
    """The compiled core; see `msys_track.rewriting.engine.Engine`."""

    __slots__ = ()

    def plan(
        self, message: bytes, rules: Rules, *, drop_headers: Sequence[bytes] = ()
    ) -> NativePlan:
        """Scan a message once.

        Raises:
            RewriteError: the core panicked.
        """
        try:
            return NativePlan(_core.plan(message, rules, drop_headers=drop_headers))
        except _core.CoreError as error:
            raise RewriteError(f"planning failed: {error}") from error

    def header_fields(
        self, message: bytes, name: bytes
    ) -> Sequence[tuple[Sequence[tuple[int, int]], bytes]]:
        """List lines and folded value of the top-level header fields of that name."""
        return _core.header_fields(message, name)
