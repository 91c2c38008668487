"""Renders the copies that were decided. A message that can't be rewritten is sent as it was."""

import secrets
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from msys_track.dispatch.decide import Decision
from msys_track.dispatch.message import Message
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

# Many copies have the same few.
_make_urls: Final = lru_cache(maxsize=1024)(TrackedUrls)


class Copy(NamedTuple):
    """One rendered message, the readers of exactly these bytes, and what was done to make it.

    A named tuple, because there is one for every copy. Its lists are made on access.
    """

    readers: tuple[Reader, ...]
    message: bytes
    message_id: str | None = None
    """20 hexadecimal digits, in every event of this copy; None if nothing is tracked."""
    wrapped_links: int = 0
    pixels: int = 0
    resolved: Resolved | None = None
    """Its options; None if it is bypassed."""
    header: ApiHeader | None = None
    """The message's X-MSYS-API."""
    plan: Plan | None = None
    """The plan that it was made from; None if only the header was changed."""
    rendered: Rendered | None = None
    header_edits: Sequence[tuple[int, int, bytes]] = ()
    untracked: Reason | None = None
    """Why there is no plan."""

    @property
    def recipients(self) -> tuple[str, ...]:
        """The addresses of its readers."""
        return tuple(reader.address for reader in self.readers)

    @property
    def edits(self) -> Sequence[tuple[int, int, bytes]]:
        """Offset and length in the message as received, and the new bytes there."""
        return self.header_edits if self.rendered is None else self.rendered.edits

    @property
    def left_alone(self) -> Sequence[tuple[int, int, Reason]]:
        """Offset, length and reason of each link, part or message that stayed as it was."""
        if self.untracked is not None:
            removed = sum(length - len(text) for _, length, text in self.header_edits)
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
        rendered, header = self.rendered, self.header
        found = {
            "ignored_key": header is not None and bool(header.ignored_keys),
            "dropped_tags": header is not None and bool(header.dropped_tags),
            "truncated_metadata": self.resolved.metadata_before_cut is not None,
            "left_out_metadata": rendered is not None
            and bool(rendered.links_without_metadata or rendered.pixels_without_metadata),
            "ignored_variable": bool(self.resolved.ignored_variables),
        }
        return tuple(notice for notice, is_there in found.items() if is_there)


def render_copies(decision: Decision, keys: KeyRing, *, now: int) -> tuple[Copy, ...]:
    """Make every copy that was decided; `now` is the injection time in Unix seconds."""
    opened = decision.opened
    return tuple(
        Copy(readers, decision.message, untracked=Reason.BYPASSED)
        if opened is None or resolved is None
        else render_copy(opened, readers, resolved, keys, now=now, blind=blind)
        for readers, resolved, blind in decision.copies
    )


def render_copy(  # noqa: PLR0913 - all that a copy depends on
    message: Message,
    readers: tuple[Reader, ...],
    resolved: Resolved,
    keys: KeyRing,
    *,
    now: int,
    blind: Mailbox | None = None,
) -> Copy:
    """Make one copy.

    Args:
        message: the message, opened.
        readers: who gets it; opens and clicks count for the first.
        resolved: its options.
        keys: seals its links.
        now: the injection time in Unix seconds.
        blind: whose blind copy it is, if it is one.
    """
    inserted = message.insert_readers(blind)
    if not resolved.is_tracked:
        return _leave_untracked(message, readers, resolved, Reason.TRACKING_OFF, inserted)
    plan = message.find_plan(resolved)
    if plan is None:
        return _leave_untracked(message, readers, resolved, Reason.CORE_FAILURE, inserted)
    message_id = secrets.token_hex(10)
    engagement = Engagement(
        message_id=message_id,
        transmission_id=message.transmission_id,
        recipient=readers[0].address,
        recipient_type=readers[0].type,
        injected_at=now,
        expires_at=now + resolved.tracking_link_expiry_seconds.value,
        campaign_id=resolved.campaign_id.value,
        metadata=resolved.metadata.value,
        tags=resolved.tags.value,
        customer_id=resolved.customer_id.value,
        open_tracking=resolved.open_tracking.value,
        click_tracking=resolved.click_tracking.value,
        initial_pixel=resolved.open_tracking.value and resolved.initial_open.value,
        transactional=resolved.transactional.value,
    )
    urls = _make_urls(
        domain=resolved.tracking_domain.value,
        click_scheme=resolved.click_tracking_scheme.value,
        open_scheme=resolved.open_tracking_scheme.value,
        click_metadata=resolved.click_tracking_include_metadata.value,
        allow_downgrade=resolved.allow_downgrade.value,
    )
    try:
        rendered = plan.render(keys, engagement, urls, inserted)
        written = rendered.message
    except RewriteError:
        log.exception("message.rewrite_failed", step="render")
        return _leave_untracked(message, readers, resolved, Reason.CORE_FAILURE, inserted)
    return Copy(
        readers,
        written,
        message_id,
        rendered.wrapped_links,
        rendered.pixels,
        resolved,
        message.header,
        plan,
        rendered,
    )


def _leave_untracked(
    message: Message,
    readers: tuple[Reader, ...],
    resolved: Resolved,
    reason: Reason,
    inserted: Sequence[tuple[int, bytes]],
) -> Copy:
    edits = message.edit_header(resolved, inserted)
    kept, copied = [], 0
    for offset, length, text in edits:
        kept += [message.message[copied:offset], text]
        copied = offset + length
    return Copy(
        readers,
        b"".join([*kept, message.message[copied:]]) if edits else message.message,
        resolved=resolved,
        header=message.header,
        header_edits=edits,
        untracked=reason,
    )
