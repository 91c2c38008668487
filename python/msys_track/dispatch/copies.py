"""Copies: one message in, and out comes what each reader is sent.

The proxy, the library and the filter all go this way, so that they can't disagree.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from msys_track.dispatch.message import Planned, Rewritten
from msys_track.errors import PolicyRefused
from msys_track.keys.ring import KeyRing
from msys_track.logs import event_logger
from msys_track.options import variables
from msys_track.options.resolve import Resolved
from msys_track.options.scopes import Scope, Scopes, address_of
from msys_track.options.tracking import TrackingOptions
from msys_track.policy.context import Contexts
from msys_track.policy.guard import Guard
from msys_track.policy.hooks import Hook, Transaction
from msys_track.reasons import Reason
from msys_track.rewriting.engine import Engine
from msys_track.rewriting.native import NativeEngine
from msys_track.smtp.path import check_recipients

log = event_logger(__name__)


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
    notices: tuple[str, ...] = ()
    """Distinct codes of what was asked for and could not be had, such as `ignored_key`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What is to become of a message, before any copy of it is made."""

    message: bytes
    planned: Planned | None
    """None where X-MSYS-API means nothing for any recipient."""
    options: Mapping[str, Resolved]
    """Of each recipient whose copy is made here, in their order."""
    bypassing: tuple[str, ...] = ()
    """The recipients who are sent the message as it came."""

    @property
    def copy_count(self) -> int:
        """How many copies will be made; the message's edits are found for that."""
        planned = self.planned
        if planned is None:
            return 1
        differing = [resolved for resolved in self.options.values() if planned.differs(resolved)]
        first = next(iter(self.options.values()))
        cc = len(planned.readers.cc) if planned.differs(first) else 0
        shared = len(differing) < len(self.options) + len(self.bypassing)
        return len(differing) + cc + len(planned.readers.bcc) + shared

    def copies(self, *, now: int) -> tuple[Copy, ...]:
        """Make the copies; `now` is the injection time in Unix seconds."""
        made = () if self.planned is None else tuple(_copies(self.planned, self.options, now))
        return (*made, _as_it_came(self.message, self.bypassing)) if self.bypassing else made


class Rewriter:
    """Makes copies with one key ring, one configuration, one policy and one engine.

    Args:
        keys: seals the links.
        options: what is configured where there are no scopes; None: nothing is.
        source: names where `options` come from, for whoever asks why one has its value.
        scopes: the scopes of a configuration, in place of `options`.
        policy: what is asked about each recipient.
        heeds_header: whether X-MSYS-API means anything; without it (Momentum's module `smtpapi`
            not loaded) nothing is tracked and the header is a header like any other.
        engine: finds and applies edits; None: the compiled core.
        on_decided: called with each decision; for those who want to know why.
    """

    __slots__ = ("_engine", "_heeds_header", "_keys", "_on_decided", "policy", "scopes")

    def __init__(  # noqa: PLR0913 - the parts that are put together here
        self,
        *,
        keys: KeyRing,
        options: TrackingOptions | None = None,
        source: str = "configuration",
        scopes: Scopes | None = None,
        policy: Guard | None = None,
        heeds_header: bool = True,
        engine: Engine | None = None,
        on_decided: Callable[[Decision], None] | None = None,
    ) -> None:
        configured = Scope(name=source, options=options or TrackingOptions())
        self.scopes = scopes or Scopes(listener=configured)
        self.policy = policy
        self._keys = keys
        self._heeds_header = heeds_header
        self._on_decided = on_decided
        self._engine: Engine = engine or NativeEngine()

    def plan(
        self,
        message: bytes,
        recipients: Sequence[str] = (),
        *,
        transaction: Transaction | None = None,
    ) -> Planned:
        """Read a message's header; its edits are found when the first copy needs them.

        Raises:
            RecipientError: a recipient is not a mail address alone.
            HeaderRefused: `X-MSYS-API` is malformed.
        """
        scopes = self._layers(transaction)
        return Planned(message, recipients, keys=self._keys, engine=self._engine, scopes=scopes)

    def rewritten(self, message: bytes, recipient: str, *, now: int) -> Rewritten:
        """Make the copy of a message for one recipient, as if it were the only one.

        Raises:
            RecipientError: the recipient is not a mail address alone.
            HeaderRefused: `X-MSYS-API` is malformed.
        """
        return self.plan(message, [recipient]).render(recipient, now=now)

    def copies(
        self,
        message: bytes,
        recipients: Sequence[str],
        *,
        now: int,
        transaction: Transaction | None = None,
    ) -> tuple[Copy, ...]:
        """Make what each reader is sent: one copy for all who are sent the same bytes.

        Args:
            message: as received.
            recipients: of the SMTP transaction, each once.
            now: the injection time in Unix seconds.
            transaction: how the message came in, which decides about scopes and policy.

        Raises:
            RecipientError: a recipient is not a mail address alone.
            HeaderRefused: `X-MSYS-API` is malformed; nobody gets the message.
            PolicyRefused: policy refused one recipient; nobody gets the message.
        """
        return self.decide(message, recipients, transaction=transaction).copies(now=now)

    def decide(
        self, message: bytes, recipients: Sequence[str], *, transaction: Transaction | None = None
    ) -> Decision:
        """Read the header, ask policy about each recipient and resolve their options.

        Raises:
            RecipientError: a recipient is not a mail address alone.
            HeaderRefused: `X-MSYS-API` is malformed; nobody gets the message.
            PolicyRefused: policy refused one recipient; nobody gets the message.
        """
        check_recipients(recipients)  # before policy is asked about one
        contexts = self._contexts(recipients, transaction) if self._heeds_header else {}
        served = [to for to in recipients if self._heeds_header and not _bypass(contexts.get(to))]
        planned = self.plan(message, served, transaction=transaction) if served else None
        decision = Decision(
            message=message,
            planned=planned,
            options={
                to: self._resolve(planned, contexts.get(to), transaction)
                for to in served
                if planned is not None
            },
            bypassing=tuple(to for to in recipients if to not in served),
        )
        if self._on_decided is not None:
            self._on_decided(decision)
        return decision

    def _layers(
        self, transaction: Transaction | None, pathway: str | None = None
    ) -> tuple[Scope, ...]:
        if transaction is None:
            return self.scopes.layers(None, None)
        peer = address_of(transaction.peer)
        return self.scopes.layers(transaction.listen, peer, pathway)

    def _contexts(
        self, recipients: Sequence[str], transaction: Transaction | None
    ) -> dict[str, Contexts]:
        """Ask policy about each recipient; without any variables there is nothing to look up."""
        if transaction is None:
            return {}
        policy = self.policy
        if policy is None or Hook.EACH_RCPT not in policy.hooks:
            contexts = transaction.contexts
            return {} if contexts.is_empty else dict.fromkeys(recipients, contexts)
        asked_about = {}
        for recipient in recipients:
            own = transaction.contexts.for_recipient()
            asked = replace(transaction, contexts=own, recipient=recipient)
            rejection = policy.call(Hook.EACH_RCPT, asked)
            if rejection is not None:
                raise PolicyRefused(rejection.code, rejection.text)
            asked_about[recipient] = own
        return asked_about

    def _resolve(
        self, planned: Planned, contexts: Contexts | None, transaction: Transaction | None
    ) -> Resolved:
        pathway = contexts.lookup(variables.PATHWAY) if contexts is not None else None
        scopes = None if pathway is None else self._layers(transaction, pathway)
        resolved = planned.resolve(contexts, scopes)
        for each in resolved.ignored_variables:
            log.warning("policy.variable_ignored", **each._asdict())
        return resolved


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
        recipient: the address that opens and clicks are counted for, without a name.
        keys: seals the links; the tracker needs the same ring.
        options: configured options; None means tracking off.
        now: the injection time in Unix seconds; None means the present.

    Raises:
        RecipientError: the recipient is not a mail address alone.
        HeaderRefused: `X-MSYS-API` is malformed.
    """
    injected_at = int(time.time()) if now is None else now
    return _rewriter(keys, options).rewritten(message, recipient, now=injected_at).message


@lru_cache(maxsize=16)
def _rewriter(keys: KeyRing, options: TrackingOptions | None) -> Rewriter:
    """Keep what `rewrite` has made: callers have few configurations and many messages."""
    return Rewriter(keys=keys, options=options)


def _copies(planned: Planned, options: Mapping[str, Resolved], now: int) -> Iterator[Copy]:
    """Make the copies of those whose options are decided, the recipients' own first.

    Readers whom the header names have the options of the first recipient: it is whose mail
    they get to see.
    """
    to, cc, bcc, archive = planned.readers
    first = options[to[0]]
    # An archive copy has the first recipient's links, and so the first recipient's bytes.
    more = {to[0]: tuple(each.email for each in archive)}
    shared: defaultdict[bool, list[str]] = defaultdict(list)
    for address, resolved in options.items():
        if planned.differs(resolved):
            copy = planned.render(address, now=now, resolved=resolved)
            yield _copy(planned, (address, *more.get(address, ())), copy)
        else:
            shared[resolved.keep_x_msys_api.value] += [address, *more.get(address, ())]
    for mailbox in cc:
        if planned.differs(first):
            copy = planned.render(mailbox.email, now=now, resolved=first, reader="cc")
            yield _copy(planned, (mailbox.email,), copy)
        else:
            shared[first.keep_x_msys_api.value].append(mailbox.email)
    for addresses in shared.values():
        copy = planned.render(addresses[0], now=now, resolved=options.get(addresses[0], first))
        yield _copy(planned, tuple(addresses), copy)
    for mailbox in bcc:
        copy = planned.render(mailbox.email, now=now, resolved=first, reader="bcc", bcc=mailbox)
        yield _copy(planned, (mailbox.email,), copy)


def _copy(planned: Planned, recipients: tuple[str, ...], rewritten: Rewritten) -> Copy:
    reasons = dict.fromkeys(reason.value for _, _, reason in rewritten.left_alone)
    return Copy(
        recipients=recipients,
        message=rewritten.message,
        message_id=rewritten.message_id,
        wrapped_links=rewritten.wrapped_links,
        pixels=rewritten.pixels,
        reasons=tuple(reasons),
        notices=planned.notices(rewritten),
    )


def _as_it_came(message: bytes, recipients: Sequence[str]) -> Copy:
    return Copy(
        recipients=tuple(recipients),
        message=message,
        message_id=None,
        wrapped_links=0,
        pixels=0,
        reasons=(Reason.BYPASSED.value,),
    )


def _bypass(contexts: Contexts | None) -> bool:
    return contexts is not None and variables.is_bypassed(contexts)
