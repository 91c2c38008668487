"""Copies: one message in, and out comes what each recipient is sent.

Here options and rewriting meet; neither knows the other. The proxy, the library and the filter
all go this way, so that they can't disagree.
"""

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from msys_track.errors import RewriteFailed
from msys_track.keys import Engagement, KeyRing, TrackedUrls
from msys_track.options import header
from msys_track.options.resolve import Resolved, resolve
from msys_track.options.tracking import TrackingOptions
from msys_track.reasons import Reason
from msys_track.rewriting.engine import Engine, LeftAlone, Plan
from msys_track.rewriting.native import NativeEngine, Rules

log = structlog.get_logger(__name__)

HEADER = b"X-MSYS-API"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewritten:
    """One recipient's copy, and what was done to make it."""

    message: bytes
    message_id: str | None
    """20 hexadecimal digits, in every event of this copy; None where nothing is tracked."""
    edits: Sequence[tuple[int, int, bytes]]
    """Offset and length in the message as received, and what stands there now."""
    left_alone: Sequence[tuple[int, int, Reason]]
    """Offset, length and reason of each link, part or message that stayed as it was."""
    wrapped_links: int
    pixels: int
    resolved: Resolved


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A rendered message, and who gets exactly these bytes."""

    recipients: tuple[str, ...]
    message: bytes
    message_id: str | None
    wrapped_links: int
    pixels: int
    reasons: tuple[str, ...]
    """Distinct codes of why something was left alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A message whose options are resolved and whose edits are found."""

    message: bytes
    """As received."""
    resolved: Resolved
    keys: KeyRing
    plan: Plan | None
    """None where nothing is tracked, or where planning failed."""
    untracked: Reason
    """Why there is no plan."""
    api_header: Sequence[tuple[int, int, bytes]]
    """Offset and length of the X-MSYS-API lines, and what stands there in every copy: nothing."""
    transmission_id: int

    def render(self, recipient: str, *, now: int) -> Rewritten:
        """Make the copy for one recipient; `now` is the injection time in Unix seconds.

        It can't fail: what can't be rewritten is sent as it was.
        """
        if self.plan is None:
            return self._untouched(self.untracked)
        message_id = secrets.token_hex(10)
        try:
            rendered = self.plan.render(
                self.keys, self._engagement(message_id, recipient, now), _urls(self.resolved)
            )
        except RewriteFailed:
            log.exception("message.rewrite_failed", step="render")
            return self._untouched(Reason.CORE_FAILURE)
        return Rewritten(
            message=rendered.message,
            message_id=message_id,
            edits=rendered.edits,
            left_alone=_left_alone([*self.plan.left_alone, *rendered.left_alone]),
            wrapped_links=rendered.wrapped_links,
            pixels=rendered.pixels,
            resolved=self.resolved,
        )

    def _engagement(self, message_id: str, recipient: str, now: int) -> Engagement:
        resolved = self.resolved
        return Engagement(
            message_id=message_id,
            transmission_id=self.transmission_id,
            recipient=recipient,
            injected_at=now,
            expires_at=now + resolved.tracking_link_expiry_seconds.value,
            campaign_id=resolved.campaign_id.value,
            metadata=resolved.metadata.value,
            tags=resolved.tags.value,
            open_tracking=resolved.open_tracking.value,
            click_tracking=resolved.click_tracking.value,
            transactional=resolved.transactional.value,
        )

    def _untouched(self, reason: Reason) -> Rewritten:
        return Rewritten(
            message=_edited(self.message, self.api_header),
            message_id=None,
            edits=self.api_header,
            left_alone=[(0, len(self.message), reason)],
            wrapped_links=0,
            pixels=0,
            resolved=self.resolved,
        )


class Rewriter:
    """Makes copies with one key ring, one layer of configured options and one engine.

    `source` names where the options come from, for whoever asks why one has its value.
    """

    __slots__ = ("_engine", "_keys", "_options", "_rules", "_source")

    def __init__(
        self,
        *,
        keys: KeyRing,
        options: TrackingOptions | None = None,
        source: str = "configuration",
        engine: Engine | None = None,
    ) -> None:
        self._keys = keys
        self._options = options or TrackingOptions()
        self._source = source
        self._rules = Rules()
        self._engine: Engine = engine or NativeEngine()

    def plan(self, message: bytes) -> Planned:
        """Resolve a message's options and find its edits.

        Raises:
            HeaderRefused: `X-MSYS-API` is malformed.
        """
        fields = self._engine.header_fields(message, HEADER)
        api_header = header.parse([value for _, _, value in fields])
        resolved = resolve(api_header, self._options, self._source)
        plan, untracked = None, Reason.TRACKING_OFF
        if resolved.open_tracking.value or resolved.click_tracking.value:
            try:
                plan = self._engine.plan(message, self._rules, drop_header=HEADER)
            except RewriteFailed:
                log.exception("message.rewrite_failed", step="plan")
                untracked = Reason.CORE_FAILURE
        return Planned(
            message=message,
            resolved=resolved,
            keys=self._keys,
            plan=plan,
            untracked=untracked,
            api_header=[(offset, length, b"") for offset, length, _ in fields],
            transmission_id=secrets.randbits(63),
        )

    def rewritten(self, message: bytes, recipient: str, *, now: int) -> Rewritten:
        """Make the copy of a message for one recipient.

        Raises:
            HeaderRefused: `X-MSYS-API` is malformed.
        """
        return self.plan(message).render(recipient, now=now)

    def copies(self, message: bytes, recipients: Sequence[str], *, now: int) -> tuple[Copy, ...]:
        """Make what each recipient is sent; one copy for all of them where nothing is tracked.

        Raises:
            HeaderRefused: `X-MSYS-API` is malformed; nobody gets the message.
        """
        planned = self.plan(message)
        if planned.plan is None:
            return (_copy(tuple(recipients), planned.render("", now=now)),)
        return tuple(_copy((to,), planned.render(to, now=now)) for to in recipients)


def rewrite(
    message: bytes,
    *,
    recipient: str,
    keys: KeyRing,
    options: TrackingOptions | None = None,
    now: int | None = None,
) -> bytes:
    """Make the copy of a message for one recipient: its links wrapped, a pixel added.

    What is tracked is up to `options`, and to the message's own `X-MSYS-API` header, which
    overrides them and is removed; without either the message comes back as it is. So it does
    where it can't be rewritten. Who wants to know why, or has several recipients, asks a
    `Rewriter`.

    Args:
        message: a whole message (RFC 5322), line breaks CRLF or LF.
        recipient: the address that opens and clicks are counted for.
        keys: seals the links; the tracker needs the same ring.
        options: configured options; None means tracking off.
        now: the injection time in Unix seconds; None means the present.

    Raises:
        HeaderRefused: `X-MSYS-API` is malformed.
    """
    injected_at = int(time.time()) if now is None else now
    return (
        Rewriter(keys=keys, options=options).rewritten(message, recipient, now=injected_at).message
    )


def _copy(recipients: tuple[str, ...], rewritten: Rewritten) -> Copy:
    reasons = dict.fromkeys(reason.value for _, _, reason in rewritten.left_alone)
    return Copy(
        recipients=recipients,
        message=rewritten.message,
        message_id=rewritten.message_id,
        wrapped_links=rewritten.wrapped_links,
        pixels=rewritten.pixels,
        reasons=tuple(reasons),
    )


def _urls(resolved: Resolved) -> TrackedUrls:
    return TrackedUrls(
        domain=resolved.tracking_domain.value,
        click_scheme=resolved.click_tracking_scheme.value,
        open_scheme=resolved.open_tracking_scheme.value,
        click_metadata=resolved.click_tracking_include_metadata.value,
    )


def _left_alone(left: Sequence[LeftAlone]) -> list[tuple[int, int, Reason]]:
    return [(each.offset, each.length, Reason(each.reason)) for each in left]


def _edited(message: bytes, edits: Sequence[tuple[int, int, bytes]]) -> bytes:
    kept, copied = [], 0
    for offset, length, inserted in edits:
        kept += [message[copied:offset], inserted]
        copied = offset + length
    return b"".join([*kept, message[copied:]]) if edits else message
