"""An SMTP client that takes the time of each mail; smtp-source only tells when all are done."""

import socket
import time
from types import TracebackType
from typing import Self

from benches.hop import mails

_PATIENCE_SECONDS = 60


class UnexpectedReplyError(Exception):
    """A server answered otherwise than it should."""


class TimedClient:
    """One connection that waits for each reply; use it as a context."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), _PATIENCE_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._expect(b"220")
        self._ask(b"EHLO bench.example\r\n", b"250")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()

    def seconds(self, mail: bytes) -> float:
        """Send a mail; return the seconds from MAIL to the answer after the dot."""
        started = time.perf_counter()
        self._ask(f"MAIL FROM:<{mails.SENDER}>\r\n".encode(), b"250")
        self._ask(f"RCPT TO:<{mails.RECIPIENT}>\r\n".encode(), b"250")
        self._ask(b"DATA\r\n", b"354")
        self._ask(mail + b".\r\n", b"250")
        return time.perf_counter() - started

    def _ask(self, command: bytes, code: bytes) -> None:
        self._socket.sendall(command)
        self._expect(code)

    def _expect(self, code: bytes) -> None:
        reply = b""
        while not reply.endswith(b"\n") or reply.splitlines()[-1][3:4] == b"-":
            received = self._socket.recv(65_536)
            if not received:
                raise UnexpectedReplyError("the server closed the connection")
            reply += received
        if not reply.splitlines()[-1].startswith(code):
            raise UnexpectedReplyError(f"expected {code!r}: {reply!r}")
