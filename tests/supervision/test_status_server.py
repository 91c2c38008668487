"""The status server survives its clients: it is part of the process that all others hang on."""

import selectors
import socket
from collections.abc import Iterator
from http import HTTPStatus

import pytest

from msys_track.supervision.status_server import Answer, StatusServer

MOST = 64
REQUEST = b"GET /healthz HTTP/1.1\r\n\r\n"


class Running:
    """A status server on a socket, whose turns a test takes."""

    def __init__(self) -> None:
        self.selector = selectors.DefaultSelector()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.server = StatusServer(self.selector, lambda _: Answer(HTTPStatus.OK, "ok\n"))
        self.server.use(self.listener)
        self.clients: list[socket.socket] = []

    def connect(self) -> socket.socket:
        client = socket.create_connection(self.listener.getsockname(), timeout=10)
        self.clients.append(client)
        return client

    def turn(self, seconds: float = 1.0) -> None:
        """Do what the supervisor does in one turn of its loop."""
        for key, _ in self.selector.select(seconds):
            key.data()


@pytest.fixture
def running() -> Iterator[Running]:
    made = Running()
    yield made
    made.server.close_inherited()
    for each in (made.listener, *made.clients):
        each.close()
    made.selector.close()


def test_a_client_that_speaks_in_the_moment_it_gives_way_does_no_harm(running: Running) -> None:
    oldest, *_ = [running.connect() for _ in range(MOST)]
    for _ in range(MOST):
        running.turn()
    newest = running.connect()
    oldest.sendall(REQUEST)
    newest.sendall(REQUEST)
    for _ in range(4):
        running.turn(0.1)
    assert newest.recv(4096).startswith(b"HTTP/1.1 200 OK\r\n")
