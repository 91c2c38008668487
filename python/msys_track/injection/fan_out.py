"""Sends the copies of a message that becomes several: the first alone, then several at a time.

What is refused for all is refused before anybody has it: the upstream is asked about every reader
and takes the first copy before it gets another one. The others are made where there is room.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Iterator
from time import perf_counter
from typing import NamedTuple

from msys_track.dispatch.decide import CopyDecision
from msys_track.errors import UpstreamError
from msys_track.injection.answers import CLIENT_GONE
from msys_track.injection.intake import DataRefusedError
from msys_track.injection.making import end_growth, prepare_copy, prepare_copy_now
from msys_track.injection.passage import Failure, Passage
from msys_track.logs import event_logger
from msys_track.relay.upstream import Delivery, Row
from msys_track.smtp.data import THREAD_FROM_BYTES
from msys_track.smtp.path import Recipient
from msys_track.smtp.reply import Reply

log = event_logger(__name__)


class _UnderWay(NamedTuple):
    """A copy that is made, and whose answer is to come."""

    copy: CopyDecision
    delivery: Delivery
    message_id: str | None
    begun: float


class FanOut:
    """Sends the copies of messages that become several.

    Args:
        copies_at_once: How many copies of one message are under way at most.
        threads: Those that large messages are rewritten in.
    """

    def __init__(self, copies_at_once: int, threads: asyncio.Semaphore) -> None:
        self._copies_at_once = copies_at_once
        self._threads = threads

    async def send(self, passage: Passage) -> list[Failure]:
        """Send all copies; list those that the upstream did not take, though others are out.

        Raises:
            UpstreamError: the upstream takes not all readers, or not the first copy; nobody has
                the mail.
            DataRefusedError: the client is gone; nothing was sent.
        """
        first, *others = passage.decision.copies
        started = perf_counter()
        delivery, message_id = await prepare_copy(passage, first, self._threads)
        failed: list[Failure] = []
        await _verify(passage, delivery.size)
        if passage.is_gone():
            raise DataRefusedError("client_gone", CLIENT_GONE)
        begun = perf_counter()
        try:
            reply = await passage.upstream.deliver(delivery)
        except UpstreamError as error:
            failed += passage.note_failure(first, message_id, error, begun)
            if not passage.is_out:
                raise
        else:
            passage.note_relayed(first, message_id, reply, begun)
        end_growth(passage, delivery)
        del delivery
        is_large = len(passage.envelope.message) >= THREAD_FROM_BYTES
        send = self._send_one_by_one if is_large else _send_row
        waiting = iter(others)
        at_once = min(self._copies_at_once, len(others))
        # The first works in the room that the message has; the others where there is more.
        work = (send(passage, waiting, failed, borrows=number > 0) for number in range(at_once))
        await asyncio.gather(*work)
        passage.stages["relay"] = perf_counter() - started - passage.made.seconds
        return failed

    async def _send_one_by_one(
        self,
        passage: Passage,
        waiting: Iterator[CopyDecision],
        failed: list[Failure],
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

    async def _send_other(self, passage: Passage, copy: CopyDecision) -> list[Failure]:
        message_id: str | None = None
        begun = perf_counter()
        try:
            delivery, message_id = await prepare_copy(passage, copy, self._threads)
            begun = perf_counter()
            try:
                reply = await passage.upstream.deliver(delivery)
            finally:
                end_growth(passage, delivery)
        except UpstreamError as error:
            return passage.note_failure(copy, message_id, error, begun)
        except Exception:  # others have the mail, so that it must not be answered 451
            log.exception("copy.failed")
            return passage.note_failure(copy, message_id, _make_defect(), begun)
        passage.note_relayed(copy, message_id, reply, begun)
        return []


async def _verify(passage: Passage, size: int) -> None:
    """Ask the upstream about every reader that it has not been asked about."""
    envelope = passage.envelope
    asked: set[str] = set()
    if envelope.exchange is not None:
        asked = {each.path for each in envelope.recipients}
        envelope.exchange.drop()  # never wait for a second connection while holding one
    to_ask = defaultdict[str, list[Recipient]](list)
    for copy in passage.decision.copies:
        known = asked if copy.sender is None else ()
        if new := [each for each in passage.find_recipients(copy) if each.path not in known]:
            to_ask[passage.find_sender(copy)] += new
    kept = [each for each in passage.mail_parameters if not each.upper().startswith("SIZE=")]
    parameters = (*kept, f"SIZE={size}")
    for sender, recipients in to_ask.items():
        await passage.upstream.verify(sender, parameters, recipients)


async def _send_row(
    passage: Passage,
    waiting: Iterator[CopyDecision],
    failed: list[Failure],
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
                delivery, message_id = prepare_copy_now(passage, copy)
            except Exception:  # others have the mail, so that it must not be answered 451
                log.exception("copy.failed")
                failed.extend(passage.note_failure(copy, None, _make_defect(), begun))
            else:
                under_way.append(_UnderWay(copy, delivery, message_id, begun))
                return delivery
        return None

    def note(result: Reply | UpstreamError) -> None:
        copy, delivery, message_id, begun = under_way.popleft()
        end_growth(passage, delivery)
        if isinstance(result, UpstreamError):
            failed.extend(passage.note_failure(copy, message_id, result, begun))
        else:
            passage.note_relayed(copy, message_id, result, begun)

    try:
        await passage.upstream.deliver_row(Row(take, note))
    finally:
        hold.give_back(held)


def _make_defect() -> UpstreamError:
    return UpstreamError(451, "4.3.0 Internal error", outcome="not_sent")
