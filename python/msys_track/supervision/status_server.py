"""Answers questions about a running proxy over HTTP: its figures, and whether it is well.

It is part of the supervisor, which has no event loop: sockets that never wait, a whole answer for
each connection, and an end for clients that are slow.
"""

import selectors
import socket
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Final, NamedTuple

from msys_track.logs import event_logger

log = event_logger(__name__)

_MAX_REQUEST_BYTES: Final = 8192
_MAX_CONNECTIONS: Final = 64
_PATIENCE_SECONDS: Final = 10.0
_READ_BYTES: Final = 8192


class Answer(NamedTuple):
    """An answer to a GET."""

    status: HTTPStatus
    body: str
    content_type: str = "text/plain; charset=utf-8"


class StatusServer:
    """Answers GET and HEAD on listening sockets; call `check_times` now and then.

    Args:
        selector: Tells when a socket is ready; the data of each key is a function to call then.
        answer: Answers a path; None where there is nothing.
    """

    def __init__(
        self, selector: selectors.BaseSelector, answer: Callable[[str], Answer | None]
    ) -> None:
        self._selector = selector
        self._answer = answer
        self._listener: socket.socket | None = None
        self._clients: dict[socket.socket, float] = {}

    def use(self, listener: socket.socket | None) -> None:
        """Answer on this socket from now on, and on no other."""
        if self._listener is not None:
            self._selector.unregister(self._listener)
        self._listener = listener
        if listener is not None:
            listener.setblocking(False)  # noqa: FBT003 - the standard library's
            self._selector.register(listener, selectors.EVENT_READ, self._accept)

    def check_times(self) -> None:
        """Cut off clients that are slow."""
        now = time.monotonic()
        for client in [each for each, end in self._clients.items() if end < now]:
            self._close(client)

    def close_inherited(self) -> None:
        """Close what a forked process does not need."""
        for each in self._clients:
            each.close()

    def _accept(self) -> None:
        if self._listener is None:
            return
        try:
            client, _ = self._listener.accept()
        except OSError:  # it has gone again, or there are no files left
            return
        client.setblocking(False)  # noqa: FBT003 - the standard library's
        if len(self._clients) >= _MAX_CONNECTIONS:
            self._close(next(iter(self._clients)))  # the oldest: it had its time
        self._clients[client] = time.monotonic() + _PATIENCE_SECONDS
        request = bytearray()
        self._selector.register(client, selectors.EVENT_READ, lambda: self._read(client, request))

    def _read(self, client: socket.socket, request: bytearray) -> None:
        try:
            data = client.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        request += data
        is_whole = b"\r\n\r\n" in request
        if not data or (not is_whole and len(request) > _MAX_REQUEST_BYTES):
            self._close(client)
        elif is_whole:
            answer = memoryview(self._make_answer(bytes(request)))
            self._selector.modify(
                client, selectors.EVENT_WRITE, lambda: self._write(client, answer)
            )
            self._write(client, answer)

    def _write(self, client: socket.socket, answer: memoryview) -> None:
        try:
            sent = client.send(answer)
        except BlockingIOError:
            return
        except OSError:
            self._close(client)
            return
        rest = answer[sent:]
        if not rest:
            self._close(client)
        else:
            self._selector.modify(client, selectors.EVENT_WRITE, lambda: self._write(client, rest))

    def _make_answer(self, request: bytes) -> bytes:
        method, _, rest = request.partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0].decode("latin-1")
        if method not in (b"GET", b"HEAD"):
            answer = Answer(HTTPStatus.METHOD_NOT_ALLOWED, "only GET and HEAD\n")
        else:
            known = self._answer(path)
            answer = known or Answer(HTTPStatus.NOT_FOUND, "nothing here\n")
        body = answer.body.encode()
        head = (
            f"HTTP/1.1 {answer.status.value} {answer.status.phrase}\r\n"
            f"Content-Type: {answer.content_type}\r\nContent-Length: {len(body)}\r\n"
            "Connection: close\r\n\r\n"
        ).encode()
        return head if method == b"HEAD" else head + body

    def _close(self, client: socket.socket) -> None:
        # One that gave way may have been ready in the same turn: then it was closed just now.
        if self._clients.pop(client, None) is None:
            return
        self._selector.unregister(client)
        client.close()
