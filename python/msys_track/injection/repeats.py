"""Recognises a mail that its client sends again because it did not wait for the answer.

To send a mail to a thousand readers takes a while, and a client whose patience ends before that
repeats the mail to all of them. It is recognised and gets the answer to the first one, if

- nobody was there any more to take that answer: who has been answered and sends the same again
  wants it sent again;
- the client's address and user, sender, recipients and every byte of the message are the same,
  and the message has a Message-ID, which names one version of one message (RFC 5322 section
  3.6.4): a program that sends the same alarm twice without one means two mails;
- it comes within an hour, and to the same worker process.
"""

import asyncio
from collections.abc import Callable
from hashlib import sha256
from typing import Final, NamedTuple, TypeAlias

from msys_track.injection.envelope import Envelope
from msys_track.injection.record import find_message_id
from msys_track.smtp.path import Recipient
from msys_track.smtp.reply import Reply

_SECONDS: Final = 3600.0
_MOST: Final = 1000

# What can be compared without reading a message: the client's address and user, sender,
# recipients, length.
_Key: TypeAlias = tuple[str, str | None, str, tuple[Recipient, ...], int]


class _UnderWay(NamedTuple):
    message: bytes
    client_is_gone: Callable[[], bool]
    answer: asyncio.Future[Reply | None]


class _Answered(NamedTuple):
    digest: bytes
    until: float
    reply: Reply


class Repeats:
    """The mails for several readers that are under way, and those that nobody waited for."""

    __slots__ = ("_answered", "_clock", "_under_way")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._under_way: dict[_Key, _UnderWay] = {}
        self._answered: dict[_Key, _Answered] = {}

    def __bool__(self) -> bool:
        """Whether there is any, so that a mail could be a repetition."""
        return bool(self._under_way or self._answered)

    async def find_answer(
        self, envelope: Envelope, client_is_gone: Callable[[], bool]
    ) -> Reply | None:
        """Return the answer to the mail that this one repeats; None if it repeats none."""
        key, message = _make_key(envelope), envelope.message
        reply: Reply | None = None
        if (first := self._under_way.get(key)) is not None:
            if first.message == message and first.client_is_gone():
                reply = await asyncio.shield(first.answer)
        elif (
            (known := self._answered.get(key)) is not None
            and known.until > self._clock()
            and known.digest == sha256(message).digest()
        ):
            reply = known.reply
        if reply is not None and not client_is_gone():
            self._answered.pop(key, None)
        return reply

    def begin(self, envelope: Envelope, client_is_gone: Callable[[], bool]) -> _Key | None:
        """Note that a mail is sent from now on; call `end` with the result."""
        key = _make_key(envelope)
        if key in self._under_way or find_message_id(envelope.message) is None:
            return None
        answer = asyncio.get_running_loop().create_future()
        self._under_way[key] = _UnderWay(envelope.message, client_is_gone, answer)
        return key

    def end(self, key: _Key | None, reply: Reply | None) -> None:
        """Note the answer; None if nobody has the mail, so that it may be sent again."""
        if key is None:
            return
        sent = self._under_way.pop(key)
        sent.answer.set_result(reply)
        if reply is None or not sent.client_is_gone():
            return
        now = self._clock()
        self._answered.pop(key, None)
        self._answered[key] = _Answered(sha256(sent.message).digest(), now + _SECONDS, reply)
        # The oldest stands first; the one that is new makes an end.
        while len(self._answered) > _MOST or next(iter(self._answered.values())).until <= now:
            del self._answered[next(iter(self._answered))]


def _make_key(envelope: Envelope) -> _Key:
    host = envelope.peer.rpartition(":")[0]
    length = len(envelope.message)
    return host, envelope.user, envelope.sender, envelope.recipients, length
