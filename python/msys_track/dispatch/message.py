"""One message, opened: its header is read once, and its edits are found once.

Here options and rewriting meet; neither knows the other.
"""

import os
from collections.abc import Sequence
from typing import Final

from msys_track.dispatch import recipients
from msys_track.dispatch.inputs import make_rules
from msys_track.errors import RewriteError
from msys_track.logs import event_logger
from msys_track.options.arguments import Arguments
from msys_track.options.resolve import Resolved, resolve
from msys_track.options.scopes import Scope
from msys_track.policy.context import Contexts
from msys_track.rewriting.engine import Engine, HeaderField, Plan
from msys_track.smtpapi import header
from msys_track.smtpapi.mailbox import Mailbox

log = event_logger(__name__)

_BCC: Final = b"Bcc"


class OpenedMessage:
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
    ) -> None:
        """Read the header.

        Args:
            message: the bytes as received.
            addresses: the recipients of the SMTP transaction, each once and checked.
            engine: reads header fields and finds edits.
            scopes: what is configured, the most specific scope first.
            arguments: the engagement data that the call of a program gives.

        Raises:
            HeaderRefusedError: `X-MSYS-API` is malformed.
        """
        self._arguments = arguments
        self._engine = engine
        self._scopes = scopes
        self._own: Resolved | None = None
        self._fields: Sequence[HeaderField] = engine.header_fields(message, header.NAME)
        self._plans: dict[tuple[object, bool], Plan | None] = {}
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
        self.transmission_id = int.from_bytes(os.urandom(8)) >> 1

    def resolve(
        self,
        contexts: Contexts | None = None,
        scopes: Sequence[Scope] | None = None,
        arguments: Arguments | None = None,
    ) -> Resolved:
        """Resolve the options from policy, header, call and configuration.

        Args:
            contexts: policy's variables.
            scopes: in place of the message's own.
            arguments: in place of the message's own.

        Raises:
            HeaderRefusedError: policy's campaign is too long.
        """
        if contexts is None and scopes is None and arguments is None:
            if self._own is None:
                self._own = resolve(self._scopes, self.header, None, self._arguments)
            return self._own
        layers = self._scopes if scopes is None else scopes
        return resolve(layers, self.header, contexts, arguments or self._arguments)

    def find_plan(self, resolved: Resolved) -> Plan | None:
        """Find the edits under these options, once; None if that failed."""
        rules = make_rules(resolved)
        key = rules, resolved.keep_x_msys_api.value
        if key not in self._plans:
            dropped = [] if resolved.keep_x_msys_api.value else [header.NAME]
            if self._bcc_fields:
                dropped.append(_BCC)
            try:
                self._plans[key] = self._engine.plan(self.message, rules, drop_headers=dropped)
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
