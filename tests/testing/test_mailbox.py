import socket

import pytest

from msys_track.testing.mailbox import MailServer
from msys_track.testing.sender import send
from msys_track.testing.sink import Arrival


def test_it_keeps_what_arrives_byte_for_byte_and_then_frees_its_port() -> None:
    message = b".\r\n..dots\r\n\xff\0\r\n" + b"x" * 5_000 + b"\r\n"
    with MailServer() as mailbox:
        answer = send(mailbox.port, "a@example.com", ["b@example.net", "c@example.net"], message)
        assert answer.is_accepted
    assert mailbox.arrivals == [
        Arrival(
            sender="a@example.com", recipients=("b@example.net", "c@example.net"), message=message
        )
    ]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", mailbox.port))
    with MailServer(mailbox.port) as again:
        assert again.port == mailbox.port


def test_a_port_that_is_taken_is_an_error_and_leaves_no_thread() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(OSError, match="in use"),
        MailServer(taken.getsockname()[1]),
    ):
        pass
