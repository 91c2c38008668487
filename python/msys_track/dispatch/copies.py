"""Copies: what was decided becomes bytes. What can't be rewritten is sent as it was."""

import secrets
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from msys_track.dispatch.decide import CopyDecision, Decision
from msys_track.dispatch.message import Message
from msys_track.dispatch.recipients import Reader
from msys_track.errors import RewriteFailed
from msys_track.keys.ring import Engagement, KeyRing, TrackedUrls
from msys_track.logs import event_logger
from msys_track.options.resolve import Resolved
from msys_track.reasons import Reason
from msys_track.rewriting.engine import Plan, Rendered

log = event_logger(__name__)


class Copy(NamedTuple):
    """One rendered message, who gets exactly these bytes, and what was done to make it.

    A named tuple, as there is one for every copy; its lists are made when they are asked for.
    """

    readers: tuple[Reader, ...]
    message: bytes
    message_id: str | None
    """20 hexadecimal digits, in every event of this copy; None where nothing is tracked."""
    wrapped_links: int
    pixels: int
    resolved: Resolved | None
    """The options that hold for it; None where it is bypassed."""
    notices: tuple[str, ...] = ()
    """Distinct codes of what was asked for and could not be had, such as `ignored_key`."""
    plan: Plan | None = None
    """What it was made from; None where it is the message but for its header."""
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
        """Offset and length in the message as received, and what stands there now."""
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
        """Distinct codes of why something was left alone."""
        return tuple(dict.fromkeys(reason.value for _, _, reason in self.left_alone))


def render_copies(decision: Decision, keys: KeyRing, *, now: int) -> tuple[Copy, ...]:
    """Make every copy that was decided; `now` is the injection time in Unix seconds."""
    return tuple(
        _pass_by(decision.message, each)
        if decision.opened is None or each.resolved is None
        else render_copy(decision.opened, each, each.resolved, keys, now=now)
        for each in decision.copies
    )


def render_copy(
    message: Message, decided: CopyDecision, resolved: Resolved, keys: KeyRing, *, now: int
) -> Copy:
    """Make one copy; `now` is the injection time in Unix seconds."""
    inserted = message.insert_readers(decided.blind)
    reason = message.reason_untracked(resolved)
    plan = message.find_plan(resolved) if reason is None else None
    if plan is None:
        return _leave_untracked(message, decided, resolved, reason, inserted)
    message_id = secrets.token_hex(10)
    engagement = _engagement(message, message_id, decided.readers[0], resolved, now)
    urls = _urls(
        resolved.tracking_domain.value,
        resolved.click_tracking_scheme.value,
        resolved.open_tracking_scheme.value,
        resolved.click_tracking_include_metadata.value,
    )
    try:
        rendered = plan.render(keys, engagement, urls, inserted)
    except RewriteFailed:
        log.exception("message.rewrite_failed", step="render")
        return _leave_untracked(message, decided, resolved, Reason.CORE_FAILURE, inserted)
    lacks_metadata = bool(rendered.links_without_metadata or rendered.pixels_without_metadata)
    return Copy(
        decided.readers,
        rendered.message,
        message_id,
        rendered.wrapped_links,
        rendered.pixels,
        resolved,
        _notices(message, resolved, lacks_metadata=lacks_metadata),
        plan,
        rendered,
    )


def _leave_untracked(
    message: Message,
    decided: CopyDecision,
    resolved: Resolved,
    reason: Reason | None,
    inserted: Sequence[tuple[int, bytes]],
) -> Copy:
    edits = message.edit_header(resolved, inserted)
    kept, copied = [], 0
    for offset, length, text in edits:
        kept += [message.message[copied:offset], text]
        copied = offset + length
    return Copy(
        readers=decided.readers,
        message=b"".join([*kept, message.message[copied:]]) if edits else message.message,
        message_id=None,
        wrapped_links=0,
        pixels=0,
        resolved=resolved,
        notices=_notices(message, resolved, lacks_metadata=False),
        header_edits=edits,
        untracked=reason,
    )


def _pass_by(message: bytes, decided: CopyDecision) -> Copy:
    return Copy(
        readers=decided.readers,
        message=message,
        message_id=None,
        wrapped_links=0,
        pixels=0,
        resolved=None,
        untracked=Reason.BYPASSED,
    )


def _notices(message: Message, resolved: Resolved, *, lacks_metadata: bool) -> tuple[str, ...]:
    header = message.header
    found = {
        "ignored_key": bool(header and header.ignored_keys),
        "dropped_tags": bool(header and header.dropped_tags),
        "truncated_metadata": resolved.metadata_truncated,
        "left_out_metadata": lacks_metadata,
        "ignored_variable": bool(resolved.ignored_variables),
    }
    return tuple(notice for notice, is_there in found.items() if is_there)


def _engagement(
    message: Message, message_id: str, reader: Reader, resolved: Resolved, now: int
) -> Engagement:
    return Engagement(
        message_id=message_id,
        transmission_id=message.transmission_id,
        recipient=reader.address,
        recipient_type=reader.type,
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


@lru_cache(maxsize=1024)
def _urls(
    domain: str,
    click_scheme: str,
    open_scheme: str,
    click_metadata: bool,  # noqa: FBT001 - positional for the cache
) -> TrackedUrls:
    return TrackedUrls(
        domain=domain,
        click_scheme=click_scheme,
        open_scheme=open_scheme,
        click_metadata=click_metadata,
    )
