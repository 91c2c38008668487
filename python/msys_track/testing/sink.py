"""The mail server that stands for yours: aiosmtpd, which takes everything and keeps it."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from aiosmtpd.smtp import SMTP, Envelope, Session

_MAX_MAIL_BYTES: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One mail as it came out of the proxy."""

    recipients: tuple[str, ...]
    message: bytes


@asynccontextmanager
async def open_mailboxes(host: str, on_arrival: Callable[[Arrival], None]) -> AsyncIterator[int]:
    """Listen on a free port, which is the value; every mail is handed to `on_arrival`.

    Raises:
        OSError: no port is to be had.
    """
    loop, handler = asyncio.get_running_loop(), _Handler(on_arrival)

    def session() -> asyncio.Protocol:
        return _Session(
            handler, data_size_limit=_MAX_MAIL_BYTES, hostname="mailbox.localhost", loop=loop
        )

    bound = socket.create_server((host, 0))
    server = await loop.create_server(session, sock=bound)
    try:
        yield bound.getsockname()[1]
    finally:
        server.close()


class _Session(SMTP):
    # aiosmtpd refuses lines over 1,001 octets, which mails in the wild have.
    line_length_limit = _MAX_MAIL_BYTES


class _Handler:
    def __init__(self, on_arrival: Callable[[Arrival], None]) -> None:
        self._on_arrival = on_arrival

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        content = envelope.original_content
        message = content if isinstance(content, bytes) else b""
        self._on_arrival(Arrival(recipients=tuple(envelope.rcpt_tos), message=message))
        return "250 2.0.0 Ok: in the mailbox"
