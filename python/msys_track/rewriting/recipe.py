"""Recipes: all that decides about the copies of a message but who reads them.

A server makes one for thousands of messages with the same options. What it gives are the bytes of
SMTP's DATA with what was done to make them, for the log, or the message alone; who wants details
makes a plan.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol, TypeAlias

from msys_track.keys.ring import Engagement, KeyRing, TrackedUrls
from msys_track.reasons import Reason, pack_reasons
from msys_track.rewriting.engine import Engine, Plan, Rendered
from msys_track.rewriting.rules import Rules
from msys_track.smtp.data import stuff

__all__ = ["PlainRecipe", "Reader", "Recipe", "RecipeEngine", "WireCopy"]

Reader: TypeAlias = tuple[str, Literal["to", "cc", "bcc", "archive"], int, str, int]
"""Address, type, injection time in Unix seconds, the copy's own id, and the id of all copies."""


class WireCopy(Protocol):
    """One copy as SMTP carries it."""

    @property
    def wire(self) -> bytes:
        """Its bytes, dots stuffed, with the line that ends the data."""

    @property
    def size(self) -> int:
        """How many bytes it has without stuffed dots and the end line."""

    @property
    def is_seven_bit(self) -> bool:
        """Whether it is ASCII."""

    @property
    def is_tracked(self) -> bool:
        """Whether opens or clicks are tracked."""

    @property
    def wrapped_links(self) -> int:
        """How many links were wrapped."""

    @property
    def pixels(self) -> int:
        """How many pixels were added."""

    @property
    def reasons(self) -> int:
        """Why something was left alone, as `list_reasons` reads it."""

    @property
    def clips_html(self) -> bool:
        """Whether an HTML part has passed 102,400 bytes, of which Gmail shows no more."""

    @property
    def lacks_metadata(self) -> bool:
        """Whether a URL had no room for the metadata."""


class Recipe(Protocol):
    """How copies are made."""

    def rewrite(
        self, message: bytes, reader: Reader, insertions: Sequence[tuple[int, bytes]] = (), /
    ) -> WireCopy:
        """Make the copy of a message for its only reader; `Plan.render` describes `insertions`.

        Raises:
            RewriteError: a defect of the engine; the caller sends the original.
            ValueError: an insertion is behind the header section or inside lines that go.
        """

    def rewrite_message(
        self, message: bytes, reader: Reader, insertions: Sequence[tuple[int, bytes]] = (), /
    ) -> bytes:
        """Make the copy as `rewrite` does, and return it as a message.

        Raises:
            RewriteError: a defect of the engine; the caller takes the original.
            ValueError: an insertion is behind the header section or inside lines that go.
        """

    def render(
        self, plan: Plan, reader: Reader, insertions: Sequence[tuple[int, bytes]] = (), /
    ) -> WireCopy:
        """Make one reader's copy of a message that was planned by the same rules.

        Raises:
            RewriteError: a defect of the engine; the caller sends the original.
            ValueError: an insertion is behind the header section or inside lines that go.
        """


class RecipeEngine(Engine, Protocol):
    """An engine that has recipes of its own."""

    def make_recipe(  # noqa: PLR0913 - all that copies depend on
        self,
        keys: KeyRing,
        engagement: Engagement,
        urls: TrackedUrls,
        rules: Rules,
        /,
        *,
        drop_headers: Sequence[bytes],
        tracks_amp: bool,
        max_growth_bytes: int,
    ) -> Recipe:
        """Make a recipe.

        Args:
            keys: seals the links.
            engagement: what all links say; nothing is used of the reader, the ids and the time,
                and the copy's links live as long as its own.
            urls: where links lead.
            rules: what may be touched.
            drop_headers: names of header fields that go from every copy.
            tracks_amp: whether the URLs of AMP parts are tracked.
            max_growth_bytes: how many bytes longer than its message a tracked copy may be; a
                message that would grow more goes on without tracking.
        """


class _PlainCopy(NamedTuple):
    message: bytes
    size: int
    is_seven_bit: bool
    is_tracked: bool
    wrapped_links: int
    pixels: int
    reasons: int
    clips_html: bool
    lacks_metadata: bool

    @property
    def wire(self) -> bytes:
        return stuff(self.message)


class PlainRecipe:
    """A recipe for any engine, by the methods that each engine has; see `Recipe`."""

    __slots__ = (
        "_drop_headers",
        "_engagement",
        "_engine",
        "_keys",
        "_max_growth_bytes",
        "_rules",
        "_tracks_amp",
        "_urls",
    )

    def __init__(  # noqa: PLR0913 - all that copies depend on
        self,
        engine: Engine,
        keys: KeyRing,
        engagement: Engagement,
        urls: TrackedUrls,
        rules: Rules,
        /,
        *,
        drop_headers: Sequence[bytes],
        tracks_amp: bool,
        max_growth_bytes: int,
    ) -> None:
        self._engine = engine
        self._keys = keys
        self._engagement = engagement
        self._urls = urls
        self._rules = rules
        self._drop_headers = drop_headers
        self._tracks_amp = tracks_amp
        self._max_growth_bytes = max_growth_bytes

    def rewrite(
        self, message: bytes, reader: Reader, insertions: Sequence[tuple[int, bytes]] = (), /
    ) -> _PlainCopy:
        """Plan a message and make the copy for its only reader."""
        plan = self._engine.plan(message, self._rules, drop_headers=self._drop_headers)
        return self.render(plan, reader, insertions)

    def rewrite_message(
        self, message: bytes, reader: Reader, insertions: Sequence[tuple[int, bytes]] = (), /
    ) -> bytes:
        """Make the copy as `rewrite` does, and return it as a message."""
        return self.rewrite(message, reader, insertions).message

    def render(
        self, plan: Plan, reader: Reader, insertions: Sequence[tuple[int, bytes]] = (), /
    ) -> _PlainCopy:
        """Make one reader's copy of a message that was planned by the same rules."""
        engagement = self._engagement
        is_tracked = engagement.open_tracking or engagement.click_tracking
        copy = self._fill(plan, reader, insertions, is_tracked=is_tracked)
        message = copy.message
        reasons: list[str] = [each.reason for each in (*plan.left_alone, *copy.left_alone)]
        if not is_tracked:
            reasons = [Reason.TRACKING_OFF]
        elif len(message) > self._max_growth_bytes and self._grows_too_much(copy):
            is_tracked, reasons = False, [Reason.TOO_MUCH_GROWTH]
            message = self._fill(plan, reader, insertions, is_tracked=False).message
        return _PlainCopy(
            message,
            len(message),
            message.isascii(),
            is_tracked,
            copy.wrapped_links if is_tracked else 0,
            copy.pixels if is_tracked else 0,
            pack_reasons(reasons),
            is_tracked and copy.clips_html,
            is_tracked and bool(copy.links_without_metadata or copy.pixels_without_metadata),
        )

    def _fill(
        self,
        plan: Plan,
        reader: Reader,
        insertions: Sequence[tuple[int, bytes]],
        *,
        is_tracked: bool,
    ) -> Rendered:
        address, reader_type, now, message_id, transmission_id = reader
        common = self._engagement
        engagement = Engagement(
            message_id=message_id,
            transmission_id=transmission_id,
            recipient=address,
            recipient_type=reader_type,
            injected_at=now,
            expires_at=now + common.expires_at - common.injected_at,
            campaign_id=common.campaign_id,
            metadata=common.metadata,
            tags=common.tags,
            customer_id=common.customer_id,
            subaccount_id=common.subaccount_id,
            open_tracking=is_tracked and common.open_tracking,
            click_tracking=is_tracked and common.click_tracking,
            initial_pixel=common.initial_pixel,
            amp_enabled=self._tracks_amp and plan.has_amp,
            transactional=common.transactional,
            privacy=common.privacy,
        )
        return plan.render(self._keys, engagement, self._urls, insertions)

    def _grows_too_much(self, copy: Rendered) -> bool:
        growth = sum(len(text) - length for _, length, text in copy.edits)
        return growth > self._max_growth_bytes
