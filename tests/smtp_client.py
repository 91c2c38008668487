"""A client that sends the bytes it is given as they are, and reads whole replies."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Self

from tests.certificates import Certificate

_PATIENCE_SECONDS = 60


class Client:
    """One connection to an SMTP server; use it as a context."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter
        self.greeting = ""

    async def __aenter__(self) -> Self:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self._port)
        self.greeting = await self.reply()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()

    async def reply(self) -> str:
        """One reply, its lines separated by CRLF; empty when the server closed."""
        lines = []
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while line := await self.reader.readline():
                lines.append(line)
                if line[3:4] != b"-":
                    break
        return b"".join(lines).decode("latin-1").removesuffix("\r\n")

    async def replies(self, count: int) -> list[str]:
        return [await self.reply() for _ in range(count)]

    async def rest(self) -> str:
        """All until the server closes."""
        with contextlib.suppress(ConnectionResetError):
            async with asyncio.timeout(_PATIENCE_SECONDS):
                return (await self.reader.read()).decode("latin-1")
        return ""

    def send(self, wire: bytes) -> None:
        self.writer.write(wire)

    async def say(self, command: str | bytes) -> str:
        line = command.encode() if isinstance(command, str) else command
        self.send(line + b"\r\n")
        return await self.reply()

    async def envelope(self, *recipients: str, sender: str = "<from@example.com>") -> None:
        """EHLO, MAIL and RCPT, all of them accepted; then DATA, so that 354 is out."""
        await self.say("EHLO client.test")
        assert (await self.say(f"MAIL FROM:{sender}")).startswith("250 ")
        for recipient in recipients or ("to@example.com",):
            assert (await self.say(f"RCPT TO:<{recipient}>")).startswith("250 ")
        assert (await self.say("DATA")).startswith("354 ")

    async def data(self, wire: bytes) -> str:
        """Send data with its end; return the answer to it."""
        self.send(wire + b".\r\n")
        return await self.reply()

    async def deliver(self, wire: bytes, *recipients: str) -> str:
        """Everything from EHLO to the answer after the dot."""
        await self.envelope(*recipients)
        return await self.data(wire)

    def reset(self) -> None:
        """Vanish as a crashed client does: with a TCP reset, not with a FIN."""
        linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"  # on, 0 seconds
        raw: socket.socket = self.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()


class TlsClient(Client):
    """A client that can begin TLS."""

    def __init__(self, port: int, certificate: Certificate) -> None:
        super().__init__(port)
        self._context = certificate.trust()

    async def start_tls(self) -> str:
        """Say STARTTLS, shake hands, and return the reply to STARTTLS."""
        reply = await self.say("STARTTLS")
        await self.shake_hands()
        return reply

    async def shake_hands(self) -> None:
        await self.writer.start_tls(self._context, server_hostname="localhost")


@contextlib.asynccontextmanager
async def inside_tls(port: int, certificate: Certificate) -> AsyncIterator[TlsClient]:
    """Yield a client that has begun TLS and said EHLO."""
    async with TlsClient(port, certificate) as client:
        await client.say("EHLO client.test")
        assert (await client.start_tls()).startswith("220 2.0.0 ")
        await client.say("EHLO client.test")
        yield client
