"""Renders the copies that were decided. A message that can't be rewritten is sent as it was."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any, NamedTuple

from msys_track.dispatch.decide import Decision
from msys_track.dispatch.inputs import (
    make_engagement,
    make_recipe_reader,
    make_urls,
    makes_amp_urls,
)
from msys_track.dispatch.message import OpenedMessage
from msys_track.dispatch.prepared import list_notices
from msys_track.dispatch.recipients import Reader
from msys_track.errors import RewriteError
from msys_track.keys.ring import Engagement, KeyRing, TrackedUrls
from msys_track.logs import event_logger
from msys_track.options.resolve import Resolved
from msys_track.reasons import Reason
from msys_track.rewriting.engine import Plan, Rendered
from msys_track.smtpapi.header import ApiHeader
from msys_track.smtpapi.mailbox import Mailbox

log = event_logger(__name__)


class Copy(NamedTuple):
    """One rendered message, the readers of exactly these bytes, and what was done to make it.

    A named tuple, because there is one for every copy. Its lists are made on access.
    """

    readers: tuple[Reader, ...]
    message: bytes
    message_id: str | None = None
    """In every event of this copy; None if nothing is tracked and the copy does not name it."""
    wrapped_links: int = 0
    pixels: int = 0
    resolved: Resolved | None = None
    """Its options; None if it is bypassed."""
    header: ApiHeader | None = None
    """The message's X-MSYS-API."""
    plan: Plan | None = None
    """The plan that it was made from; None if nothing is tracked."""
    rendered: Rendered | None = None
    untracked_edits: Sequence[tuple[int, int, bytes]] = ()
    """What is changed where nothing is tracked: header lines, options in text."""
    untracked: Reason | None = None
    """Why nothing is tracked."""

    @property
    def recipients(self) -> tuple[str, ...]:
        """The addresses of its readers."""
        return tuple(reader.address for reader in self.readers)

    @property
    def edits(self) -> Sequence[tuple[int, int, bytes]]:
        """Offset and length in the message as received, and the new bytes there.

        With `unescape_curly_macros` the message is the one whose escapes were taken back.
        """
        return self.untracked_edits if self.rendered is None else self.rendered.edits

    @property
    def left_alone(self) -> Sequence[tuple[int, int, Reason]]:
        """Offset, length and reason of each link, part or message that stayed as it was."""
        if self.untracked is not None:
            removed = sum(length - len(text) for _, length, text in self.untracked_edits)
            return [(0, len(self.message) + removed, self.untracked)]
        if self.plan is None or self.rendered is None:
            return []
        left = [*self.plan.left_alone, *self.rendered.left_alone]
        return [(each.offset, each.length, Reason(each.reason)) for each in left]

    @property
    def reasons(self) -> tuple[str, ...]:
        """Distinct codes of the reasons why something was left alone."""
        return tuple(dict.fromkeys(reason.value for _, _, reason in self.left_alone))

    @property
    def notices(self) -> tuple[str, ...]:
        """Distinct codes of requests that could not be met, such as `ignored_key`."""
        if self.resolved is None:
            return ()
        rendered = self.rendered
        notices = list_notices(self.header, self.resolved)
        if rendered is None:
            return notices
        lacks_metadata = rendered.links_without_metadata or rendered.pixels_without_metadata
        return (
            *notices,
            *(("left_out_metadata",) if lacks_metadata else ()),
            *(("clipped_html",) if rendered.clips_html else ()),
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what `pickle` and `copy` rebuild it from.

        Raises:
            TypeError: it is tracked, and so holds its plan.
        """
        if self.plan is not None or self.rendered is not None:
            raise TypeError(
                "a Copy can't be pickled or copied: it holds its plan, from which its lists are "
                "made; pickle its `message`, and of the rest what is needed"
            )
        return Copy, tuple(self)


def render_copies(decision: Decision, keys: KeyRing, *, now: int) -> tuple[Copy, ...]:
    """Make every copy that was decided; `now` is the injection time in Unix seconds."""
    copies: list[Copy] = []
    # Neighbours with the same options are rendered in one step.
    for (resolved, source, blind, *_), alike in groupby(decision.copies, lambda each: each[1:]):
        readers = [each.readers for each in alike]
        if resolved is None:
            message = source.message
            copies += [Copy(each, message, untracked=Reason.BYPASSED) for each in readers]
        else:
            copies += render_alike(source.open(), readers, resolved, keys, now=now, blind=blind)
    return tuple(copies)


def render_alike(  # noqa: PLR0913 - all that copies depend on
    message: OpenedMessage,
    readers: Sequence[tuple[Reader, ...]],
    resolved: Resolved,
    keys: KeyRing,
    *,
    now: int,
    blind: Mailbox | None = None,
) -> list[Copy]:
    """Make the copies that have the same options.

    Args:
        message: the message, opened.
        readers: who gets each copy; its opens and clicks count for the first of them.
        resolved: the options.
        keys: seals the links.
        now: the injection time in Unix seconds.
        blind: whose blind copies they are, if they are.
    """
    ids = [message.choose_message_id(resolved) for _ in readers]
    inserted = [
        message.insert_fields(blind, resolved, each[0], message_id, now)
        for each, message_id in zip(readers, ids, strict=True)
    ]
    reason = Reason.TRACKING_OFF
    if resolved.is_tracked or resolved.strip_text_options.value:
        reason = Reason.CORE_FAILURE
        plan = message.find_plan(resolved)
        if plan is not None:
            try:
                return _render_planned(message, plan, readers, resolved, keys, ids, inserted, now)
            except RewriteError:
                log.exception("message.rewrite_failed", step="render")
    return [
        _leave_untracked(message, each, resolved, reason, lines, message_id)
        for each, lines, message_id in zip(readers, inserted, ids, strict=True)
    ]


def _render_planned(  # noqa: PLR0913, PLR0917 - all that copies depend on
    message: OpenedMessage,
    plan: Plan,
    readers: Sequence[tuple[Reader, ...]],
    resolved: Resolved,
    keys: KeyRing,
    ids: Sequence[str],
    inserted: Sequence[Sequence[tuple[int, bytes]]],
    now: int,
) -> list[Copy]:
    """Make copies of a plan; where nothing is tracked, only options in text are taken out.

    Raises:
        RewriteError: a defect of the engine.
    """
    has_amp = plan.has_amp and makes_amp_urls(resolved)
    engagements = [
        make_engagement(
            resolved,
            each[0],
            now=now,
            transmission_id=message.transmission_id,
            has_amp=has_amp,
            message_id=message_id,
        )
        for each, message_id in zip(readers, ids, strict=True)
    ]
    all_rendered = _render_all(plan, keys, engagements, make_urls(resolved), inserted)
    if not resolved.is_tracked:
        return [
            Copy(
                own,
                rendered.message,
                message_id if resolved.add_message_id.value else None,
                resolved=resolved,
                header=message.header,
                untracked_edits=rendered.edits,
                untracked=Reason.TRACKING_OFF,
            )
            for own, rendered, message_id in zip(readers, all_rendered, ids, strict=True)
        ]
    return [
        Copy(
            own,
            rendered.message,
            engagement.message_id,
            rendered.wrapped_links,
            rendered.pixels,
            resolved,
            message.header,
            plan,
            rendered,
        )
        for own, engagement, rendered in zip(readers, engagements, all_rendered, strict=True)
    ]


def render_message(
    message: OpenedMessage, reader: Reader, resolved: Resolved, *, now: int
) -> bytes:
    """Make one reader's copy; it has the bytes that `render_alike` gives it.

    Args:
        message: the message, opened.
        reader: whose copy it is.
        resolved: the options.
        now: the injection time in Unix seconds.
    """
    message_id = message.choose_message_id(resolved)
    inserted = message.insert_fields(None, resolved, reader, message_id, now)
    own = make_recipe_reader(resolved, reader, now, message_id, message.transmission_id)
    try:
        return message.find_recipe(resolved).rewrite_message(message.message, own, inserted)
    except RewriteError:
        log.exception("message.rewrite_failed", step="render")
    return message.apply_edits(message.edit_header(resolved, inserted))


def _render_all(
    plan: Plan,
    keys: KeyRing,
    engagements: Sequence[Engagement],
    urls: TrackedUrls,
    inserted: Sequence[Sequence[tuple[int, bytes]]],
) -> Sequence[Rendered]:
    """Render each copy; all at once where all have the same lines inserted."""
    if all(lines == inserted[0] for lines in inserted):
        return plan.render_all(keys, engagements, urls, inserted[0])
    return [
        plan.render(keys, engagement, urls, lines)
        for engagement, lines in zip(engagements, inserted, strict=True)
    ]


def _leave_untracked(  # noqa: PLR0913, PLR0917 - all that it depends on
    message: OpenedMessage,
    readers: tuple[Reader, ...],
    resolved: Resolved,
    reason: Reason,
    inserted: Sequence[tuple[int, bytes]],
    message_id: str,
) -> Copy:
    edits = message.edit_header(resolved, inserted)
    return Copy(
        readers,
        message.apply_edits(edits),
        message_id if resolved.add_message_id.value else None,
        resolved=resolved,
        header=message.header,
        untracked_edits=edits,
        untracked=reason,
    )
