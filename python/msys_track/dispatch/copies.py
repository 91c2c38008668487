"""Renders the copies that were decided. A message that can't be rewritten is sent as it was."""

import secrets
from collections.abc import Sequence
from functools import lru_cache
from itertools import groupby
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
            "clipped_html": rendered is not None and rendered.clips_html,
            "ignored_variable": bool(self.resolved.ignored_variables),
        }
        return tuple(notice for notice, is_there in found.items() if is_there)


def render_copies(decision: Decision, keys: KeyRing, *, now: int) -> tuple[Copy, ...]:
    """Make every copy that was decided; `now` is the injection time in Unix seconds."""
    copies: list[Copy] = []
    opened = decision.opened
    # Neighbours with the same options are rendered in one step.
    for (resolved, blind), alike in groupby(decision.copies, lambda each: each[1:]):
        readers = [each.readers for each in alike]
        if opened is None or resolved is None:
            untracked = Reason.BYPASSED
            copies += [Copy(each, decision.message, untracked=untracked) for each in readers]
        else:
            copies += render_alike(opened, readers, resolved, keys, now=now, blind=blind)
    return tuple(copies)


def render_alike(  # noqa: PLR0913 - all that copies depend on
    message: Message,
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
    inserted = message.insert_readers(blind)
    if not resolved.is_tracked:
        reason = Reason.TRACKING_OFF
        return [_leave_untracked(message, each, resolved, reason, inserted) for each in readers]
    urls = _make_urls(
        domain=resolved.tracking_domain.value,
        click_scheme=resolved.click_tracking_scheme.value,
        open_scheme=resolved.open_tracking_scheme.value,
        click_metadata=resolved.click_tracking_include_metadata.value,
        allow_downgrade=resolved.allow_downgrade.value,
    )
    plan = message.find_plan(resolved)
    has_amp = plan is not None and plan.has_amp and _tracks_amp(resolved)
    engagements = [
        _make_engagement(message, each[0], resolved, now, has_amp=has_amp) for each in readers
    ]
    if plan is not None:
        try:
            all_rendered = plan.render_all(keys, engagements, urls, inserted)
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
                for own, engagement, rendered in zip(
                    readers, engagements, all_rendered, strict=True
                )
            ]
        except RewriteError:
            log.exception("message.rewrite_failed", step="render")
    reason = Reason.CORE_FAILURE
    return [_leave_untracked(message, each, resolved, reason, inserted) for each in readers]


def _make_engagement(
    message: Message, reader: Reader, resolved: Resolved, now: int, *, has_amp: bool
) -> Engagement:
    return Engagement(
        message_id=secrets.token_hex(10),
        transmission_id=message.transmission_id,
        recipient=reader.address,
        recipient_type=reader.type,
        injected_at=now,
        expires_at=now + resolved.tracking_link_expiry_seconds.value,
        campaign_id=resolved.campaign_id.value,
        metadata=resolved.metadata.value,
        tags=resolved.tags.value,
        customer_id=resolved.customer_id.value,
        subaccount_id=resolved.subaccount_id.value,
        open_tracking=resolved.open_tracking.value,
        click_tracking=resolved.click_tracking.value,
        initial_pixel=resolved.open_tracking.value and resolved.initial_open.value,
        amp_enabled=has_amp,
        transactional=resolved.transactional.value,
    )


def _tracks_amp(resolved: Resolved) -> bool:
    """Tell whether the URLs of AMP parts are tracked; AMP allows `https` only."""
    clicks = resolved.click_tracking.value and resolved.click_tracking_scheme.value != "http"
    opens = resolved.open_tracking.value and resolved.open_tracking_scheme.value == "https"
    return clicks or opens


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
