"""Sends one large mail over each of many connections at once; tries again where it gets 4xx.

usage: python -m benches.hop.big_client PORT CONNECTIONS BYTES
Prints how many mails went through and how many answers were 4xx, as JSON.
"""

import asyncio
import json
import sys

from benches.hop import mails

_WAIT_SECONDS = 0.2
_RUN_SECONDS = 300


class Refused(Exception):  # noqa: N818 - it is an answer, not a fault
    """A 4xx: to be tried again."""


async def main(port: int, connections: int, size: int) -> None:
    mail = mails.attachment(size)
    async with asyncio.timeout(_RUN_SECONDS):
        refusals = await asyncio.gather(*(_send(port, mail) for _ in range(connections)))
    print(json.dumps({"sent": len(refusals), "refused": sum(refusals)}))  # noqa: T201 - its answer


async def _send(port: int, mail: bytes) -> int:
    """Send until it is accepted; return how often it was refused before."""
    refused = 0
    while True:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            await _deliver(reader, writer, mail)
        except (Refused, ConnectionError):
            refused += 1
            await asyncio.sleep(_WAIT_SECONDS)
        else:
            return refused
        finally:
            writer.close()


async def _deliver(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, mail: bytes
) -> None:
    await _expect(reader, b"220")
    for command, code in (
        (b"EHLO bench.example", b"250"),
        (f"MAIL FROM:<{mails.SENDER}> SIZE={len(mail)}".encode(), b"250"),
        (f"RCPT TO:<{mails.RECIPIENT}>".encode(), b"250"),
        (b"DATA", b"354"),
        (mail + b".", b"250"),
    ):
        writer.write(command + b"\r\n")
        await writer.drain()
        await _expect(reader, code)


async def _expect(reader: asyncio.StreamReader, code: bytes) -> None:
    while (line := await reader.readline())[3:4] == b"-":
        pass
    if line.startswith(b"4") or not line:
        raise Refused(line)
    assert line.startswith(code), line


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:4])))
