"""The peer of the SMTP bench: aiosmtpd takes the mail, aiosmtplib hands it on untouched.

What their documentation shows, on uvloop: a handler that awaits `aiosmtplib.send`, which opens a
connection for each message. Takes the upstream's port, prints its own, runs until standard input
closes.
"""

import asyncio
import sys

import aiosmtplib
import uvloop
from aiosmtpd.smtp import SMTP, Envelope, Session


class Relay:
    def __init__(self, port: int) -> None:
        self._port = port

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        del server, session
        assert isinstance(envelope.content, bytes)
        await aiosmtplib.send(
            envelope.content,
            sender=envelope.mail_from,
            recipients=envelope.rcpt_tos,
            hostname="127.0.0.1",
            port=self._port,
            start_tls=False,
        )
        return "250 2.0.0 Ok"


async def main() -> None:
    loop = asyncio.get_running_loop()
    relay = Relay(int(sys.argv[1]))
    server = await loop.create_server(
        lambda: SMTP(relay, hostname="localhost", enable_SMTPUTF8=True, loop=loop), "127.0.0.1", 0
    )
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201 - the harness reads it
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(main())
