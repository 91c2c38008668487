"""Makes the copies of a message: those of a large one in a thread, and each within the budget.

What a copy has more than its message is counted while it is there: the budget holds room for a
message and for one copy of its size.
"""

import asyncio
from time import perf_counter
from typing import TypeAlias

from msys_track.dispatch.decide import CopyDecision
from msys_track.dispatch.outgoing import OutgoingCopy, make_outgoing
from msys_track.injection.passage import Passage
from msys_track.relay.upstream import Delivery
from msys_track.smtp.data import THREAD_FROM_BYTES

Prepared: TypeAlias = tuple[Delivery, str | None]
"""What the upstream takes of a copy, and the copy's message id, if it has one."""


async def prepare_copy(
    passage: Passage, copy: CopyDecision, threads: asyncio.Semaphore
) -> Prepared:
    """Make a copy that is to be sent; `threads` are for large messages."""
    begun = perf_counter()
    if len(passage.envelope.message) < THREAD_FROM_BYTES:
        outgoing = make_copy(passage, copy)
    else:
        async with threads:
            outgoing = await asyncio.to_thread(make_copy, passage, copy)
    return _note_made(passage, copy, outgoing, begun)


def prepare_copy_now(passage: Passage, copy: CopyDecision) -> Prepared:
    """Make a copy that is to be sent, of a small message."""
    begun = perf_counter()
    return _note_made(passage, copy, make_copy(passage, copy), begun)


def make_copy(passage: Passage, copy: CopyDecision, message_id: str | None = None) -> OutgoingCopy:
    """Make the bytes of a copy; `message_id` is the one that it had when it was made before."""
    return make_outgoing(
        passage.decision,
        copy,
        now=int(passage.envelope.received_at),
        message_id=message_id,
        received=passage.received,
    )


def end_growth(passage: Passage, delivery: Delivery) -> None:
    """Give back the room for what a copy had more than its message."""
    growth = delivery.size - len(passage.envelope.message)
    if growth > 0:
        passage.hold.give_back(growth)


def _note_made(
    passage: Passage, copy: CopyDecision, outgoing: OutgoingCopy, begun: float
) -> Prepared:
    passage.made.add(outgoing)
    passage.made.seconds += perf_counter() - begun
    size = len(passage.envelope.message)
    if outgoing.size > size:
        passage.hold.add(outgoing.size - size)
    delivery = passage.make_delivery(copy, outgoing, passage.find_recipients(copy))
    return delivery, outgoing.message_id
