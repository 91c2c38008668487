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
from msys_track.relay.transaction import Delivery, ask_more, ask_recipients, deliver, deliver_held
from msys_track.smtp.path import Recipient
from msys_track.smtp.reply import Reply

_Question: TypeAlias = tuple[Recipient, asyncio.Future[Reply]]


class Exchange:
    """One client's transaction, at the upstream from its first RCPT on."""

    def __init__(self, lender: Lender, sender: str, mail_parameters: tuple[str, ...]) -> None:
        self._lender = lender
        self._sender = sender
        self._mail_parameters = mail_parameters
        self._accepted: list[Recipient] = []
        self._questions: list[_Question] = []
        self._asking: asyncio.Task[None] | None = None
        self._connection: UpstreamConnection | None = None
        self._is_exact = True
        self._is_dropped = False

    def add_recipient(self, recipient: Recipient) -> asyncio.Future[Reply]:
        """Ask whether the upstream takes a recipient; MAIL goes out before the first.

        What is added before the loop's next turn leaves in one write. A refused MAIL is the reply
        to every RCPT behind it.

        Returns:
            The reply: 2xx, 4xx or 5xx. `UpstreamError` if the upstream can't be asked.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Reply] = loop.create_future()
        self._questions.append((recipient, answer))
        if self._asking is None:
            self._asking = loop.create_task(self._ask())
        return answer

    async def deliver(self, delivery: Delivery) -> Reply:
        """Hand over a message; in this transaction if it is just for its recipients.

        Raises:
            UpstreamError: as `Upstream.deliver` does.
        """
        if self._asking is not None:
            await asyncio.wait([self._asking])
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
        if self._asking is None:
            self.give_back()

    def give_back(self) -> None:
        """Let others have the connection."""
        connection = self._take_connection()
        if connection is not None:
            self._lender.reset(connection)

    def _take_connection(self) -> UpstreamConnection | None:
        self._lender.let_go(self)
        connection, self._connection = self._connection, None
        return connection

    async def _ask(self) -> None:
        self._lender.let_go(self)
        while self._questions:
            questions, self._questions = self._questions, []
            try:
                replies = await self._send([recipient for recipient, _ in questions])
            except UpstreamError as error:
                _answer_all(questions, error)
                continue
            except BaseException:
                self._release()
                for _, answer in questions:
                    answer.cancel()
                raise
            for (recipient, answer), reply in zip(questions, replies, strict=True):
                if reply.is_positive:
                    self._accepted.append(recipient)
                if not answer.done():
                    answer.set_result(_as_answer(reply))
        self._asking = None
        if self._is_dropped:
            self.give_back()
        elif self._connection is not None:
            self._lender.hold(self)

    async def _send(self, recipients: Sequence[Recipient]) -> Sequence[Reply]:
        """Ask in the transaction that is open, or begin one and ask for all of them again."""
        connection = self._connection
        if connection is not None:
            try:
                return await connection.play(
                    ask_more(connection, self._mail_parameters, recipients)
                )
            except ConnectionGoneError:
                self._release()
            except ConnectionFailedError as failure:
                self._release()
                raise self._lender.report_failure(failure) from failure
        before = len(self._accepted)
        self._connection, replies = await self._lender.lend(
            ask_recipients, self._sender, self._mail_parameters, [*self._accepted, *recipients]
        )
        self._is_exact = all(reply.is_positive for reply in replies[:before])
        return replies[before:]

    def _release(self) -> None:
        connection, self._connection = self._connection, None
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
            and set(self._accepted) == set(delivery.recipients)
            and (given == wanted or _drop_size(given) == _drop_size(wanted))
        )


def _drop_size(parameters: tuple[str, ...]) -> list[str]:
    return [each for each in parameters if not each.upper().startswith("SIZE=")]


def _as_answer(reply: Reply) -> Reply:
    if reply.is_positive:
        return reply
    refused = reply.refusal("RCPT")
    return Reply(refused.code, refused.text)


def _answer_all(questions: Sequence[_Question], error: UpstreamError) -> None:
    for _, answer in questions:
        if answer.done():
            continue
        if error.outcome == "refused":
            answer.set_result(Reply(error.code, error.text))
        else:
            answer.set_exception(error)
            answer.exception()  # the client may have gone without waiting for it
