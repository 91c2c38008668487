"""Turns a received message into copies, and the upstream's replies into one reply to DATA.

Kept apart from the session, so that it ends its work even if the client does not wait for it.
"""

from collections.abc import Callable, Sequence
from functools import partial

from msys_track.dispatch.copies import Copy
from msys_track.dispatch.dispatcher import Dispatcher
from msys_track.errors import HeaderRefusedError, MessageRefusedError, UpstreamError
from msys_track.injection.budget import Hold
from msys_track.injection.envelope import Envelope
from msys_track.injection.intake import DataRefusedError
from msys_track.logs import event_logger
from msys_track.metrics import Counters
from msys_track.relay.upstream import Delivery, Upstream
from msys_track.smtp.data import compute, stuff
from msys_track.smtp.path import Recipient
from msys_track.smtp.reply import Reply

log = event_logger(__name__)


class Acceptance:
    """Rewrites and relays messages, one `answer` each.

    Attributes:
        rewriter: Makes the copies; another one may take its place at any time.
    """

    def __init__(self, rewriter: Dispatcher, upstream: Upstream, counters: Counters) -> None:
        self.rewriter = rewriter
        self._upstream = upstream
        self._counters = counters

    async def answer(
        self, envelope: Envelope, hold: Hold, client_is_gone: Callable[[], bool]
    ) -> Reply:
        """Return the reply to DATA, and release `hold`.

        If the client is gone before anything was sent, nothing is sent: it will try again.
        Once one copy is out, the others follow without it.
        """
        try:
            copies = await self._make_copies(envelope, hold)
            replies = await self._send(envelope, copies, client_is_gone)
            self._record(envelope, copies)
        except DataRefusedError as refused:
            self._counters.add(f"messages.refused.{refused.why}")
            log.info(
                "message.refused",
                why=refused.why,
                code=refused.reply.code,
                text=refused.reply.text,
                recipients=len(envelope.recipients),
            )
            return refused.reply
        except Exception:  # the outermost frame: the session, which would see it, may be gone
            self._counters.add("messages.refused.internal")
            log.exception("message.failed", recipients=len(envelope.recipients))
            return Reply(451, "4.3.0 Internal error of the tracking proxy")
        finally:
            hold.release()
        if len(replies) == 1:
            return replies[0]
        return Reply(250, f"2.0.0 Ok: {len(replies)} copies relayed")

    async def _make_copies(self, envelope: Envelope, hold: Hold) -> Sequence[Copy]:
        rewriter, size = self.rewriter, len(envelope.message)
        decide = partial(
            rewriter.decide,
            envelope.message,
            envelope.recipients,
            transaction=envelope.transaction,
        )
        try:
            decision = await compute(size, decide)
        except MessageRefusedError as refused:
            why = "header" if isinstance(refused, HeaderRefusedError) else "policy"
            raise DataRefusedError(why, Reply(refused.code, refused.text)) from refused
        needed = size * len(decision.copies)
        if not hold.could_ever_take(needed):
            text = "5.3.4 The copies for all recipients exceed the proxy's memory; send to fewer"
            raise DataRefusedError("over_budget", Reply(552, text))
        if not hold.take(needed):
            raise DataRefusedError("over_budget", Reply(452, "4.3.1 Too much mail in flight"))
        now = int(envelope.received_at.timestamp())
        return await compute(needed, partial(rewriter.render, decision, now=now))

    async def _send(
        self, envelope: Envelope, copies: Sequence[Copy], client_is_gone: Callable[[], bool]
    ) -> list[Reply]:
        replies: list[Reply] = []
        try:
            if len(copies) > 1:
                # The upstream must accept every recipient before any copy is sent.
                given = envelope.mail_parameters
                kept = [each for each in given if not each.startswith("SIZE=")]
                largest = max(len(copy.message) for copy in copies)
                await self._upstream.verify(
                    envelope.sender,
                    (*kept, f"SIZE={largest}"),
                    tuple(Recipient(path=to) for to in envelope.recipients),
                )
            if client_is_gone():
                raise UpstreamError(  # noqa: TRY301 - answered as any other refusal
                    451, "4.4.2 The client closed the connection"
                )
            for copy in copies:
                message = copy.message
                delivery = Delivery(
                    sender=envelope.sender,
                    mail_parameters=envelope.mail_parameters,
                    recipients=tuple(Recipient(path=to) for to in copy.recipients),
                    wire=await compute(len(message), partial(stuff, message)),
                    size=len(message),
                    is_seven_bit=message.isascii(),
                )
                replies.append(await self._upstream.deliver(delivery))
        except UpstreamError as error:
            reply = Reply(error.code, error.text)
            if replies:
                done = f"{len(replies)} of {len(copies)} copies relayed"
                reply = Reply(451, f"4.4.2 {done}, then: {error.code} {error.text}")
            raise DataRefusedError("upstream", reply) from error
        finally:
            if 0 < len(replies) < len(copies):
                # The client will send it again, also to those who already have it.
                relayed, missing = copies[: len(replies)], copies[len(replies) :]
                self._counters.add("messages.half_relayed")
                self._counters.add("copies.relayed", len(relayed))
                log.error(
                    "message.half_relayed",
                    relayed_recipients=[to for copy in relayed for to in copy.recipients],
                    relayed_message_ids=[copy.message_id for copy in relayed],
                    missing=sum(len(copy.recipients) for copy in missing),
                )
        return replies

    def _record(self, envelope: Envelope, copies: Sequence[Copy]) -> None:
        links = sum(copy.wrapped_links for copy in copies)
        pixels = sum(copy.pixels for copy in copies)
        reasons = dict.fromkeys(reason for copy in copies for reason in copy.reasons)
        notices = dict.fromkeys(notice for copy in copies for notice in copy.notices)
        self._counters.add("messages.accepted")
        self._counters.add("copies.relayed", len(copies))
        self._counters.add("copies.links", links)
        self._counters.add("copies.pixels", pixels)
        for reason in reasons:
            self._counters.add(f"left_alone.{reason}")
        for notice in notices:
            self._counters.add(f"notices.{notice}")
        if "clipped_html" in notices:
            log.warning(
                "message.html_clipped",
                message_ids=[copy.message_id for copy in copies if "clipped_html" in copy.notices],
                bytes=len(envelope.message),
            )
        log.info(
            "message.relayed",
            copies=len(copies),
            recipients=len(envelope.recipients),
            message_ids=[copy.message_id for copy in copies],
            bytes=len(envelope.message),
            links=links,
            pixels=pixels,
            reasons=list(reasons),
            notices=list(notices),
        )
