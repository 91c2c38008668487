"""One message on its way: its header is read once, its edits are found once, its copies are made.

Here options and rewriting meet; neither knows the other.
"""

import secrets
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from msys_track.dispatch import recipients as readers
from msys_track.dispatch.recipients import HeaderField, ReaderType
from msys_track.errors import RewriteFailed
from msys_track.keys.ring import Engagement, KeyRing, TrackedUrls
from msys_track.logs import event_logger
from msys_track.options.resolve import Resolved, resolve
from msys_track.options.scopes import Scope
from msys_track.options.tracking import SignedMail
from msys_track.policy.context import Contexts
from msys_track.reasons import Reason
from msys_track.rewriting.engine import Engine, LeftAlone, Plan, Rendered, Rules
from msys_track.smtp.path import check_recipients
from msys_track.smtpapi import header
from msys_track.smtpapi.mailbox import Mailbox

log = event_logger(__name__)

HEADER: Final = b"X-MSYS-API"
_BCC: Final = b"Bcc"


class Rewritten(NamedTuple):
    """One recipient's copy, and what was done to make it.

    A named tuple as there is one for every copy, and its lists are made when they are asked for.
    """

    message: bytes
    message_id: str | None
    """20 hexadecimal digits, in every event of this copy; None where nothing is tracked."""
    wrapped_links: int
    pixels: int
    resolved: Resolved
    plan: Plan | None
    """What the copy was made from; None where it is the message but for its header."""
    rendered: Rendered | None
    header_edits: Sequence[tuple[int, int, bytes]] = ()
    untouched: Reason | None = None
    """Why there is no plan."""

    @property
    def edits(self) -> Sequence[tuple[int, int, bytes]]:
        """Offset and length in the message as received, and what stands there now."""
        return self.header_edits if self.rendered is None else self.rendered.edits

    @property
    def left_alone(self) -> Sequence[tuple[int, int, Reason]]:
        """Offset, length and reason of each link, part or message that stayed as it was."""
        if self.untouched is not None:
            removed = sum(length - len(text) for _, length, text in self.header_edits)
            return [(0, len(self.message) + removed, self.untouched)]
        return [(each.offset, each.length, Reason(each.reason)) for each in self._left()]

    @property
    def refused_links(self) -> Sequence[tuple[int, str, Reason]]:
        """Offset, target and reason of each link that other copies may have wrapped."""
        left = () if self.rendered is None else self.rendered.left_alone
        return [
            (each.offset, each.target, Reason(each.reason))
            for each in left
            if each.target is not None
        ]

    @property
    def lacks_metadata(self) -> bool:
        """Whether a link or pixel found room only without its metadata."""
        made = self.rendered
        return made is not None and bool(
            made.links_without_metadata or made.pixels_without_metadata
        )

    def _left(self) -> list[LeftAlone]:
        if self.plan is None or self.rendered is None:
            return []
        return [*self.plan.left_alone, *self.rendered.left_alone]


class Planned:
    """A message whose header is read, and whose edits are found when they are needed.

    Attributes:
        message: as received.
        header: what its X-MSYS-API asks for; None when it has none.
        readers: who gets a copy of it.
        transmission_id: the same for all of its copies.
    """

    __slots__ = (
        "_bcc_fields",
        "_cc_fields",
        "_engine",
        "_fields",
        "_keys",
        "_own",
        "_plans",
        "_scopes",
        "header",
        "message",
        "readers",
        "transmission_id",
    )

    def __init__(
        self,
        message: bytes,
        recipients: Sequence[str] = (),
        *,
        keys: KeyRing,
        engine: Engine,
        scopes: Sequence[Scope],
    ) -> None:
        """Read the header.

        Raises:
            RecipientError: a recipient is not a mail address alone.
            HeaderRefused: `X-MSYS-API` is malformed.
        """
        check_recipients(recipients)
        self._engine = engine
        self._keys = keys
        self._scopes = scopes
        self._own: Resolved | None = None
        self._fields: Sequence[HeaderField] = engine.header_fields(message, HEADER)
        self._plans: dict[tuple[Rules, bool], Plan | None] = {}
        self.message = message
        self.header = header.parse_header([value for _, value in self._fields])
        self.readers = readers.readers(recipients, self.header)
        self._cc_fields: Sequence[HeaderField] = (
            engine.header_fields(message, b"Cc") if self.header and self.header.cc else ()
        )
        # A blind copy has a field of its own, and there may be one (RFC 5322 section 3.6).
        self._bcc_fields: Sequence[HeaderField] = (
            engine.header_fields(message, _BCC) if self.header and self.header.bcc else ()
        )
        self.transmission_id = secrets.randbits(63)

    def resolve(
        self, contexts: Contexts | None = None, scopes: Sequence[Scope] | None = None
    ) -> Resolved:
        """Weigh what policy, header and configuration say.

        Raises:
            HeaderRefused: policy's campaign is too long.
        """
        if contexts is not None or scopes is not None:
            return resolve(self._scopes if scopes is None else scopes, self.header, contexts)
        if self._own is None:
            self._own = resolve(self._scopes, self.header)
        return self._own

    def plan(self, resolved: Resolved) -> Plan | None:
        """Find the edits under these options, once; None where that failed."""
        rules = _rules(resolved)
        keeps_header = resolved.keep_x_msys_api.value
        if (rules, keeps_header) not in self._plans:
            self._plans[rules, keeps_header] = self._planned(rules, keeps_header=keeps_header)
        return self._plans[rules, keeps_header]

    def differs(self, resolved: Resolved) -> bool:
        """Whether copies under these options differ between recipients."""
        return resolved.is_tracked and self.plan(resolved) is not None

    def render(
        self,
        recipient: str,
        *,
        now: int,
        resolved: Resolved | None = None,
        reader: ReaderType = "to",
        bcc: Mailbox | None = None,
    ) -> Rewritten:
        """Make the copy for one recipient; `now` is the injection time in Unix seconds.

        What can't be rewritten is sent as it was.

        Args:
            recipient: the address that opens and clicks are counted for, without a name.
            now: the injection time in Unix seconds.
            resolved: the options of this copy; None: those of the configuration and the header.
            reader: as what they read it.
            bcc: who is to see that this is a blind copy for them.

        Raises:
            RecipientError: the recipient is not a mail address alone.
        """
        check_recipients((recipient,))
        resolved = self.resolve() if resolved is None else resolved
        inserted = self._insertions(bcc)
        if not resolved.is_tracked:
            return self._untouched(Reason.TRACKING_OFF, resolved, inserted)
        plan = self.plan(resolved)
        if plan is None:
            return self._untouched(Reason.CORE_FAILURE, resolved, inserted)
        message_id = secrets.token_hex(10)
        engagement = self._engagement(message_id, recipient, reader, resolved, now)
        try:
            rendered = plan.render(self._keys, engagement, _urls(resolved), inserted)
        except RewriteFailed:
            log.exception("message.rewrite_failed", step="render")
            return self._untouched(Reason.CORE_FAILURE, resolved, inserted)
        return Rewritten(
            rendered.message,
            message_id,
            rendered.wrapped_links,
            rendered.pixels,
            resolved,
            plan,
            rendered,
        )

    def notices(self, rewritten: Rewritten) -> tuple[str, ...]:
        """Name what was asked for and could not be had; for counters and logs."""
        asked, resolved = self.header, rewritten.resolved
        found = {
            "ignored_key": bool(asked and asked.ignored_keys),
            "dropped_tags": bool(asked and asked.dropped_tags),
            "truncated_metadata": resolved.metadata_truncated,
            "left_out_metadata": rewritten.lacks_metadata,
            "ignored_variable": bool(resolved.ignored_variables),
        }
        return tuple(notice for notice, is_there in found.items() if is_there)

    def _planned(self, rules: Rules, *, keeps_header: bool) -> Plan | None:
        dropped = [] if keeps_header else [HEADER]
        if self._bcc_fields:
            dropped.append(_BCC)
        try:
            return self._engine.plan(self.message, rules, drop_headers=dropped)
        except RewriteFailed:
            log.exception("message.rewrite_failed", step="plan")
            return None

    def _insertions(self, bcc: Mailbox | None) -> list[tuple[int, bytes]]:
        if not self._fields:  # no header, so nobody but the recipients of the transaction
            return []
        [(start, _), *_], _ = self._fields[0]
        return readers.insertions(
            self.message, self.header, bcc, at=start, cc_fields=self._cc_fields
        )

    def _engagement(
        self, message_id: str, recipient: str, reader: ReaderType, resolved: Resolved, now: int
    ) -> Engagement:
        return Engagement(
            message_id=message_id,
            transmission_id=self.transmission_id,
            recipient=recipient,
            recipient_type=reader,
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

    def _untouched(
        self, reason: Reason, resolved: Resolved, inserted: Sequence[tuple[int, bytes]]
    ) -> Rewritten:
        kept = resolved.keep_x_msys_api.value
        dropped = [*self._bcc_fields, *(() if kept else self._fields)]
        edits = [(offset, 0, text) for offset, text in inserted]
        edits += [(offset, length, b"") for lines, _ in dropped for offset, length in lines]
        edits.sort(key=lambda edit: edit[:2])
        return Rewritten(
            message=_edited(self.message, edits),
            message_id=None,
            wrapped_links=0,
            pixels=0,
            resolved=resolved,
            plan=None,
            rendered=None,
            header_edits=edits,
            untouched=reason,
        )


def _rules(resolved: Resolved) -> Rules:
    return _made_rules(
        resolved.signed_mail.value,
        resolved.outlook_links.value,
        resolved.click_tracking_text.value,
        resolved.keep_link_attributes.value,
        resolved.never_wrap.value,
    )


@lru_cache(maxsize=1024)
def _made_rules(
    signed_mail: SignedMail,
    outlook_links: bool,  # noqa: FBT001 - positional for the cache
    text_links: bool,  # noqa: FBT001
    keep_link_attributes: bool,  # noqa: FBT001
    never_wrap: tuple[str, ...],
) -> Rules:
    return Rules(
        signed_mail=signed_mail,
        outlook_links=outlook_links,
        text_links=text_links,
        keep_link_attributes=keep_link_attributes,
        never_wrap=never_wrap,
    )


def _urls(resolved: Resolved) -> TrackedUrls:
    return _made_urls(
        resolved.tracking_domain.value,
        resolved.click_tracking_scheme.value,
        resolved.open_tracking_scheme.value,
        resolved.click_tracking_include_metadata.value,
    )


@lru_cache(maxsize=1024)
def _made_urls(
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


def _edited(message: bytes, edits: Sequence[tuple[int, int, bytes]]) -> bytes:
    kept, copied = [], 0
    for offset, length, inserted in edits:
        kept += [message[copied:offset], inserted]
        copied = offset + length
    return b"".join([*kept, message[copied:]]) if edits else message
