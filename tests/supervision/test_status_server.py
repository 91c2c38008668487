"""The status server survives its clients: it is part of the process that all others hang on."""

import selectors
import socket
from collections.abc import Iterator
from contextlib import suppress
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
        self.body = "ok\n"
        self.server = StatusServer(self.selector, lambda _: Answer(HTTPStatus.OK, self.body))
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


def test_a_long_answer_waits_for_a_client_that_reads_slowly(running: Running) -> None:
    running.body = "figures\n" * 1_000_000  # more than the sockets of both sides hold
    client = running.connect()
    client.sendall(REQUEST)
    received = b""
    while not received.endswith(running.body[-8:].encode()) or len(received) < len(running.body):
        running.turn(0.01)
        client.setblocking(False)  # noqa: FBT003 - the standard library's
        with suppress(BlockingIOError):
            received += client.recv(1_000_000)
    head, _, body = received.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(running.body)}".encode() in head
    assert body.decode() == running.body


def test_a_client_that_leaves_before_its_answer_is_whole_does_no_harm(running: Running) -> None:
    running.body = "figures\n" * 1_000_000
    client = running.connect()
    client.sendall(REQUEST)
    for _ in range(3):
        running.turn(0.1)
    client.close()
    for _ in range(3):
        running.turn(0.1)
    running.body = "ok\n"
    other = running.connect()
    other.sendall(REQUEST)
    for _ in range(3):
        running.turn(0.1)
    assert other.recv(4096).endswith(b"ok\n")


def test_it_answers_at_another_port_once_it_is_told_and_no_more_at_the_first(
    running: Running,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as second:
        running.server.use(second)
        waiting = running.connect()
        waiting.sendall(REQUEST)
        with socket.create_connection(second.getsockname(), timeout=10) as client:
            client.sendall(REQUEST)
            for _ in range(3):
                running.turn(0.1)
            assert client.recv(4096).startswith(b"HTTP/1.1 200 OK\r\n")
        waiting.setblocking(False)  # noqa: FBT003 - the standard library's
        with pytest.raises(BlockingIOError):
            waiting.recv(1)
        running.server.use(None)
        assert running.selector.get_map() == {}


def test_a_client_that_comes_as_the_port_is_given_up_waits_for_nobody(running: Running) -> None:
    running.connect()
    ready = running.selector.select(10)
    running.server.use(None)
    for key, _ in ready:
        key.data()
    assert running.selector.get_map() == {}


def test_a_client_that_another_process_was_faster_to_take_is_not_waited_for(
    running: Running,
) -> None:
    running.connect()
    ready = running.selector.select(10)
    taken, _ = running.listener.accept()
    for key, _ in ready:
        key.data()
    taken.close()
    other = running.connect()
    other.sendall(REQUEST)
    for _ in range(3):
        running.turn(0.1)
    assert other.recv(4096).startswith(b"HTTP/1.1 200 OK\r\n")
