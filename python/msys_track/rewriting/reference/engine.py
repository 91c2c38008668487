"""The reference engine: the core's answers from code that shares nothing with it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from msys_track.errors import RewriteError
from msys_track.keys.plain.ring import import_cipher
from msys_track.keys.ring import Engagement, KeyRing, TrackedUrls
from msys_track.rewriting.engine import HeaderField
from msys_track.rewriting.reference.header import read_section, skip_prelude
from msys_track.rewriting.reference.plan import LeftAlone, Link, Part, PlannedMessage
from msys_track.rewriting.reference.planning import plan_message
from msys_track.rewriting.reference.rendering import Rendered, render
from msys_track.rewriting.reference.revising import revise_links
from msys_track.rewriting.rules import Rules


class ReferenceEngine:
    """The engine in pure Python; see `msys_track.rewriting.engine.Engine`.

    Raises:
        SettingsError: the package cryptography is missing.
    """

    __slots__ = ()

    def __init__(self) -> None:
        import_cipher()

    def plan(
        self, message: bytes, rules: Rules, /, *, drop_headers: Sequence[bytes] = ()
    ) -> "Plan":
        """Scan a message once.

        Raises:
            RewriteError: a defect of the engine.
            ValueError: a pattern of `never_wrap` is empty, or a rule has no such value.
        """
        if "" in rules.never_wrap:
            raise ValueError("a pattern is empty; `*` fits every target")
        if rules.signed_mail not in ("skip", "strip", "track"):
            raise ValueError(f'"{rules.signed_mail}" is none of skip, strip, track')
        with _report_defects("planning"):
            return Plan(plan_message(message, rules, drop_headers))

    def header_fields(self, message: bytes, name: bytes, /) -> list[HeaderField]:
        """List the top-level header fields of that name."""
        section = read_section(message, skip_prelude(message), len(message))
        return [
            ([(start, end - start) for start, end in field.lines], field.value)
            for field in section.fields
            if field.name == name.lower()
        ]


@dataclass(frozen=True, slots=True)
class Plan:
    """A message and its edits; see `msys_track.rewriting.engine.Plan`."""

    _planned: PlannedMessage

    @property
    def links(self) -> tuple[Link, ...]:
        """The links that copies may wrap."""
        return self._planned.links

    @property
    def left_alone(self) -> tuple[LeftAlone, ...]:
        """Everything that no copy changes."""
        return self._planned.left_alone

    @property
    def parts(self) -> tuple[Part, ...]:
        """The message's parts."""
        return self._planned.parts

    @property
    def pixel_offsets(self) -> tuple[int, ...]:
        """The place of each part's pixel."""
        return self._planned.pixel_offsets

    @property
    def initial_pixel_offsets(self) -> tuple[int, ...]:
        """The place of each part's pixel at the top."""
        return self._planned.initial_pixel_offsets

    @property
    def has_amp(self) -> bool:
        """Whether an AMP part was read."""
        return self._planned.has_amp

    def render(
        self,
        keys: KeyRing,
        engagement: Engagement,
        urls: TrackedUrls,
        insertions: Sequence[tuple[int, bytes]] = (),
        /,
    ) -> Rendered:
        """Make the copy for one recipient.

        Raises:
            RewriteError: a defect of the engine.
            ValueError: an insertion is behind the header section or inside lines that go.
        """
        with _report_defects("rendering"):
            return render(self._planned, keys.plain, engagement, urls, insertions)

    def render_all(
        self,
        keys: KeyRing,
        engagements: Sequence[Engagement],
        urls: TrackedUrls,
        insertions: Sequence[tuple[int, bytes]] = (),
        /,
    ) -> list[Rendered]:
        """Make a copy for each engagement.

        Raises:
            RewriteError: a defect of the engine.
            ValueError: an insertion is behind the header section or inside lines that go.
        """
        return [self.render(keys, each, urls, insertions) for each in engagements]

    def revise(self, changes: Mapping[int, tuple[str, str | None] | None], /) -> "Plan":
        """Make the plan of the same message with other links.

        Raises:
            RewriteError: a defect of the engine.
            ValueError: there is no such link, or a target is not an http or https URL with a host.
        """
        with _report_defects("planning"):
            return Plan(revise_links(self._planned, changes))


@contextmanager
def _report_defects(step: str) -> Iterator[None]:
    """Make a defect of ours an error that callers send the original for."""
    try:
        yield
    except Exception as error:
        if type(error) is ValueError:  # a caller's; its kinds, such as UnicodeError, are ours
            raise
        raise RewriteError(f"{step} failed: {error!r}") from error
