"""The peers of the SMTP bench: aiosmtpd takes the mail, aiosmtplib hands it on untouched.

What their documentation shows: a handler that awaits `aiosmtplib.send`, which opens a connection
for each message. `documented` is just that, on asyncio's own event loop; `tuned` has what can be
had without other code: uvloop, and a name for EHLO, which is else looked up for each message.
Takes one of those words, the upstream's port and its own (none: any free one), which it prints;
runs until standard input closes.
"""

import asyncio
import sys

import aiosmtplib
import uvloop
from aiosmtpd.smtp import SMTP, Envelope, Session


class Relay:
    def __init__(self, port: int, ehlo_name: str | None) -> None:
        self._port = port
        self._ehlo_name = ehlo_name

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
            local_hostname=self._ehlo_name,
            start_tls=False,
        )
        return "250 2.0.0 Ok"


async def main(port: int, listen_port: int, ehlo_name: str | None) -> None:
    loop = asyncio.get_running_loop()
    relay = Relay(port, ehlo_name)
    server = await loop.create_server(
        lambda: SMTP(relay, hostname="localhost", enable_SMTPUTF8=True, loop=loop),
        "127.0.0.1",
        listen_port,
    )
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201 - the harness reads it
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    how, upstream, *listen = sys.argv[1:]
    ports = (int(upstream), int(listen[0]) if listen else 0)
    if how == "tuned":
        uvloop.run(main(*ports, "localhost"))
    else:
        asyncio.run(main(*ports, None))
