"""Clients under load: each sends mails, notes every answer, and tries again after 4xx or silence.

As an MTA would: a mail that was not answered, or with 4xx, stays in the queue and goes out again.
"""

import asyncio
import contextlib
import itertools
from collections import deque
from random import Random
from typing import Final

from tests.faults.account import Sent, Try
from tests.faults.mails import SENDER, compose_mail, recipients_of

_REPLY_SECONDS: Final = 30
_RECONNECT_SECONDS: Final = 0.02
_RETRY_SECONDS: Final = 0.05
_MAILS_A_CONNECTION: Final = 20
_MANY_RECIPIENTS: Final = 4
_FILLINGS: Final = (0, 0, 20, 800)
"""Lines of mails: most are of one read, some of several."""


class Clients:
    """So many clients with one queue; `sent` is their log."""

    def __init__(self, port: int, *, connections: int, seed: int, prefix: str = "m") -> None:
        self.sent: dict[str, Sent] = {}
        self._port = port
        self._connections = connections
        self._random = Random(seed)  # noqa: S311 - the same mails every time is the point
        self._prefix = prefix
        self._numbers = itertools.count()
        self._queue: deque[str] = deque()
        self._over = 0
        self._makes_new = True
        self._running: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._running = [asyncio.create_task(self._run()) for _ in range(self._connections)]

    @property
    def accepted(self) -> int:
        """Mails that got 250, or were refused for good, so far."""
        return self._over

    @property
    def refusals(self) -> int:
        """Tries that were answered 4xx so far."""
        tries = (each for mail in self.sent.values() for each in mail.tries)
        return sum(each.answer.startswith("4") for each in tries)

    async def settle(self, seconds: float) -> None:
        """Make no new mail; wait until every one is over, or the time is."""
        self._makes_new = False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.gather(*self._running)
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _run(self) -> None:
        while self._makes_new or self._has_work():
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            except OSError:
                await asyncio.sleep(_RECONNECT_SECONDS)
                continue
            try:
                await self._use(Connection(reader, writer))
            finally:
                writer.transport.abort()
            await asyncio.sleep(_RECONNECT_SECONDS)

    def _has_work(self) -> bool:
        return self._over < len(self.sent)

    async def _use(self, connection: "Connection") -> None:
        """Send mails over one connection until it fails or has sent its share."""
        if not (await connection.greet()).startswith("2"):
            return
        for _ in range(self._random.randint(1, _MAILS_A_CONNECTION)):
            mail_id = self._next_id()
            if mail_id is None:
                return
            mail = self.sent[mail_id]
            filling = self._random.choice(_FILLINGS)
            mail.tries.append(
                await connection.deliver(
                    mail.recipients,
                    compose_mail(mail_id, filling=filling),
                    is_pipelined=self._random.random() < 0.5,
                )
            )
            if mail.is_over:
                self._over += 1
            else:
                self._queue.append(mail_id)
                await asyncio.sleep(_RETRY_SECONDS)
            if not mail.tries[-1].answer:
                return

    def _next_id(self) -> str | None:
        if self._queue and (not self._makes_new or self._random.random() < 0.5):
            return self._queue.popleft()
        if not self._makes_new:
            return None
        mail_id = f"{self._prefix}{next(self._numbers)}"
        count = self._random.choice((1, 1, 1, _MANY_RECIPIENTS))
        self.sent[mail_id] = Sent(recipients=recipients_of(mail_id, count))
        return mail_id


class Connection:
    """One connection of a client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def greet(self) -> str:
        greeting = await self._reply()
        return await self._ask("EHLO client.example") if greeting.startswith("2") else greeting

    async def deliver(
        self, recipients: tuple[str, ...], mail: bytes, *, is_pipelined: bool
    ) -> Try:
        commands = [f"MAIL FROM:<{SENDER}>", *(f"RCPT TO:<{to}>" for to in recipients)]
        if is_pipelined:
            *replies, data = await self._ask_all([*commands, "DATA"])
        else:
            replies = [await self._ask(command) for command in commands]
            data = await self._ask("DATA") if any(map(_is_positive, replies[1:])) else replies[-1]
        accepted = tuple(
            to for to, reply in zip(recipients, replies[1:], strict=True) if _is_positive(reply)
        )
        if not data.startswith("354"):
            # A refusal that passes counts more than one for good: the mail is tried again.
            failed = [each for each in (*replies, data) if not _is_positive(each)]
            answer = max(failed, key=_is_passing) if all(failed) else ""
            await self._ask("RSET")
            return Try(accepted=accepted, answer=answer, reached_the_dot=False)
        self._write(mail + b".\r\n")
        return Try(accepted=accepted, answer=await self._reply(), reached_the_dot=True)

    async def _ask(self, command: str) -> str:
        self._write(command.encode() + b"\r\n")
        return await self._reply()

    async def _ask_all(self, commands: list[str]) -> list[str]:
        self._write("".join(f"{command}\r\n" for command in commands).encode())
        return [await self._reply() for _ in commands]

    def _write(self, wire: bytes) -> None:
        self._writer.write(wire)

    async def _reply(self) -> str:
        """Read one reply with all its lines; empty where none came."""
        reply = b""
        try:
            async with asyncio.timeout(_REPLY_SECONDS):
                while (line := await self._reader.readline())[3:4] == b"-":
                    reply += line
        except (TimeoutError, ConnectionError):
            return ""
        return (reply + line).decode("latin-1").rstrip("\r\n") if line.endswith(b"\n") else ""


def _is_positive(reply: str) -> bool:
    return reply.startswith("2")


def _is_passing(answer: str) -> bool:
    return not answer.startswith("5")
