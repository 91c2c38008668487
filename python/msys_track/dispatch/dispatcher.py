"""Opens, decides and renders messages with one set of keys, scopes and policy.

The proxy, the library and the filter all use it, so that they can't disagree.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, replace
from functools import lru_cache, partial
from typing import Protocol

from msys_track.dispatch.copies import Copy, render_alike, render_copies, render_message
from msys_track.dispatch.decide import CopyDecision, Decision, decide_copies
from msys_track.dispatch.edition import Desk, Edition
from msys_track.dispatch.hook import HookedEngine, OnLink
from msys_track.dispatch.inputs import draw_transmission_id
from msys_track.dispatch.message import OpenedMessage
from msys_track.dispatch.prepared import Preparer
from msys_track.dispatch.recipients import Reader
from msys_track.dispatch.wishes import Granted, Wanted, Wish, add_recipients, grant
from msys_track.errors import PolicyRefusedError
from msys_track.keys.ring import KeyRing
from msys_track.logs import event_logger
from msys_track.options import variables
from msys_track.options.arguments import Arguments
from msys_track.options.resolve import Resolved, resolve
from msys_track.options.scopes import Scope, Scopes, address_of
from msys_track.options.tracking import TrackingOptions
from msys_track.policy.changes import Changes
from msys_track.policy.context import Contexts
from msys_track.policy.guard import Guard
from msys_track.policy.hooks import Hook, Transaction
from msys_track.rewriting.engine import Engine, HeaderField
from msys_track.rewriting.engines import find_engine
from msys_track.smtp.path import check_recipients

log = event_logger(__name__)


class Injection(Protocol):
    """How a message came in."""

    @property
    def peer(self) -> str:
        """Address and port of the client."""

    @property
    def listen(self) -> str:
        """Address and port that the client connected to."""

    @property
    def contexts(self) -> Contexts:
        """Policy's variables."""

    @property
    def changes(self) -> Changes | None:
        """What policy wants changed; None if it was never asked."""

    @property
    def id(self) -> str:
        """The transmission id in decimal; empty for none yet."""

    def as_transaction(self) -> Transaction:
        """Return what policy sees; made only where a policy has the hook."""


class Dispatcher:
    """Makes copies with one key ring, one configuration, one policy and one engine.

    Args:
        keys: seals the links.
        options: the configured options if there are no scopes; None for none.
        source: names where `options` come from, for explanations.
        scopes: the scopes of a configuration, in place of `options`.
        policy: is called for each recipient.
        heeds_header: whether X-MSYS-API is obeyed. If not (Momentum's module `smtpapi` is not
            loaded), nothing is tracked and the header is a header like any other.
        engine: finds and applies edits; itself, or its name: `native` is the compiled core,
            `reference` pure Python.
        on_link: decides about each link that may be wrapped; None for none.
        on_rendered: called by `explain` with a decision and its copies.
        sign: returns what stands above the wire bytes of each copy that is sent, to sign them.
    """

    __slots__ = (
        "_heeds_header",
        "_layers_of",
        "_on_rendered",
        "_preparer",
        "_sign",
        "policy",
        "scopes",
    )

    def __init__(  # noqa: PLR0913 - the parts that are put together here
        self,
        *,
        keys: KeyRing,
        options: TrackingOptions | None = None,
        source: str = "configuration",
        scopes: Scopes | None = None,
        policy: Guard | None = None,
        heeds_header: bool = True,
        engine: Engine | str = "native",
        on_link: OnLink | None = None,
        on_rendered: Callable[[Decision, Sequence[Copy]], None] | None = None,
        sign: Callable[[bytes], bytes] | None = None,
    ) -> None:
        configured = Scope(name=source, options=options or TrackingOptions())
        self.scopes = scopes or Scopes(listener=configured)
        self.policy = policy
        # For each mail of a connection they are the same.
        self._layers_of = lru_cache(maxsize=4096)(
            lambda listen, peer, pathway: self.scopes.layers(listen, address_of(peer), pathway)
        )
        self._heeds_header = heeds_header
        self._on_rendered = on_rendered
        self._sign = sign
        found = find_engine(engine)
        self._preparer = Preparer(found if on_link is None else HookedEngine(found, on_link), keys)

    def open(self, message: bytes, recipients: Sequence[str] = ()) -> OpenedMessage:
        """Read a message's header; its edits are found when the first copy needs them.

        Raises:
            RecipientError: a recipient is not a mail address alone.
            HeaderRefusedError: `X-MSYS-API` is malformed.
        """
        check_recipients(recipients)
        return self._open(message, recipients, self._find_layers(None))

    def copy_for(
        self,
        recipient: str,
        message: bytes | OpenedMessage,
        *,
        now: int,
        arguments: Arguments | None = None,
    ) -> Copy:
        """Make the copy of a message for one recipient, as if it were the only one.

        Args:
            recipient: the address that opens and clicks are counted for, without a name.
            message: as received; or opened, so that it is read once for many recipients.
            now: the injection time in Unix seconds.
            arguments: engagement data of the call; they rank as X-MSYS-API does.

        Raises:
            RecipientError: the recipient is not a mail address alone.
            HeaderRefusedError: `X-MSYS-API` is malformed.
        """
        check_recipients((recipient,))
        opened = self.open(message) if isinstance(message, bytes) else message
        readers = [(Reader(recipient, "to"),)]
        resolved = opened.resolve(arguments=arguments, recipient=recipient)
        [copy] = render_alike(opened, readers, resolved, self._preparer.keys, now=now)
        return copy

    def message_for(
        self, recipient: str, message: bytes, *, now: int, arguments: Arguments | None = None
    ) -> bytes:
        """Make the message of `copy_for`, without what tells how it was made.

        Raises:
            RecipientError: as `copy_for` does, whose arguments these are.
            HeaderRefusedError: as `copy_for` does.
        """
        check_recipients((recipient,))
        opened = self._open(message, (), self._find_layers(None))
        resolved = opened.resolve(arguments=arguments, recipient=recipient)
        return render_message(opened, Reader(recipient, "to"), resolved, now=now)

    def copies(
        self,
        message: bytes,
        recipients: Sequence[str],
        *,
        now: int,
        transaction: Injection | None = None,
        arguments: Arguments | None = None,
    ) -> tuple[Copy, ...]:
        """Make what each reader is sent: one copy for all who are sent the same bytes.

        Args:
            message: as received.
            recipients: of the SMTP transaction, each once.
            now: the injection time in Unix seconds.
            transaction: how the message came in, which decides about scopes and policy.
            arguments: engagement data of the call; they rank as X-MSYS-API does.

        Raises:
            RecipientError: a recipient is not a mail address alone.
            HeaderRefusedError: `X-MSYS-API` is malformed; no copy may be sent. PolicyRefusedError:
                policy refused one recipient; no copy may be sent.
        """
        decision = self.decide(message, recipients, transaction=transaction, arguments=arguments)
        return self.render(decision, now=now)

    def decide(
        self,
        message: bytes,
        recipients: Sequence[str],
        *,
        transaction: Injection | None = None,
        arguments: Arguments | None = None,
    ) -> Decision:
        """Call policy, read the header, resolve each recipient's options, and list the copies.

        Raises:
            RecipientError: a recipient is not a mail address alone.
            HeaderRefusedError: `X-MSYS-API` is malformed; no copy may be sent. PolicyRefusedError:
                policy refused it or one recipient; no copy may be sent.
        """
        check_recipients(recipients)  # before policy is called for one
        changes = None if transaction is None else self._ask_about_message(transaction)
        known_id = "" if transaction is None else transaction.id
        transmission_id = int(known_id) if known_id.isdecimal() else draw_transmission_id()
        if changes is not None and changes.is_discarded:
            discarded = dict.fromkeys(recipients, changes.discard_reason) | changes.discarded
            return Decision(message, {}, (), transmission_id, discarded=discarded)
        if changes is not None and changes.added_recipients:
            recipients = add_recipients(recipients, changes.added_recipients)
        wishes = [] if transaction is None else self._list_wishes(recipients, transaction)
        if wishes or not (self._heeds_header and recipients):
            wishes = wishes or [Wish(to, None, None) for to in recipients]
            return self._decide_by_policy(message, wishes, transaction, arguments, transmission_id)
        opened = self._open(
            message,
            recipients,
            self._find_layers(transaction),
            arguments,
            transmission_id=transmission_id,
        )
        options = {to: opened.resolve(recipient=to) for to in recipients}
        copies = tuple(decide_copies(opened, options))
        return Decision(
            message, options, copies, transmission_id, self._sign, opened.needs_smtp_utf8
        )

    def _decide_by_policy(
        self,
        message: bytes,
        wishes: Sequence[Wish],
        transaction: Injection | None,
        arguments: Arguments | None,
        transmission_id: int,
    ) -> Decision:
        """Decide where variables and changes may differ between recipients."""
        find_fields = self._preparer.engine.header_fields
        find_scopes = partial(self._find_scopes, transaction)
        granted = grant(
            wishes,
            message,
            find_fields,
            lambda wish: resolve(find_scopes(wish.contexts)).signed_mail.value,
        )
        editions, bypassed = self._group_alike(granted.wanted)
        desk = Desk(message, find_fields)
        open_edition = partial(
            self._open,
            scopes=find_scopes(None),
            arguments=arguments,
            transmission_id=transmission_id,
        )
        options, copies, needs_smtp_utf8 = _decide_editions(
            editions, granted, desk, open_edition, find_scopes
        )
        for alike in bypassed:
            readers = tuple(Reader(each.address, "to") for each in alike)
            _, _, sender, changes, notices = alike[0]
            source = Edition(desk, changes, partial(self._open, scopes=find_scopes(None)))
            copies.append(CopyDecision(readers, None, source, None, sender, notices))
        return Decision(
            message,
            options,
            tuple(copies),
            transmission_id,
            self._sign,
            needs_smtp_utf8,
            granted.renamed,
            granted.discarded,
        )

    def _group_alike(
        self, wanted: Sequence[Wanted]
    ) -> tuple[Collection[Sequence[Wanted]], Collection[Sequence[Wanted]]]:
        """Return those who get the same edition together, and so those who are bypassed."""
        editions: dict[object, list[Wanted]] = {}
        bypassed: dict[object, list[Wanted]] = {}
        for each in wanted:
            if self._heeds_header and not variables.is_bypassed(each.contexts):
                editions.setdefault((each.changes, each.notices), []).append(each)
            else:
                key = each.changes, each.notices, each.sender
                bypassed.setdefault(key, []).append(each)
        return editions.values(), bypassed.values()

    def find_fields(self, message: bytes, name: bytes) -> Sequence[HeaderField]:
        """Find the fields of a name in a message's header; see `Engine.header_fields`."""
        return self._preparer.engine.header_fields(message, name)

    def render(self, decision: Decision, *, now: int) -> tuple[Copy, ...]:
        """Make the copies that were decided; `now` is the injection time in Unix seconds."""
        return render_copies(decision, self._preparer.keys, now=now)

    @property
    def explains(self) -> bool:
        """Whether each mail is explained."""
        return self._on_rendered is not None

    def explain(self, decision: Decision, *, now: int) -> None:
        """Make the copies once more, with all that was done to them, for who asked for that."""
        if self._on_rendered is not None:
            try:
                self._on_rendered(decision, self.render(decision, now=now))
            except Exception:
                log.exception("explanation.failed")

    def _open(  # noqa: PLR0913 - all that an opened message depends on
        self,
        message: bytes,
        recipients: Sequence[str] = (),
        scopes: tuple[Scope, ...] = (),
        arguments: Arguments | None = None,
        *,
        others: Sequence[str] = (),
        transmission_id: int | None = None,
    ) -> OpenedMessage:
        return OpenedMessage(
            message,
            recipients,
            preparer=self._preparer,
            scopes=scopes,
            arguments=arguments,
            others=others,
            transmission_id=transmission_id,
        )

    def _find_layers(
        self, transaction: Injection | None, pathway: str | None = None
    ) -> tuple[Scope, ...]:
        if transaction is None:
            return self.scopes.layers(None, None)
        return self._layers_of(transaction.listen, transaction.peer, pathway)

    def _find_scopes(
        self, transaction: Injection | None, contexts: Contexts | None
    ) -> tuple[Scope, ...]:
        """Find the scopes of one recipient, whose variables may choose a pathway."""
        pathway = None if contexts is None else contexts.lookup(variables.PATHWAY)
        return self._find_layers(transaction, pathway)

    def _ask_about_message(self, transaction: Injection) -> Changes | None:
        """Call policy for the message; return what it wants changed by now, if anything."""
        if self.policy is not None and Hook.DATA_SPOOL in self.policy.hooks:
            self._ask_policy(Hook.DATA_SPOOL, transaction.as_transaction())
        return transaction.changes or None

    def _list_wishes(self, recipients: Sequence[str], transaction: Injection) -> list[Wish]:
        """Call policy for each recipient; the result is empty if it wants nothing."""
        if self.policy is None or Hook.EACH_RCPT not in self.policy.hooks:
            contexts, changes = transaction.contexts, transaction.changes or None
            is_set = bool(len(contexts.connection) or len(contexts.message))
            if not is_set and changes is None:
                return []
            return [Wish(to, contexts if is_set else None, changes) for to in recipients]
        wishes = []
        whole = transaction.as_transaction()
        for recipient in recipients:
            if recipient in whole.changes.discarded:
                wishes.append(Wish(recipient, None, whole.changes))
                continue
            own, changes = whole.contexts.for_recipient(), whole.changes.for_recipient()
            for_recipient = replace(whole, contexts=own, changes=changes, recipient=recipient)
            self._ask_policy(Hook.EACH_RCPT, for_recipient)
            wishes.append(Wish(recipient, own, changes))
        return wishes

    def _ask_policy(self, hook: Hook, transaction: Transaction) -> None:
        rejection = self.policy.call(hook, transaction) if self.policy is not None else None
        if rejection is not None:
            raise PolicyRefusedError(rejection.code, rejection.text)


def _decide_editions(
    editions: Collection[Sequence[Wanted]],
    granted: Granted,
    desk: Desk,
    open_edition: Callable[..., OpenedMessage],
    find_scopes: Callable[[Contexts | None], tuple[Scope, ...]],
) -> tuple[dict[str, Resolved], list[CopyDecision], bool]:
    """Decide the copies of recipients who are tracked.

    Args:
        editions: those who get the same edition, together.
        granted: what was made of all wishes.
        desk: has the message as received.
        open_edition: opens an edition, given its bytes, its recipients and all other readers.
        find_scopes: finds the scopes of a recipient by policy's variables.

    Returns:
        The options of each recipient in the order of `granted`, the copies, and whether a copy
        needs SMTPUTF8.
    """
    options: dict[str, Resolved] = {}
    copies: list[CopyDecision] = []
    needs_smtp_utf8 = not granted.is_ascii
    served = [*(each.address for each in granted.wanted), *granted.discarded]
    for alike in editions:
        addresses = [each.address for each in alike]
        make = partial(open_edition, recipients=addresses, others=tuple(served))
        changes, notices = alike[0].changes, alike[0].notices
        source = Edition(desk, changes, make) if changes else make(desk.message)
        opened = source.open()
        own = {
            each.address: _resolve_wanted(
                opened, each, find_scopes(each.contexts), granted.renamed
            )
            for each in alike
        }
        senders = {each.address: each.sender for each in alike if each.sender is not None}
        found = decide_copies(opened, own, source, senders)
        copies += [copy._replace(notices=notices) for copy in found] if notices else found
        options |= own
        needs_smtp_utf8 = needs_smtp_utf8 or opened.needs_smtp_utf8
        # Whom the header of several editions names gets the first one.
        served += [each.email for named in opened.readers[1:] for each in named]
    in_order = (each.address for each in granted.wanted if each.address in options)
    return {address: options[address] for address in in_order}, copies, needs_smtp_utf8


def _resolve_wanted(
    opened: OpenedMessage,
    wanted: Wanted,
    scopes: tuple[Scope, ...],
    renamed: Mapping[str, str],
) -> Resolved:
    """Resolve the options of one recipient, and log policy's invalid variables."""
    # The sender knows the address of RCPT, not what policy has made of it.
    named = renamed.get(wanted.address, wanted.address)
    resolved = opened.resolve(wanted.contexts, scopes, recipient=named)
    for ignored in resolved.ignored_variables:
        log.warning("policy.variable_ignored", **asdict(ignored))
    return resolved
