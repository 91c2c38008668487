"""Gives the spool what the upstream did not take: copies of a mail that others have, or all of it.

The spool's thread makes each copy when it is its turn; all of them could be too much memory.
"""

from collections.abc import Iterator, Sequence

from msys_track.errors import SpoolError, UpstreamError
from msys_track.injection.making import make_copy
from msys_track.injection.passage import Failure, Passage
from msys_track.injection.record import Made, SentCopy
from msys_track.logs import event_logger
from msys_track.relay.upstream import Delivery
from msys_track.smtp.reply import Reply
from msys_track.spool.spool import Spool

log = event_logger(__name__)


async def hand_over(spool: Spool, passage: Passage, failed: Sequence[Failure]) -> None:
    """Give the spool copies of what others have got: to send them later, or to report them.

    What it does not take keeps the account that it has in `passage.sent`.
    """
    groups: dict[tuple[bool, str], list[Failure]] = {}
    for each in failed:
        why = f"{each.error.code} {each.error.text}"
        groups.setdefault((each.error.is_final, why), []).append(each)
    for (is_final, why), group in groups.items():
        take_over = spool.report if is_final else spool.keep
        try:
            queue_id = await take_over(
                passage.mail_parameters,
                _make_again(passage, group),
                envelope_id=passage.envelope_id,
                why=why,
            )
        except SpoolError as error:
            log.error("spool.failed", why=str(error))  # noqa: TRY400 - it says what to do
            continue
        except Exception:  # others have the mail, so that it must not be answered 451
            log.exception("spool.failed")
            continue
        outcome = "reported" if is_final else "kept"
        for each in group:
            sent = passage.sent[each.place]
            passage.sent[each.place] = sent._replace(outcome=outcome, queue_id=queue_id)


async def keep_all(spool: Spool, passage: Passage, error: UpstreamError) -> str:
    """Give the spool a message that nobody has, to send it later; return its name for it.

    Raises:
        SpoolError: nothing was kept.
    """
    made, kept = Made(), list[SentCopy]()

    def make_deliveries() -> Iterator[Delivery]:
        for copy in passage.decision.copies:
            outgoing = make_copy(passage, copy)
            made.add(outgoing)
            recipients, reply = passage.find_recipients(copy), Reply(error.code, error.text)
            names = tuple(each.path for each in recipients)
            kept.append(SentCopy(names, outgoing.message_id, reply, 0.0, outcome="kept"))
            yield passage.make_delivery(copy, outgoing, recipients)

    queue_id = await spool.keep(
        passage.mail_parameters,
        make_deliveries(),
        envelope_id=passage.envelope_id,
        why=f"{error.code} {error.text}",
    )
    passage.made = made
    passage.sent = [each._replace(queue_id=queue_id) for each in kept]
    return queue_id


def _make_again(passage: Passage, failed: Sequence[Failure]) -> Iterator[Delivery]:
    for each in failed:
        outgoing = make_copy(passage, each.copy, passage.sent[each.place].message_id)
        yield passage.make_delivery(each.copy, outgoing, each.recipients)
