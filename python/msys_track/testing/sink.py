"""A stand-in for a mail server: aiosmtpd, which accepts everything and keeps it."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from aiosmtpd.smtp import SMTP, Envelope, Session

_MAX_MAIL_BYTES: Final = 64 * 1024 * 1024
_LAST_TURNS: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One mail as it came out of the proxy."""

    sender: str
    recipients: tuple[str, ...]
    message: bytes


@asynccontextmanager
async def open_mailboxes(
    host: str, on_arrival: Callable[[Arrival], None], *, port: int = 0
) -> AsyncIterator[int]:
    """Listen on a port, which is the value (0: a free one); hand every mail to `on_arrival`.

    Raises:
        OSError: no port is free.
    """
    loop, handler = asyncio.get_running_loop(), MailSink(on_arrival)

    sessions: list[_Session] = []

    def session() -> asyncio.Protocol:
        sessions.append(
            _Session(
                handler,
                data_size_limit=_MAX_MAIL_BYTES,
                enable_SMTPUTF8=True,
                hostname="mailbox.localhost",
                loop=loop,
            )
        )
        return sessions[-1]

    bound = socket.create_server((host, port))
    server = await loop.create_server(session, sock=bound)
    try:
        yield bound.getsockname()[1]
    finally:
        server.close()
        # A client that was accepted in this moment gets its transport in the next turns.
        for _ in range(_LAST_TURNS):
            for each in sessions:
                if isinstance(each.transport, asyncio.WriteTransport):
                    each.transport.abort()
            await asyncio.sleep(0)


class _Session(SMTP):
    # aiosmtpd refuses lines over 1,001 octets, which mails in the wild have.
    line_length_limit = _MAX_MAIL_BYTES


class MailSink:
    """A handler of aiosmtpd's that takes every mail."""

    def __init__(self, on_arrival: Callable[[Arrival], None]) -> None:
        self._on_arrival = on_arrival

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        """Hand a mail on."""
        content = envelope.original_content
        message = content if isinstance(content, bytes) else b""
        sender, recipients = envelope.mail_from or "", tuple(envelope.rcpt_tos)
        self._on_arrival(Arrival(sender=sender, recipients=recipients, message=message))
        return "250 2.0.0 Ok: in the mailbox"
