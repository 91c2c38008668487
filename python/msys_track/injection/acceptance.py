"""Turns a received message into copies, and the upstream's replies into one reply to DATA.

Kept apart from the session, so that it ends its work even if the client does not wait for it.
Until the first copy is out, a refusal reaches the client and nobody has the mail. From then on the
client is never asked to repeat it, as each repetition would reach everybody who has it: what could
not be sent goes to the spool, or the answer is final and names who was served.
"""

import asyncio
import re
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from time import monotonic, perf_counter
from typing import Final, NamedTuple, TypeAlias, TypeVar

from msys_track.dispatch.decide import CopyDecision, Decision
from msys_track.dispatch.dispatcher import Dispatcher
from msys_track.dispatch.outgoing import OutgoingCopy, make_outgoing
from msys_track.errors import (
    HeaderRefusedError,
    MessageRefusedError,
    PartlyTakenError,
    SpoolError,
    SpoolFullError,
    UpstreamError,
)
from msys_track.injection.budget import Hold
from msys_track.injection.envelope import Envelope
from msys_track.injection.intake import DataRefusedError
from msys_track.injection.keeper import MailKeeper
from msys_track.injection.memory import MemoryReturn
from msys_track.injection.message_events import MessageEvents
from msys_track.injection.record import SERVED, Made, Recorder, SentCopy, find_queue_id
from msys_track.injection.repeats import Repeats
from msys_track.logs import event_logger
from msys_track.metrics import Counters
from msys_track.relay.upstream import Delivery, NextHop, Row, Transaction
from msys_track.smtp.data import THREAD_FROM_BYTES
from msys_track.smtp.path import Recipient
from msys_track.smtp.received import Way, write_received
from msys_track.smtp.reply import Reply
from msys_track.spool.spool import Spool

log = event_logger(__name__)

FAILED: Final = Reply(451, "4.3.0 Internal error of the tracking proxy")
_DISCARDED: Final = Reply(250, "2.0.0 Ok: discarded")

# Of addresses and queue ids in one reply.
_MAX_NAMED: Final = 20

# Large messages that one worker rewrites at one time: what is found in one can take twenty times
# its size while that lasts.
_LARGE_AT_ONCE: Final = 2

_ENHANCED: Final = re.compile(r"[245]\.\d{1,3}\.\d{1,3} ")


_Result = TypeVar("_Result")
_TakeOver: TypeAlias = Callable[..., Awaitable[str]]


class _Failure(NamedTuple):
    """A copy that the upstream did not take."""

    place: int
    """Of its account in the list of what was sent."""
    copy: CopyDecision
    recipients: tuple[Recipient, ...]
    error: UpstreamError


class _UnderWay(NamedTuple):
    """A copy that is made, and whose answer is to come."""

    copy: CopyDecision
    delivery: Delivery
    message_id: str | None
    begun: float


class _Passage:
    """One message on its way."""

    __slots__ = (
        "_by_path",
        "decision",
        "envelope",
        "hold",
        "is_gone",
        "made",
        "received",
        "sent",
        "stages",
        "upstream",
    )

    def __init__(
        self, envelope: Envelope, upstream: NextHop, hold: Hold, is_gone: Callable[[], bool]
    ) -> None:
        self.envelope = envelope
        self.upstream = envelope.upstream or upstream
        self.hold = hold
        self.is_gone = is_gone
        self.decision: Decision
        self.received = b""  # the field of that name, which every copy has
        self._by_path: dict[str, Recipient] = {}
        self.made = Made()
        self.sent: list[SentCopy] = []
        self.stages = {"receive": envelope.receive_seconds}

    @property
    def mail_parameters(self) -> tuple[str, ...]:
        """The client's, and SMTPUTF8 where another than it names an address beyond ASCII."""
        given = self.envelope.mail_parameters
        if not self.decision.needs_smtp_utf8 or "SMTPUTF8" in given:
            return given
        return (*given, "SMTPUTF8")

    @property
    def is_out(self) -> bool:
        """Whether anybody has the mail."""
        return any(each.outcome == "relayed" for each in self.sent)

    def find_recipients(self, copy: CopyDecision) -> tuple[Recipient, ...]:
        """Return the RCPTs of a copy, those of the client with their parameters."""
        given = self.envelope.recipients
        if len(given) == 1 and len(copy.readers) == 1 and copy.readers[0].address == given[0].path:
            return given
        if not self._by_path:
            self._by_path = {each.path: each for each in given}
            for new, old in self.decision.renamed.items():
                if (known := self._by_path.get(old)) is not None:
                    self._by_path[new] = known._replace(path=new)
        return tuple(
            self._by_path.get(reader.address) or Recipient(path=reader.address)
            for reader in copy.readers
        )

    def find_sender(self, copy: CopyDecision) -> str:
        """Return the reverse-path of a copy: the client's, or what policy has made of it."""
        return self.envelope.sender if copy.sender is None else copy.sender


class Acceptance:
    """Rewrites and relays messages, one `answer` each.

    Attributes:
        rewriter: Makes the copies; another one may take its place at any time.

    Args:
        rewriter: Makes the copies.
        upstream: Takes them.
        counters: Count what happens.
        spool: Takes over what could not be sent; None: nothing does.
        copies_at_once: How many copies of one message are under way at most.
        shows_addresses: Whether addresses stand in the log whole.
        received_by: Our name in the `Received` field of each copy; None: there is none.
        events: Writes events of the mail itself; None: there are none.
    """

    def __init__(  # noqa: PLR0913 - the parts of one proxy
        self,
        rewriter: Dispatcher,
        upstream: NextHop,
        counters: Counters,
        *,
        spool: Spool | None = None,
        copies_at_once: int = 10,
        shows_addresses: bool = False,
        received_by: str | None = None,
        events: MessageEvents | None = None,
        keeper: MailKeeper | None = None,
    ) -> None:
        self.rewriter = rewriter
        self.events = events
        self._keeper = keeper
        self._upstream = upstream
        self._counters = counters
        self._spool = spool
        self._copies_at_once = copies_at_once
        self._received_by = received_by
        self._repeats = Repeats(monotonic)
        self._memory = MemoryReturn()
        self._threads = asyncio.Semaphore(_LARGE_AT_ONCE)
        self._recorder = Recorder(counters, shows_addresses=shows_addresses)

    async def answer(
        self, envelope: Envelope, hold: Hold, client_is_gone: Callable[[], bool]
    ) -> Reply:
        """Return the reply to DATA, and release `hold`.

        If the client is gone before anything was sent, nothing is sent: it will try again.
        Once one copy is out, the others follow without it.
        """
        passage = _Passage(envelope, self._upstream, hold, client_is_gone)
        started = perf_counter()
        try:
            if self._repeats:
                repeated = await self._repeats.find_answer(envelope, client_is_gone)
                if repeated is not None:
                    self._recorder.record_repeated(envelope, repeated)
                    return repeated
            await self._decide(passage)
            passage.stages["decide"] = perf_counter() - started
            copies = passage.decision.copies
            if not copies:
                self._counters.add("messages.accepted")
                self._counters.add("messages.discarded")
                return _DISCARDED
            alone = len(copies) == 1
            reply = await (self._send_one(passage) if alone else self._send_once(passage))
            stages = passage.stages
            stages["rewrite"] = passage.made.seconds
            stages["total"] = perf_counter() - started + envelope.receive_seconds
            self._recorder.record_accepted(envelope, passage.made, passage.sent, stages)
            self._note_accepted(passage)
        except DataRefusedError as refused:
            passage.stages["total"] = perf_counter() - started + envelope.receive_seconds
            self._recorder.record_refused(
                envelope, refused.why, refused.reply, passage.sent, passage.stages
            )
            if self.events is not None and refused.why == "policy":
                self.events.note_rejected(envelope, refused.reply)
            return refused.reply
        except asyncio.CancelledError:
            if passage.sent:
                why = "shut down before all copies were sent"
                self._recorder.record_unserved(envelope, why, passage.sent)
            raise
        except Exception:  # the outermost frame: the session, which would see it, may be gone
            self._counters.add("messages.refused.internal")
            log.exception("message.failed", recipients=len(envelope.recipients))
            return FAILED
        finally:
            hold.release()
            self._memory.note(len(envelope.message))
        return reply

    def _note_accepted(self, passage: _Passage) -> None:
        if self.events is not None:
            self.events.note_accepted(passage.envelope, passage.decision, passage.sent)
        if self._keeper is not None:
            self._keeper.note_accepted(passage.envelope, passage.decision)

    async def _decide(self, passage: _Passage) -> None:
        envelope, rewriter = passage.envelope, self.rewriter
        message = envelope.message
        to = [each.path for each in envelope.recipients]
        try:
            if len(message) < THREAD_FROM_BYTES:
                passage.decision = rewriter.decide(message, to, transaction=envelope)
            else:
                decide = partial(rewriter.decide, message, to, transaction=envelope)
                passage.decision = await self._run_in_thread(decide)
        except MessageRefusedError as refused:
            why = "header" if isinstance(refused, HeaderRefusedError) else "policy"
            raise DataRefusedError(why, Reply(refused.code, refused.text)) from refused
        if passage.decision.discarded:
            self._recorder.record_discarded(envelope, passage.decision)
        if self._received_by is not None:
            passage.received = _write_received(passage, self._received_by)
        if rewriter.explains:
            decision, now = passage.decision, int(envelope.received_at)
            await asyncio.to_thread(rewriter.explain, decision, now=now)

    # One copy

    async def _send_one(self, passage: _Passage) -> Reply:
        envelope, (copy,) = passage.envelope, passage.decision.copies
        delivery, message_id = await self._make(passage, copy)
        if passage.is_gone():
            raise _report_gone()
        started = perf_counter()
        relay: NextHop | Transaction = envelope.exchange or passage.upstream
        try:
            reply = await relay.deliver(delivery)
        except UpstreamError as error:
            failed = self._note_failure(passage, copy, message_id, error, started)
            if not passage.is_out:
                return await self._keep_all_or_refuse(passage, error)
            await self._hand_over(passage, failed)
            return self._answer_for_all(passage)
        finally:
            passage.stages["relay"] = perf_counter() - started
        self._note_success(passage, copy, message_id, reply, started)
        return reply

    # Several copies

    async def _send_once(self, passage: _Passage) -> Reply:
        """Send all copies, so that a client which does not wait for that can repeat it."""
        key = self._repeats.begin(passage.envelope, passage.is_gone)
        reply: Reply | None = None
        try:
            reply = await self._send_all(passage)
        finally:
            self._repeats.end(key, reply)
        return reply

    async def _send_all(self, passage: _Passage) -> Reply:
        """Send the first copy alone: what is refused for all is refused before anybody has it."""
        first, *others = passage.decision.copies
        started = perf_counter()
        delivery, message_id = await self._make(passage, first)
        failed: list[_Failure] = []
        try:
            await self._verify(passage, delivery.size)
            if passage.is_gone():
                raise _report_gone()
            begun = perf_counter()
            try:
                reply = await passage.upstream.deliver(delivery)
            except UpstreamError as error:
                failed += self._note_failure(passage, first, message_id, error, begun)
                if not passage.is_out:
                    raise
            else:
                self._note_success(passage, first, message_id, reply, begun)
        except UpstreamError as error:
            return await self._keep_all_or_refuse(passage, error)
        self._end_growth(passage, delivery)
        del delivery
        failed += await self._send_others(passage, others)
        passage.stages["relay"] = perf_counter() - started - passage.made.seconds
        await self._hand_over(passage, failed)
        return self._answer_for_all(passage)

    async def _verify(self, passage: _Passage, size: int) -> None:
        """Ask the upstream about every reader that it has not been asked about."""
        envelope = passage.envelope
        asked: set[str] = set()
        if envelope.exchange is not None:
            asked = {each.path for each in envelope.recipients}
            envelope.exchange.drop()  # never wait for a second connection while holding one
        to_ask: dict[str, list[Recipient]] = {}
        for copy in passage.decision.copies:
            known = asked if copy.sender is None else ()
            new = [each for each in passage.find_recipients(copy) if each.path not in known]
            if new:
                to_ask.setdefault(passage.find_sender(copy), []).extend(new)
        kept = [each for each in passage.mail_parameters if not _is_size(each)]
        parameters = (*kept, f"SIZE={size}")
        for sender, recipients in to_ask.items():
            await passage.upstream.verify(sender, parameters, recipients)

    async def _send_others(
        self, passage: _Passage, others: Sequence[CopyDecision]
    ) -> list[_Failure]:
        """Send copies, several at a time, and list those that the upstream did not take."""
        failed: list[_Failure] = []
        waiting = iter(others)
        is_large = len(passage.envelope.message) >= THREAD_FROM_BYTES
        send = self._send_one_by_one if is_large else self._send_row
        at_once = min(self._copies_at_once, len(others))
        # The first works in the room that the message has; the others where there is more.
        work = (send(passage, waiting, failed, borrows=number > 0) for number in range(at_once))
        await asyncio.gather(*work)
        return failed

    async def _send_row(
        self,
        passage: _Passage,
        waiting: Iterator[CopyDecision],
        failed: list[_Failure],
        *,
        borrows: bool,
    ) -> None:
        """Send copies behind each other; a small one costs less than to wait for its answer."""
        # One is made while the one before is under way.
        hold, size = passage.hold, len(passage.envelope.message)
        held = 2 * size if borrows else size
        if not borrows:
            hold.add(held)
        elif not hold.borrow(held):
            return
        under_way: deque[_UnderWay] = deque()

        def take() -> Delivery | None:
            for copy in waiting:
                begun = perf_counter()
                try:
                    delivery, message_id = self._make_now(passage, copy)
                except Exception:  # others have the mail, so that it must not be answered 451
                    log.exception("copy.failed")
                    failed.extend(self._note_failure(passage, copy, None, _make_defect(), begun))
                else:
                    under_way.append(_UnderWay(copy, delivery, message_id, begun))
                    return delivery
            return None

        def note(result: Reply | UpstreamError) -> None:
            copy, delivery, message_id, begun = under_way.popleft()
            self._end_growth(passage, delivery)
            if isinstance(result, UpstreamError):
                failed.extend(self._note_failure(passage, copy, message_id, result, begun))
            else:
                self._note_success(passage, copy, message_id, result, begun)

        try:
            await passage.upstream.deliver_row(Row(take, note))
        finally:
            hold.give_back(held)

    async def _send_one_by_one(
        self,
        passage: _Passage,
        waiting: Iterator[CopyDecision],
        failed: list[_Failure],
        *,
        borrows: bool,
    ) -> None:
        """Send copies, each made in a thread when its turn has come."""
        hold, size = passage.hold, len(passage.envelope.message)
        while not borrows or hold.borrow(size):
            try:
                copy = next(waiting, None)
                if copy is None:
                    return
                failed += await self._send_other(passage, copy)
            finally:
                if borrows:
                    hold.give_back(size)

    async def _send_other(self, passage: _Passage, copy: CopyDecision) -> list[_Failure]:
        message_id: str | None = None
        begun = perf_counter()
        try:
            delivery, message_id = await self._make(passage, copy)
            begun = perf_counter()
            try:
                reply = await passage.upstream.deliver(delivery)
            finally:
                self._end_growth(passage, delivery)
        except UpstreamError as error:
            return self._note_failure(passage, copy, message_id, error, begun)
        except Exception:  # others have the mail, so that it must not be answered 451
            log.exception("copy.failed")
            return self._note_failure(passage, copy, message_id, _make_defect(), begun)
        self._note_success(passage, copy, message_id, reply, begun)
        return []

    async def _hand_over(self, passage: _Passage, failed: Sequence[_Failure]) -> None:
        """Give the spool what others have got already: to send it later, or to report it."""
        spool = self._find_spool(passage.envelope)
        if spool is None or not failed:
            return
        groups: dict[tuple[bool, str], list[_Failure]] = {}
        for each in failed:
            why = f"{each.error.code} {each.error.text}"
            groups.setdefault((each.error.is_final, why), []).append(each)
        for (is_final, why), group in groups.items():
            take_over = spool.report if is_final else spool.keep
            queue_id = await self._give(passage, take_over, group, why)
            if queue_id is None:
                continue
            outcome = "reported" if is_final else "kept"
            for each in group:
                sent = passage.sent[each.place]
                passage.sent[each.place] = sent._replace(outcome=outcome, queue_id=queue_id)

    async def _give(
        self,
        passage: _Passage,
        take_over: _TakeOver,
        group: Sequence[_Failure],
        why: str,
    ) -> str | None:
        """Return the spool's name for copies, or None if it does not take them over."""
        envelope, decision = passage.envelope, passage.decision

        def make_deliveries() -> Iterator[Delivery]:
            """Make each copy again when it is its turn; all of them could be too much memory."""
            for each in group:
                copy = make_outgoing(
                    decision,
                    each.copy,
                    now=int(envelope.received_at),
                    message_id=passage.sent[each.place].message_id,
                    received=passage.received,
                )
                yield _make_delivery(passage, each.copy, copy, each.recipients)

        try:
            return await take_over(
                passage.mail_parameters,
                make_deliveries(),
                envelope_id=_find_envelope_id(passage),
                why=why,
            )
        except SpoolError as error:
            log.error("spool.failed", why=str(error))  # noqa: TRY400 - it says what to do
        except Exception:
            log.exception("spool.failed")
        return None

    def _answer_for_all(self, passage: _Passage) -> Reply:
        sent = passage.sent
        unserved = [each for each in sent if each.outcome not in SERVED]
        if unserved:
            reply = _write_final_answer(sent, unserved)
            self._recorder.record_unserved(passage.envelope, reply.text, sent)
            return reply
        count = sum(each.outcome == "relayed" for each in sent)
        text = f"2.0.0 Ok: {count} copies relayed" if count != 1 else "2.0.0 Ok: 1 copy relayed"
        for outcome in ("kept", "reported"):
            count = sum(each.outcome == outcome for each in sent)
            if count:
                text += f", {count} {outcome}"
        found = (each.queue_id or find_queue_id(each.reply.text) for each in sent)
        ids = list(dict.fromkeys(each for each in found if each is not None))
        return Reply(250, f"{text}: {_join(ids)}" if ids else text)

    async def _keep_all_or_refuse(self, passage: _Passage, error: UpstreamError) -> Reply:
        """Keep a message that nobody has, if the spool is for that; else refuse it.

        Raises:
            DataRefusedError: nothing was sent or kept.
        """
        spool = self._find_spool(passage.envelope)
        refusal = DataRefusedError("upstream", Reply(error.code, _name_recipient(error, passage)))
        if spool is None or not spool.keeps_always or error.outcome != "not_sent":
            raise refusal from error
        envelope, decision = passage.envelope, passage.decision
        why = f"{error.code} {error.text}"
        made, kept = Made(), list[SentCopy]()

        def make_deliveries() -> Iterator[Delivery]:
            for copy in decision.copies:
                outgoing = make_outgoing(
                    decision, copy, now=int(envelope.received_at), received=passage.received
                )
                made.add(outgoing)
                reply, names = Reply(error.code, error.text), _name_all(copy)
                kept.append(SentCopy(names, outgoing.message_id, reply, 0.0, outcome="kept"))
                yield _make_delivery(passage, copy, outgoing, passage.find_recipients(copy))

        try:
            queue_id = await spool.keep(
                passage.mail_parameters,
                make_deliveries(),
                envelope_id=_find_envelope_id(passage),
                why=why,
            )
        except SpoolFullError as full:
            raise DataRefusedError("spool_full", Reply(452, "4.3.1 The spool is full")) from full
        except SpoolError as failed:
            log.error("spool.failed", why=str(failed))  # noqa: TRY400 - it says what to do
            raise refusal from error
        passage.made = made
        passage.sent = [each._replace(queue_id=queue_id) for each in kept]
        return Reply(250, f"2.0.0 Ok: kept as {queue_id}")

    # Steps

    def _find_spool(self, envelope: Envelope) -> Spool | None:
        """Return the spool, which can't send in the name of a user whom the upstream checks."""
        return self._spool if envelope.upstream is None else None

    async def _run_in_thread(self, work: Callable[[], _Result]) -> _Result:
        """Do work on a large message."""
        async with self._threads:
            return await asyncio.to_thread(work)

    async def _make(self, passage: _Passage, copy: CopyDecision) -> tuple[Delivery, str | None]:
        if len(passage.envelope.message) < THREAD_FROM_BYTES:
            return self._make_now(passage, copy)
        begun, now = perf_counter(), int(passage.envelope.received_at)
        make = partial(make_outgoing, passage.decision, copy, now=now, received=passage.received)
        return self._note_made(passage, copy, await self._run_in_thread(make), begun)

    def _make_now(self, passage: _Passage, copy: CopyDecision) -> tuple[Delivery, str | None]:
        begun, now = perf_counter(), int(passage.envelope.received_at)
        outgoing = make_outgoing(passage.decision, copy, now=now, received=passage.received)
        return self._note_made(passage, copy, outgoing, begun)

    def _note_made(
        self, passage: _Passage, copy: CopyDecision, outgoing: OutgoingCopy, begun: float
    ) -> tuple[Delivery, str | None]:
        passage.made.add(outgoing)
        passage.made.seconds += perf_counter() - begun
        size = len(passage.envelope.message)
        if outgoing.size > size:
            passage.hold.add(outgoing.size - size)
        delivery = _make_delivery(passage, copy, outgoing, passage.find_recipients(copy))
        return delivery, outgoing.message_id

    def _end_growth(self, passage: _Passage, delivery: Delivery) -> None:
        growth = delivery.size - len(passage.envelope.message)
        if growth > 0:
            passage.hold.give_back(growth)

    def _note_success(
        self,
        passage: _Passage,
        copy: CopyDecision,
        message_id: str | None,
        reply: Reply,
        begun: float,
    ) -> None:
        passage.sent.append(SentCopy(_name_all(copy), message_id, reply, perf_counter() - begun))

    def _note_failure(
        self,
        passage: _Passage,
        copy: CopyDecision,
        message_id: str | None,
        error: UpstreamError,
        begun: float,
    ) -> list[_Failure]:
        seconds = perf_counter() - begun
        recipients = passage.find_recipients(copy)
        parts = [(recipients, error)]
        if isinstance(error, PartlyTakenError):
            parts = [
                ((each,), error.refused[each.path])
                for each in recipients
                if each.path in error.refused
            ]
            relayed = SentCopy(error.taken, message_id, Reply(250, "taken"), seconds)
            passage.sent.append(relayed)
        failed = []
        for to, why in parts:
            failed.append(_Failure(len(passage.sent), copy, to, why))
            names, reply = tuple(each.path for each in to), Reply(why.code, why.text)
            passage.sent.append(SentCopy(names, message_id, reply, seconds, outcome=why.outcome))
        return failed


def _make_delivery(
    passage: _Passage,
    copy: CopyDecision,
    made: OutgoingCopy,
    recipients: tuple[Recipient, ...],
) -> Delivery:
    return Delivery(
        passage.find_sender(copy),
        recipients,
        made.wire,
        made.size,
        made.is_seven_bit,
        passage.mail_parameters,
    )


def _write_received(passage: _Passage, hostname: str) -> bytes:
    envelope, copies = passage.envelope, passage.decision.copies
    # Who is not alone is not named: others would read of a blind copy (RFC 5321 section 7.2).
    is_alone = len(copies) == 1 and len(copies[0].readers) == 1
    way = Way(
        envelope.helo,
        envelope.peer,
        hostname,
        envelope.is_extended,
        envelope.is_encrypted,
        envelope.user is not None,
        "SMTPUTF8" in envelope.mail_parameters,
    )
    return write_received(
        way,
        passage.decision.transmission_id,
        copies[0].readers[0].address if is_alone else None,
        envelope.received_at,
    )


def _report_gone() -> DataRefusedError:
    return DataRefusedError("client_gone", Reply(451, "4.4.2 The client closed the connection"))


def _make_defect() -> UpstreamError:
    return UpstreamError(451, "4.3.0 Internal error", outcome="not_sent")


def _is_size(parameter: str) -> bool:
    return parameter.upper().startswith("SIZE=")


def _find_envelope_id(passage: _Passage) -> str:
    return f"{passage.decision.transmission_id:x}"


def _name_all(copy: CopyDecision) -> tuple[str, ...]:
    return tuple(reader.address for reader in copy.readers)


def _name_recipient(error: UpstreamError, passage: _Passage) -> str:
    """Return a refusal's text with the address that it is about, where it could be another's."""
    readers = sum(len(copy.readers) for copy in passage.decision.copies)
    if error.recipient is None or readers == 1 or error.recipient in error.text:
        return error.text
    enhanced = _ENHANCED.match(error.text)
    start = enhanced[0] if enhanced is not None else ""
    return f"{start}<{error.recipient}>: {error.text.removeprefix(start)}"


def _write_final_answer(sent: Sequence[SentCopy], unserved: Sequence[SentCopy]) -> Reply:
    """Say who was served; to repeat the mail to all would serve them twice."""
    served = [to for each in sent if each.outcome in SERVED for to in each.recipients]
    lines = [
        f"{len(sent) - len(unserved)} of {len(sent)} copies relayed; do not send it to all again",
        *(
            f"not sent to {_join(each.recipients)}: {each.reply.code} {each.reply.text}"
            for each in unserved[:_MAX_NAMED]
        ),
        *([f"and {len(unserved) - _MAX_NAMED} more"] if len(unserved) > _MAX_NAMED else []),
        f"sent to {_join(served)}",
    ]
    texts = (f"5.3.0 {line}".replace("\n", " ") for line in lines)
    return Reply(554, "\n".join(texts))


def _join(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
    return ", ".join(names[:_MAX_NAMED]) + more
