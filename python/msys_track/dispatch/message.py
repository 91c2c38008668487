"""One message, opened: its header is read once, and its edits are found once.

Here options and rewriting meet; neither knows the other.
"""

from collections.abc import Sequence
from typing import Final, Self

from msys_track.dispatch import own_fields, recipients
from msys_track.dispatch.inputs import (
    draw_message_id,
    draw_transmission_id,
    make_recipe,
    make_rules,
)
from msys_track.dispatch.prepared import Preparer, list_notices
from msys_track.errors import RewriteError
from msys_track.event_fields import NO_MESSAGE_ID
from msys_track.logs import event_logger
from msys_track.options.arguments import Arguments
from msys_track.options.resolve import Resolved, resolve
from msys_track.options.scopes import Scope
from msys_track.policy.context import Contexts
from msys_track.rewriting.engine import HeaderField, Plan
from msys_track.rewriting.recipe import Recipe
from msys_track.smtpapi import header
from msys_track.smtpapi.mailbox import Mailbox

log = event_logger(__name__)

_BCC: Final = b"Bcc"


class OpenedMessage:
    """A message whose X-MSYS-API is read, and whose edits are found when they are needed.

    Attributes:
        message: the bytes as received, but for escapes that `unescape_curly_macros` took back.
        header: what its X-MSYS-API asks for; None when it has none.
        readers: who gets a copy of it.
        has_one_copy: whether all readers get the same bytes, so that it is planned and rendered
            once.
        transmission_id: the same for all of its copies.
    """

    __slots__ = (
        "_arguments",
        "_bcc_fields",
        "_cc_fields",
        "_fields",
        "_given_id",
        "_own",
        "_plans",
        "_plans_of",
        "_prepared",
        "_preparer",
        "_recipes",
        "_scopes",
        "has_one_copy",
        "header",
        "message",
        "readers",
        "transmission_id",
    )

    def __init__(  # noqa: PLR0913 - all that it depends on
        self,
        message: bytes,
        addresses: Sequence[str] = (),
        *,
        preparer: Preparer,
        scopes: tuple[Scope, ...],
        arguments: Arguments | None = None,
        others: Sequence[str] = (),
        transmission_id: int | None = None,
    ) -> None:
        """Read the header.

        Args:
            message: the bytes as received.
            addresses: the recipients of the SMTP transaction, each once and checked.
            preparer: has the engine and the key ring.
            scopes: what is configured, the most specific scope first.
            arguments: the engagement data that the call of a program gives.
            others: who has a copy of another edition, and gets none for the header's sake.
            transmission_id: the same for all copies; None: it gets a new one.

        Raises:
            HeaderRefusedError: `X-MSYS-API` is malformed.
        """
        engine = preparer.engine
        self._arguments = arguments
        self._preparer = preparer
        self._scopes = scopes
        configured = resolve(scopes)
        if configured.unescape_curly_macros.value:
            message = _unescape(message, configured)
        self._fields: Sequence[HeaderField] = engine.header_fields(message, header.NAME)
        values = tuple([value for _, value in self._fields]) if self._fields else ()
        self._prepared = preparer.prepare(scopes, values)
        self._own: Resolved | None = None if arguments is not None else self._prepared.resolved
        self._plans: dict[tuple[object, bool], Plan | None] = {}
        self._plans_of: dict[int, tuple[Resolved, Plan | None]] = {}
        self._recipes: dict[int, tuple[Resolved, Recipe]] = {}
        self.message = message
        self._given_id: str | None = own_fields.find_message_id(message, engine.header_fields)
        self.header = asked = self._prepared.header
        self.readers = to, cc, bcc, _ = recipients.list_readers(addresses, asked, others)
        self.has_one_copy = len(to) == 1 and not (cc or bcc)
        self._cc_fields: Sequence[HeaderField] = (
            engine.header_fields(message, b"Cc") if asked and asked.cc else ()
        )
        # A blind copy has a Bcc field of its own, and only one is allowed (RFC 5322 section 3.6).
        self._bcc_fields: Sequence[HeaderField] = (
            engine.header_fields(message, _BCC) if asked and asked.bcc else ()
        )
        self.transmission_id = transmission_id or draw_transmission_id()

    def open(self) -> Self:
        """Return itself: what an edition makes when it is its turn."""
        return self

    @property
    def needs_smtp_utf8(self) -> bool:
        """Whether X-MSYS-API names a reader whose address is not ASCII (RFC 6531)."""
        if self.header is None or not (self.header.cc or self.header.bcc or self.header.archive):
            return False
        named = (*self.header.cc, *self.header.bcc, *self.header.archive)
        return not all(each.email.isascii() for each in named)

    def resolve(
        self,
        contexts: Contexts | None = None,
        scopes: Sequence[Scope] | None = None,
        arguments: Arguments | None = None,
        recipient: str | None = None,
    ) -> Resolved:
        """Resolve the options from policy, header, call and configuration.

        Args:
            contexts: policy's variables.
            scopes: in place of the message's own.
            arguments: in place of the message's own.
            recipient: whose copy it is, because the header may say something of them alone.

        Raises:
            HeaderRefusedError: policy's campaign is too long.
        """
        own = self.header.find_recipient(recipient) if self.header and recipient else None
        layers = self._scopes if scopes is None else scopes
        is_own = contexts is None and arguments is None and own is None
        if is_own and layers is self._scopes:
            if self._own is None:
                self._own = resolve(self._scopes, self.header, None, self._arguments)
            return self._own
        return resolve(layers, self.header, contexts, arguments or self._arguments, own)

    def find_plan(self, resolved: Resolved) -> Plan | None:
        """Find the edits under these options, once; None if that failed."""
        kept = self._plans_of.get(id(resolved))
        if kept is None:
            # The options are kept too: an id is free again when its object is gone.
            kept = self._plans_of[id(resolved)] = resolved, self._make_plan(resolved)
        return kept[1]

    def _make_plan(self, resolved: Resolved) -> Plan | None:
        rules = make_rules(resolved)
        key = rules, resolved.keep_x_msys_api.value
        if key not in self._plans:
            engine, dropped = self._preparer.engine, self._list_dropped(resolved)
            try:
                self._plans[key] = engine.plan(self.message, rules, drop_headers=dropped)
            except RewriteError:
                log.exception("message.rewrite_failed", step="plan")
                self._plans[key] = None
        return self._plans[key]

    def find_recipe(self, resolved: Resolved) -> Recipe:
        """Find how copies with these options are made, once for all that share the options."""
        if resolved is self._prepared.resolved and not self._bcc_fields:
            return self._prepared.recipe
        kept = self._recipes.get(id(resolved))
        if kept is None:
            engine, keys = self._preparer.engine, self._preparer.keys
            recipe = make_recipe(engine, keys, resolved, self._list_dropped(resolved))
            # The options are kept too: an id is free again when its object is gone.
            kept = self._recipes[id(resolved)] = resolved, recipe
        return kept[1]

    def list_notices(self, resolved: Resolved) -> tuple[str, ...]:
        """List the requests that can't be met in any copy with these options."""
        if resolved is self._prepared.resolved:
            return self._prepared.notices
        return list_notices(self.header, resolved)

    def _list_dropped(self, resolved: Resolved) -> list[bytes]:
        dropped = [] if resolved.keep_x_msys_api.value else [header.NAME]
        if self._bcc_fields:
            dropped.append(_BCC)
        return dropped

    def insert_readers(self, blind: Mailbox | None) -> list[tuple[int, bytes]]:
        """List the header lines that name the readers of a copy, or of the blind copy of one."""
        if blind is None and not (self.header and self.header.cc):
            return []
        lines, _ = self._fields[0]
        start, _ = lines[0]
        return recipients.list_insertions(
            self.message, self.header, blind, at=start, cc_fields=self._cc_fields
        )

    def choose_message_id(self, resolved: Resolved) -> str:
        """Return a copy's id: the one that the message brings along, or else a new one."""
        if resolved.privacy.value == "aggregate":
            return NO_MESSAGE_ID
        return self._given_id or draw_message_id()

    def insert_fields(
        self,
        blind: Mailbox | None,
        resolved: Resolved,
        reader: recipients.Reader,
        message_id: str,
        now: int,
    ) -> list[tuple[int, bytes]]:
        """List the header lines that one copy gets: its readers, and fields of its own."""
        inserted = self.insert_readers(blind)
        if own_fields.adds_fields(resolved):
            inserted += own_fields.list_own_fields(
                self.message,
                resolved,
                reader,
                self._preparer.engine.header_fields,
                self._preparer.keys,
                message_id=message_id,
                transmission_id=self.transmission_id,
                now=now,
            )
        return inserted

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

    def apply_edits(self, edits: Sequence[tuple[int, int, bytes]]) -> bytes:
        """Return the message with the edits of a copy without tracking."""
        if not edits:
            return self.message
        kept, copied = [], 0
        for offset, length, text in edits:
            kept += [self.message[copied:offset], text]
            copied = offset + length
        return b"".join([*kept, self.message[copied:]])


def _unescape(message: bytes, resolved: Resolved) -> bytes:
    # Imported where it is switched on: it brings the reference engine's readers.
    from msys_track.rewriting.escapes import unescape_curly_macros  # noqa: PLC0415

    try:
        return unescape_curly_macros(message, resolved.signed_mail.value)
    except Exception:
        log.exception("message.rewrite_failed", step="unescape")
        return message
