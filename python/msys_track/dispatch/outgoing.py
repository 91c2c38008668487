"""Copies as the proxy sends them: one at a time, as the bytes of DATA.

They are the copies of `dispatch.copies` byte for byte, without the lists of what was done. Who
wants those renders the decision: `explain`, and the proxy's debug log.
"""

from typing import Final, NamedTuple

from msys_track.dispatch.decide import CopyDecision, Decision
from msys_track.dispatch.inputs import make_recipe_reader
from msys_track.dispatch.message import OpenedMessage
from msys_track.dispatch.recipients import Reader
from msys_track.errors import RewriteError
from msys_track.logs import event_logger
from msys_track.options.resolve import Resolved
from msys_track.reasons import Reason, pack_reasons
from msys_track.rewriting.recipe import WireCopy
from msys_track.smtp.data import stuff

log = event_logger(__name__)

_MBOX_LINES: Final = (b"From ", b">From ")


class OutgoingCopy(NamedTuple):
    """One copy, ready to be sent."""

    readers: tuple[Reader, ...]
    wire: bytes
    """Dots stuffed, with the line that ends the data."""
    size: int
    """Bytes without stuffed dots and the end line."""
    is_seven_bit: bool
    message_id: str | None = None
    """In every event of this copy; None if nothing is tracked and the copy does not name it."""
    wrapped_links: int = 0
    pixels: int = 0
    reasons: int = 0
    """Why something was left alone, as `list_reasons` reads it."""
    notices: tuple[str, ...] = ()
    """Codes of requests that could not be met."""


def make_outgoing(
    decision: Decision,
    copy: CopyDecision,
    *,
    now: int,
    message_id: str | None = None,
    received: bytes = b"",
) -> OutgoingCopy:
    """Make one of the copies that were decided.

    Args:
        decision: what was decided about the message.
        copy: the one of its copies that is made.
        now: the injection time in Unix seconds.
        message_id: the id that the copy had when it was made before; None: it gets a new one.
        received: the `Received` field of the message. It is not signed, since each server on the
            way may change it (RFC 6376 section 5.4.1), and a signature stands above it.
    """
    made = _make_unsigned(copy, now, message_id)
    above = received if decision.sign is None else decision.sign(made.wire) + received
    if not above:
        return made
    wire = made.wire
    if wire.startswith(_MBOX_LINES):
        # Servers know such a line at the top only; below a field it would end the header.
        end = wire.find(b"\n") + 1
        wire = wire[:end] + above + wire[end:]
    else:
        wire = above + wire
    return made._replace(wire=wire, size=made.size + len(above))


def _make_unsigned(copy: CopyDecision, now: int, message_id: str | None) -> OutgoingCopy:
    resolved = copy.resolved
    if resolved is None:
        return _pack(copy, copy.source.message, Reason.BYPASSED, copy.notices)
    opened = copy.source.open()
    notices = opened.list_notices(resolved)
    if copy.notices:
        notices += copy.notices
    message_id = message_id or opened.choose_message_id(resolved)
    try:
        made = _render(opened, copy, resolved, message_id, now)
    except RewriteError:
        log.exception("message.rewrite_failed", step="render")
        made = None
    if made is None:
        inserted = opened.insert_fields(copy.blind, resolved, copy.readers[0], message_id, now)
        edits = opened.edit_header(resolved, inserted)
        return _pack(copy, opened.apply_edits(edits), Reason.CORE_FAILURE, notices)
    if made.lacks_metadata:
        notices += ("left_out_metadata",)
    if made.clips_html:
        notices += ("clipped_html",)
    return OutgoingCopy(
        copy.readers,
        made.wire,
        made.size,
        made.is_seven_bit,
        message_id if made.is_tracked or resolved.add_message_id.value else None,
        made.wrapped_links,
        made.pixels,
        made.reasons,
        notices,
    )


def _render(
    opened: OpenedMessage, copy: CopyDecision, resolved: Resolved, message_id: str, now: int
) -> WireCopy | None:
    """Return the copy, or None if its message can't be planned."""
    first = copy.readers[0]
    reader = make_recipe_reader(resolved, first, now, message_id, opened.transmission_id)
    recipe = opened.find_recipe(resolved)
    inserted = opened.insert_fields(copy.blind, resolved, first, message_id, now)
    if opened.has_one_copy or not resolved.is_tracked:
        return recipe.rewrite(opened.message, reader, inserted)
    plan = opened.find_plan(resolved)
    return None if plan is None else recipe.render(plan, reader, inserted)


def _pack(
    copy: CopyDecision, message: bytes, reason: Reason, notices: tuple[str, ...] = ()
) -> OutgoingCopy:
    return OutgoingCopy(
        copy.readers,
        stuff(message),
        len(message),
        message.isascii(),
        reasons=pack_reasons([reason]),
        notices=notices,
    )
