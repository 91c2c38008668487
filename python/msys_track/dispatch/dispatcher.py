"""Opens, decides and renders messages with one set of keys, scopes and policy.

The proxy, the library and the filter all use it, so that they can't disagree.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import lru_cache
from typing import Protocol

from msys_track.dispatch.copies import Copy, render_alike, render_copies
from msys_track.dispatch.decide import CopyDecision, Decision, decide_copies
from msys_track.dispatch.hook import HookedEngine, OnLink
from msys_track.dispatch.message import OpenedMessage
from msys_track.dispatch.prepared import Preparer
from msys_track.dispatch.recipients import Reader
from msys_track.errors import PolicyRefusedError
from msys_track.keys.ring import KeyRing
from msys_track.logs import event_logger
from msys_track.options import variables
from msys_track.options.arguments import Arguments
from msys_track.options.scopes import Scope, Scopes, address_of
from msys_track.options.tracking import TrackingOptions
from msys_track.policy.context import Contexts
from msys_track.policy.guard import Guard
from msys_track.policy.hooks import Hook, Transaction
from msys_track.rewriting.engine import Engine
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
        if self.policy and transaction is not None and Hook.DATA_SPOOL in self.policy.hooks:
            self._ask_policy(Hook.DATA_SPOOL, transaction.as_transaction())
        contexts = self._collect_contexts(recipients, transaction) if self._heeds_header else {}
        if self._heeds_header and not contexts and recipients:
            opened = self._open(message, recipients, self._find_layers(transaction), arguments)
            options = {to: opened.resolve(recipient=to) for to in recipients}
            copies = tuple(decide_copies(opened, options))
            return Decision(message, opened, options, copies, self._sign)
        return self._decide_by_policy(message, recipients, contexts, transaction, arguments)

    def _decide_by_policy(
        self,
        message: bytes,
        recipients: Sequence[str],
        contexts: Mapping[str, Contexts],
        transaction: Injection | None,
        arguments: Arguments | None,
    ) -> Decision:
        """Resolve the options of each recipient, where variables may differ between them."""
        served = [
            to
            for to in recipients
            if self._heeds_header and not variables.is_bypassed(contexts.get(to))
        ]
        opened: OpenedMessage | None = None
        options = {}
        copies: list[CopyDecision] = []
        if served:
            scopes = self._find_layers(transaction)
            opened = self._open(message, served, scopes, arguments)
            for to in served:
                pathway = contexts[to].lookup(variables.PATHWAY) if to in contexts else None
                own = None if pathway is None else self._find_layers(transaction, pathway)
                options[to] = opened.resolve(contexts.get(to), own, recipient=to)
                for each in options[to].ignored_variables:
                    log.warning("policy.variable_ignored", **asdict(each))
            copies = decide_copies(opened, options)
        bypassed = tuple(Reader(to, "to") for to in recipients if to not in options)
        if bypassed:
            copies.append(CopyDecision(bypassed, None))
        return Decision(
            message=message,
            opened=opened,
            options=options,
            copies=tuple(copies),
            sign=self._sign,
        )

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

    def _open(
        self,
        message: bytes,
        recipients: Sequence[str],
        scopes: tuple[Scope, ...],
        arguments: Arguments | None = None,
    ) -> OpenedMessage:
        return OpenedMessage(
            message,
            recipients,
            preparer=self._preparer,
            scopes=scopes,
            arguments=arguments,
        )

    def _find_layers(
        self, transaction: Injection | None, pathway: str | None = None
    ) -> tuple[Scope, ...]:
        if transaction is None:
            return self.scopes.layers(None, None)
        return self._layers_of(transaction.listen, transaction.peer, pathway)

    def _collect_contexts(
        self, recipients: Sequence[str], transaction: Injection | None
    ) -> dict[str, Contexts]:
        """Call policy for each recipient; the result is empty if no variable is set."""
        if transaction is None:
            return {}
        if self.policy is None or Hook.EACH_RCPT not in self.policy.hooks:
            contexts = transaction.contexts
            is_set = len(contexts.connection) or len(contexts.message)
            return dict.fromkeys(recipients, contexts) if is_set else {}
        contexts_of = {}
        whole = transaction.as_transaction()
        for recipient in recipients:
            own = whole.contexts.for_recipient()
            for_recipient = replace(whole, contexts=own, recipient=recipient)
            self._ask_policy(Hook.EACH_RCPT, for_recipient)
            contexts_of[recipient] = own
        return contexts_of

    def _ask_policy(self, hook: Hook, transaction: Transaction) -> None:
        rejection = self.policy.call(hook, transaction) if self.policy is not None else None
        if rejection is not None:
            raise PolicyRefusedError(rejection.code, rejection.text)
