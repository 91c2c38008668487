"""A transaction that is held open at the upstream while its client goes on.

MAIL and each RCPT reach the upstream as they come from the client, so that its answers are exact,
and greylisting and quotas count a recipient once. The connection may be taken back before the
message comes; then the recipients are asked again with the message.
"""

import asyncio
from collections.abc import Sequence
from typing import TypeAlias

from msys_track.errors import UpstreamError
from msys_track.relay.connection import (
    ConnectionFailedError,
    ConnectionGoneError,
    UpstreamConnection,
)
from msys_track.relay.lending import Lender
from msys_track.relay.transaction import (
    WORN,
    Delivery,
    ask_more,
    ask_recipients,
    deliver,
    deliver_held,
)
from msys_track.smtp.path import Recipient
from msys_track.smtp.reply import Reply

_Question: TypeAlias = tuple[Recipient, asyncio.Future[Reply]]


class Exchange:
    """One client's transaction, at the upstream from its first RCPT on."""

    __slots__ = (
        "_accepted", "_again", "_asked", "_connection", "_is_asking", "_is_dropped", "_is_exact",
        "_is_open", "_lender", "_mail_parameters", "_questions", "_sender", "_settled",
    )  # fmt: skip

    def __init__(self, lender: Lender, sender: str, mail_parameters: tuple[str, ...]) -> None:
        self._lender = lender
        self._sender = sender
        self._mail_parameters = mail_parameters
        self._accepted: list[Recipient] = []
        self._questions: list[_Question] = []
        self._asked: list[_Question] = []
        self._is_asking = False
        self._settled: asyncio.Future[None] | None = None
        self._again: asyncio.Task[None] | None = None
        self._connection: UpstreamConnection | None = None
        self._is_open = False
        """Whether the connection has the transaction."""
        self._is_exact = True
        self._is_dropped = False

    def add_recipient(self, recipient: Recipient) -> asyncio.Future[Reply]:
        """Ask whether the upstream takes a recipient; MAIL goes out before the first.

        What is added before the loop's next turn leaves in one write. A refused MAIL is the reply
        to every RCPT behind it.

        Returns:
            The reply: 2xx, 4xx or 5xx. `UpstreamError` if the upstream can't be asked.
        """
        loop = self._lender.loop
        answer: asyncio.Future[Reply] = loop.create_future()
        self._questions.append((recipient, answer))
        if not self._is_asking:
            self._is_asking = True
            loop.call_soon(self._ask)
        return answer

    async def deliver(self, delivery: Delivery) -> Reply:
        """Hand over a message; in this transaction if it is just for its recipients.

        Raises:
            UpstreamError: as `Upstream.deliver` does.
        """
        while self._is_asking:
            self._settled = asyncio.get_running_loop().create_future()
            await self._settled
        connection = self._take_connection()
        if connection is None:
            return await self._lender.use(deliver, delivery)
        if not self._fits(connection, delivery):
            # Never wait for a second connection while holding one.
            self._lender.reset(connection)
            return await self._lender.use(deliver, delivery)
        try:
            return await connection.play(deliver_held(connection, delivery))
        except ConnectionGoneError:
            pass  # while it was held, before anything of the message was sent
        except ConnectionFailedError as failure:
            raise self._lender.report_failure(failure) from failure
        finally:
            self._lender.release(connection)
        return await self._lender.use(deliver, delivery)

    def drop(self) -> None:
        """End the transaction without a message; call it also after `deliver`."""
        self._is_dropped = True
        if not self._is_asking:
            self.give_back()

    def give_back(self) -> None:
        """Let others have the connection."""
        connection = self._take_connection()
        if connection is not None:
            self._lender.reset(connection)

    def _take_connection(self) -> UpstreamConnection | None:
        connection, self._connection = self._connection, None
        self._is_open = False
        if connection is not None:
            self._lender.let_go(self)
        return connection

    def _ask(self) -> None:
        """Send what was added, without a task if a connection is at hand."""
        self._asked, self._questions = self._questions, []
        recipients = [recipient for recipient, _ in self._asked]
        if self._connection is not None:
            self._lender.let_go(self)
            if self._connection.is_usable:
                dialogue = ask_more(self._connection, self._mail_parameters, recipients)
                self._connection.play(dialogue).add_done_callback(self._take_replies)
                return
            self._release()  # it was closed while it was held
        elif not self._accepted and (idle := self._lender.take_idle()) is not None:
            self._connection = idle
            dialogue = ask_recipients(idle, self._sender, self._mail_parameters, recipients)
            idle.play(dialogue).add_done_callback(self._take_replies)
            return
        self._begin_again(None)

    def _take_replies(self, result: asyncio.Future[Sequence[Reply]]) -> None:
        error = result.exception()
        if error is None:
            self._is_open = True
            self._answer(result.result())
        elif isinstance(error, ConnectionGoneError) or (
            isinstance(error, WORN) and not self._is_open
        ):
            self._begin_again(error)
            return
        else:
            # After a refused RCPT that could not even be written, the transaction stands.
            if not self._is_open or isinstance(error, ConnectionFailedError):
                self._release()
            _answer_all(self._asked, self._lender.judge(error))
        self._settle()

    def _begin_again(self, error: Exception | None) -> None:
        self._again = asyncio.get_running_loop().create_task(self._ask_again(error))

    async def _ask_again(self, error: Exception | None) -> None:
        """Begin a transaction on a connection that has to be opened or waited for."""
        before = len(self._accepted)
        recipients = [*self._accepted, *(recipient for recipient, _ in self._asked)]
        arguments = (self._sender, self._mail_parameters, recipients)
        connection, self._connection = self._connection, None
        was_open, self._is_open = self._is_open, False
        if connection is not None and was_open:
            self._lender.release(connection)
            connection = None
        try:
            if connection is None or error is None:
                lent = await self._lender.lend(ask_recipients, *arguments)
            else:
                lent = await self._lender.lend_again(connection, error, ask_recipients, *arguments)
        except UpstreamError as failure:
            _answer_all(self._asked, failure)
        except BaseException:
            for _, answer in self._asked:
                answer.cancel()
            raise
        else:
            self._connection, replies = lent
            self._is_open = True
            self._is_exact = all(reply.is_positive for reply in replies[:before])
            self._answer(replies[before:])
        self._settle()

    def _answer(self, replies: Sequence[Reply]) -> None:
        for (recipient, answer), reply in zip(self._asked, replies, strict=True):
            if reply.is_positive:
                self._accepted.append(recipient)
            else:
                reply = _as_answer(reply)  # noqa: PLW2901 - what the client is told
            if not answer.done():
                answer.set_result(reply)

    def _settle(self) -> None:
        """Go on with what was added meanwhile, or hold the connection for the message."""
        self._asked = []
        if self._questions:
            self._ask()
            return
        self._is_asking = False
        if self._settled is not None and not self._settled.done():
            self._settled.set_result(None)
        if self._is_dropped:
            self.give_back()
        elif self._connection is not None:
            self._lender.hold(self)

    def _release(self) -> None:
        connection, self._connection = self._connection, None
        self._is_open = False
        if connection is not None:
            self._lender.release(connection)

    def _fits(self, connection: UpstreamConnection, delivery: Delivery) -> bool:
        """Whether the open transaction is just the one of this delivery."""
        capabilities = connection.capabilities
        given, wanted = self._mail_parameters, delivery.mail_parameters
        can_travel = delivery.is_seven_bit or (
            capabilities.eight_bit_mime and (capabilities.smtp_utf8 or "SMTPUTF8" not in wanted)
        )
        return (
            self._is_exact
            and can_travel
            and self._sender == delivery.sender
            and len(self._accepted) == len(delivery.recipients)
            and (
                tuple(self._accepted) == delivery.recipients
                or set(self._accepted) == set(delivery.recipients)
            )
            and (given == wanted or _drop_size(given) == _drop_size(wanted))
        )


def _drop_size(parameters: tuple[str, ...]) -> list[str]:
    return [each for each in parameters if not each.upper().startswith("SIZE=")]


def _as_answer(reply: Reply) -> Reply:
    refused = reply.refusal("RCPT")
    return Reply(refused.code, refused.text)


def _answer_all(questions: Sequence[_Question], error: BaseException) -> None:
    for _, answer in questions:
        if answer.done():
            continue
        if isinstance(error, UpstreamError) and error.outcome == "refused":
            answer.set_result(Reply(error.code, error.text))
        else:
            answer.set_exception(error)
            answer.exception()  # the client may have gone without waiting for it
