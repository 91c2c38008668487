"""An upstream in a process of its own that keeps a journal and fails as it is told.

usage: python -m tests.faults.sink PORT JOURNAL [--refuse-recipient-every N] …
What is in the journal was taken: the line is written before the answer, and a write that has
returned outlives the process. A second line says when the answer has left. A recipient that is
refused has a line as well.
"""

import argparse
import asyncio
import itertools
import json
import os
import re
import socket
import time
from dataclasses import asdict

from tests.faults.mails import SENDER, read_arrival

_OFFER = b"250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 SIZE 0\r\n"
_END = b"\r\n.\r\n"
_LIMIT = 64 * 1024 * 1024
_PATH = re.compile(rb"^RCPT TO:<([^>]*)>", re.IGNORECASE)


class Sink:
    """One process; counts over all its connections."""

    def __init__(self, journal: int, faults: argparse.Namespace) -> None:
        self._journal = journal
        self._faults = faults
        self._recipients = itertools.count(1)
        self._messages = itertools.count(1)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # asyncio leaves Nagle's algorithm on where a socket was not given its protocol's number.
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            await self._write(writer, b"220 sink\r\n")
            await self._converse(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        recipients: list[str] = []
        while line := await reader.readline():
            verb = line[:4].upper()
            if verb == b"EHLO":
                reply = _OFFER
            elif verb == b"RCPT":
                reply = self._answer_recipient(line, recipients)
            elif verb == b"DATA" and not recipients:
                reply = b"554 5.5.1 No valid recipients\r\n"
            elif verb == b"DATA":
                await self._write(writer, b"354 go on\r\n")
                answer = await self._take(reader, writer, tuple(recipients))
                if answer is None:
                    return
                recipients, reply = [], answer
            elif verb == b"QUIT":
                await self._write(writer, b"221 bye\r\n")
                return
            else:
                recipients = [] if verb in (b"MAIL", b"RSET") else recipients
                reply = b"250 2.0.0 Ok\r\n"
            await self._write(writer, reply)

    def _answer_recipient(self, line: bytes, recipients: list[str]) -> bytes:
        found = _PATH.match(line)
        recipient = found[1].decode() if found else ""
        # A report that is refused is dropped (RFC 5321 section 6.1): the sender takes them all.
        is_due = recipient != SENDER and _is_due(
            self._recipients, self._faults.refuse_recipient_every
        )
        if is_due:
            self._note({"refused": recipient})
            return b"550 5.1.1 No such user\r\n"
        recipients.append(recipient)
        return b"250 2.1.5 Ok\r\n"

    async def _take(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, to: tuple[str, ...]
    ) -> bytes | None:
        """Read a message, keep it and answer; gives an answer that is still to be sent.

        None where the connection ends.
        """
        number = next(self._messages)
        if _divides(self._faults.close_in_data_every, number):
            await reader.read(100)
            writer.transport.abort()
            return None
        data = await reader.readuntil(_END)
        message = data.removesuffix(b".\r\n").replace(b"\r\n..", b"\r\n.")
        if _divides(self._faults.defer_every, number):
            return b"451 4.3.0 Try again\r\n"
        key = f"{os.getpid()}.{number}"
        self._note({"key": key, **asdict(read_arrival(message, to))})
        await asyncio.sleep(self._faults.seconds_before_the_answer)
        if _divides(self._faults.close_after_data_every, number):
            writer.transport.abort()
            return None
        await self._write(writer, f"250 2.0.0 Ok: queued as {key}\r\n".encode())
        self._note({"answered": key, "at": time.time()})
        return b""

    def _note(self, line: dict[str, object]) -> None:
        os.write(self._journal, (json.dumps(line) + "\n").encode())

    async def _write(self, writer: asyncio.StreamWriter, reply: bytes) -> None:
        seconds = self._faults.seconds_a_byte
        if not seconds:
            writer.write(reply)
        else:
            for byte in reply:
                writer.write(bytes([byte]))
                await asyncio.sleep(seconds)
        await writer.drain()


def _divides(every: int, number: int) -> bool:
    return every > 0 and number % every == 0


def _is_due(counter: "itertools.count[int]", every: int) -> bool:
    return every > 0 and _divides(every, next(counter))


async def main(port: int, sink: Sink) -> None:
    listening = socket.create_server(("127.0.0.1", port), backlog=1024)
    server = await asyncio.start_server(sink.serve, sock=listening, limit=_LIMIT)
    await server.serve_forever()


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("journal")
    parser.add_argument("--refuse-recipient-every", type=int, default=0)
    parser.add_argument("--close-in-data-every", type=int, default=0)
    parser.add_argument("--close-after-data-every", type=int, default=0)
    parser.add_argument("--defer-every", type=int, default=0)
    parser.add_argument("--seconds-a-byte", type=float, default=0)
    parser.add_argument("--seconds-before-the-answer", type=float, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    arguments = read_arguments()
    opened = os.open(arguments.journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    asyncio.run(main(arguments.port, Sink(opened, arguments)))
