"""Turns a received message into copies, and the upstream's replies into one reply to DATA.

Kept apart from the session, so that it ends its work even if the client does not wait for it.
Until the first copy is out, a refusal reaches the client and nobody has the mail. From then on the
client is never asked to repeat it, as each repetition would reach everybody who has it: what could
not be sent goes to the spool, or the answer is final and names who was served.
"""

import asyncio
from collections.abc import Callable, Sequence
from time import monotonic, perf_counter
from typing import Final

from msys_track.dispatch.dispatcher import Dispatcher
from msys_track.errors import (
    HeaderRefusedError,
    MessageRefusedError,
    SpoolError,
    SpoolFullError,
    UpstreamError,
)
from msys_track.injection.answers import (
    CLIENT_GONE,
    name_recipient,
    write_answer,
    write_final_answer,
)
from msys_track.injection.budget import Hold
from msys_track.injection.envelope import Envelope
from msys_track.injection.fan_out import FanOut
from msys_track.injection.intake import DataRefusedError
from msys_track.injection.keeper import MailKeeper
from msys_track.injection.making import prepare_copy
from msys_track.injection.memory import MemoryReturn
from msys_track.injection.message_events import MessageEvents
from msys_track.injection.passage import Failure, Passage
from msys_track.injection.record import SERVED, Recorder
from msys_track.injection.repeats import Repeats
from msys_track.injection.spooling import hand_over, keep_all
from msys_track.logs import event_logger
from msys_track.metrics import Counters
from msys_track.relay.upstream import NextHop, Transaction
from msys_track.smtp.data import THREAD_FROM_BYTES
from msys_track.smtp.reply import Reply
from msys_track.spool.spool import Spool

log = event_logger(__name__)

FAILED: Final = Reply(451, "4.3.0 Internal error of the tracking proxy")
_DISCARDED: Final = Reply(250, "2.0.0 Ok: discarded")

# Large messages that one worker rewrites at one time: what is found in one can take twenty times
# its size while that lasts.
_LARGE_AT_ONCE: Final = 2


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
        self._received_by = received_by
        self._repeats = Repeats(monotonic)
        self._memory = MemoryReturn()
        self._threads = asyncio.Semaphore(_LARGE_AT_ONCE)
        self._fan_out = FanOut(copies_at_once, self._threads)
        self._recorder = Recorder(counters, shows_addresses=shows_addresses)

    async def answer(
        self, envelope: Envelope, hold: Hold, client_is_gone: Callable[[], bool]
    ) -> Reply:
        """Return the reply to DATA, and release `hold`.

        If the client is gone before anything was sent, nothing is sent: it will try again.
        Once one copy is out, the others follow without it.
        """
        passage = Passage(envelope, self._upstream, hold, client_is_gone)
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
            reply = await (self._send_one(passage) if alone else self._send_several(passage))
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

    def _note_accepted(self, passage: Passage) -> None:
        if self.events is not None:
            self.events.note_accepted(passage.envelope, passage.decision, passage.sent)
        if self._keeper is not None:
            self._keeper.note_accepted(passage.envelope, passage.decision)

    async def _decide(self, passage: Passage) -> None:
        envelope, rewriter = passage.envelope, self.rewriter
        message = envelope.message
        to = [each.path for each in envelope.recipients]
        try:
            if len(message) < THREAD_FROM_BYTES:
                passage.decision = rewriter.decide(message, to, transaction=envelope)
            else:
                async with self._threads:
                    passage.decision = await asyncio.to_thread(
                        rewriter.decide, message, to, transaction=envelope
                    )
        except MessageRefusedError as refused:
            why = "header" if isinstance(refused, HeaderRefusedError) else "policy"
            raise DataRefusedError(why, Reply(refused.code, refused.text)) from refused
        if passage.decision.discarded:
            self._recorder.record_discarded(envelope, passage.decision)
        if self._received_by is not None:
            passage.received = passage.write_received(self._received_by)
        if rewriter.explains:
            decision, now = passage.decision, int(envelope.received_at)
            await asyncio.to_thread(rewriter.explain, decision, now=now)

    async def _send_one(self, passage: Passage) -> Reply:
        envelope, (copy,) = passage.envelope, passage.decision.copies
        delivery, message_id = await prepare_copy(passage, copy, self._threads)
        if passage.is_gone():
            raise DataRefusedError("client_gone", CLIENT_GONE)
        started = perf_counter()
        relay: NextHop | Transaction = envelope.exchange or passage.upstream
        try:
            reply = await relay.deliver(delivery)
        except UpstreamError as error:
            failed = passage.note_failure(copy, message_id, error, started)
            if not passage.is_out:
                return await self._keep_or_refuse(passage, error)
            return await self._answer_for_all(passage, failed)
        finally:
            passage.stages["relay"] = perf_counter() - started
        passage.note_relayed(copy, message_id, reply, started)
        return reply

    async def _send_several(self, passage: Passage) -> Reply:
        """Send all copies, so that a client which does not wait for that can repeat it."""
        key = self._repeats.begin(passage.envelope, passage.is_gone)
        reply: Reply | None = None
        try:
            failed = await self._fan_out.send(passage)
        except UpstreamError as error:
            reply = await self._keep_or_refuse(passage, error)
        else:
            reply = await self._answer_for_all(passage, failed)
        finally:
            self._repeats.end(key, reply)
        return reply

    async def _answer_for_all(self, passage: Passage, failed: Sequence[Failure]) -> Reply:
        """Give the spool what others have got already, and answer with what came of each copy."""
        spool = self._find_spool(passage.envelope)
        if spool is not None and failed:
            await hand_over(spool, passage, failed)
        sent = passage.sent
        unserved = [each for each in sent if each.outcome not in SERVED]
        if not unserved:
            return write_answer(sent)
        reply = write_final_answer(sent, unserved)
        self._recorder.record_unserved(passage.envelope, reply.text, sent)
        return reply

    async def _keep_or_refuse(self, passage: Passage, error: UpstreamError) -> Reply:
        """Keep a message that nobody has, if the spool is for that; else refuse it.

        Raises:
            DataRefusedError: nothing was sent or kept.
        """
        spool = self._find_spool(passage.envelope)
        readers = sum(len(copy.readers) for copy in passage.decision.copies)
        refusal = DataRefusedError("upstream", Reply(error.code, name_recipient(error, readers)))
        if spool is None or not spool.keeps_always or error.outcome != "not_sent":
            raise refusal from error
        try:
            queue_id = await keep_all(spool, passage, error)
        except SpoolFullError as full:
            raise DataRefusedError("spool_full", Reply(452, "4.3.1 The spool is full")) from full
        except SpoolError as failed:
            log.error("spool.failed", why=str(failed))  # noqa: TRY400 - it says what to do
            raise refusal from error
        return Reply(250, f"2.0.0 Ok: kept as {queue_id}")

    def _find_spool(self, envelope: Envelope) -> Spool | None:
        """Return the spool, which can't send in the name of a user whom the upstream checks."""
        return self._spool if envelope.upstream is None else None
