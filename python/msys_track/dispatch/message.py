"""One message, opened: its header is read once, and its edits are found once.

Here options and rewriting meet; neither knows the other.
"""

import secrets
from collections.abc import Sequence
from typing import Final

from msys_track.dispatch import recipients
from msys_track.dispatch.hook import OnLink, revise_plan
from msys_track.errors import RewriteError
from msys_track.logs import event_logger
from msys_track.options.arguments import Arguments
from msys_track.options.resolve import Resolved, resolve
from msys_track.options.scopes import Scope
from msys_track.policy.context import Contexts
from msys_track.rewriting.engine import Engine, HeaderField, Plan
from msys_track.rewriting.rules import Rules
from msys_track.smtpapi import header
from msys_track.smtpapi.mailbox import Mailbox

log = event_logger(__name__)

_BCC: Final = b"Bcc"


class Message:
    """A message whose X-MSYS-API is read, and whose edits are found when they are needed.

    Attributes:
        message: the bytes as received.
        header: what its X-MSYS-API asks for; None when it has none.
        readers: who gets a copy of it.
        transmission_id: the same for all of its copies.
    """

    __slots__ = (
        "_arguments",
        "_bcc_fields",
        "_cc_fields",
        "_engine",
        "_fields",
        "_on_link",
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
        addresses: Sequence[str] = (),
        *,
        engine: Engine,
        scopes: Sequence[Scope],
        arguments: Arguments | None = None,
        on_link: OnLink | None = None,
    ) -> None:
        """Read the header.

        Args:
            message: the bytes as received.
            addresses: the recipients of the SMTP transaction, each once and checked.
            engine: reads header fields and finds edits.
            scopes: what is configured, the most specific scope first.
            arguments: the engagement data that the call of a program gives.
            on_link: decides about each link that may be wrapped.

        Raises:
            HeaderRefusedError: `X-MSYS-API` is malformed.
        """
        self._arguments = arguments
        self._engine = engine
        self._on_link = on_link
        self._scopes = scopes
        self._own: Resolved | None = None
        self._fields: Sequence[HeaderField] = engine.header_fields(message, header.NAME)
        self._plans: dict[tuple[Rules, bool], Plan | None] = {}
        self.message = message
        self.header = header.parse_header([value for _, value in self._fields])
        self.readers = recipients.list_readers(addresses, self.header)
        self._cc_fields: Sequence[HeaderField] = (
            engine.header_fields(message, b"Cc") if self.header and self.header.cc else ()
        )
        # A blind copy has a Bcc field of its own, and only one is allowed (RFC 5322 section 3.6).
        self._bcc_fields: Sequence[HeaderField] = (
            engine.header_fields(message, _BCC) if self.header and self.header.bcc else ()
        )
        self.transmission_id = secrets.randbits(63)

    def resolve(
        self, contexts: Contexts | None = None, scopes: Sequence[Scope] | None = None
    ) -> Resolved:
        """Resolve the options from policy, header and configuration.

        Raises:
            HeaderRefusedError: policy's campaign is too long.
        """
        if contexts is not None or scopes is not None:
            layers = self._scopes if scopes is None else scopes
            return resolve(layers, self.header, contexts, self._arguments)
        if self._own is None:
            self._own = resolve(self._scopes, self.header, None, self._arguments)
        return self._own

    def find_plan(self, resolved: Resolved) -> Plan | None:
        """Find the edits under these options, once; None if that failed."""
        rules = Rules(
            signed_mail=resolved.signed_mail.value,
            outlook_links=resolved.outlook_links.value,
            text_links=resolved.click_tracking_text.value,
            keep_link_attributes=resolved.keep_link_attributes.value,
            never_wrap=resolved.never_wrap.value,
            fold_long_lines=resolved.fold_long_lines.value,
            foreign_opt_outs=resolved.foreign_opt_outs.value,
            spare_url_text=resolved.spare_url_text.value,
            strip_text_options=resolved.strip_text_options.value,
            pixel_placeholder=resolved.pixel_placeholder.value or None,
        )
        key = rules, resolved.keep_x_msys_api.value
        if key not in self._plans:
            dropped = [] if resolved.keep_x_msys_api.value else [header.NAME]
            if self._bcc_fields:
                dropped.append(_BCC)
            try:
                plan = self._engine.plan(self.message, rules, drop_headers=dropped)
                self._plans[key] = revise_plan(plan, self._on_link)
            except RewriteError:
                log.exception("message.rewrite_failed", step="plan")
                self._plans[key] = None
        return self._plans[key]

    def insert_readers(self, blind: Mailbox | None) -> list[tuple[int, bytes]]:
        """List the header lines that name the readers of a copy, or of the blind copy of one."""
        if blind is None and not (self.header and self.header.cc):
            return []
        lines, _ = self._fields[0]
        start, _ = lines[0]
        return recipients.list_insertions(
            self.message, self.header, blind, at=start, cc_fields=self._cc_fields
        )

    def edit_header(
        self, resolved: Resolved, inserted: Sequence[tuple[int, bytes]]
    ) -> list[tuple[int, int, bytes]]:
        """List the edits of a copy without tracking: fields removed and lines inserted."""
        dropped = list(self._bcc_fields)
        if not resolved.keep_x_msys_api.value:
            dropped += self._fields
        edits = [(offset, 0, text) for offset, text in inserted]
        edits += [(offset, length, b"") for lines, _ in dropped for offset, length in lines]
        edits.sort(key=lambda edit: edit[:2])
        return edits
