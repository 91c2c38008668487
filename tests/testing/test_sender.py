import asyncio
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msys_track.demo.stage import Stage
from msys_track.testing.sender import Answer, WireForm, send, wire_form

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("content", "message", "converted", "unended"),
    [
        (b"", b"\r\n", 0, 1),
        (b"a", b"a\r\n", 0, 1),
        (b"a\nb\n", b"a\r\nb\r\n", 2, 0),
        (b"a\rb\r", b"a\r\nb\r\n", 2, 0),
        (b"a\r\nb\r\n", b"a\r\nb\r\n", 0, 0),
        (b"a\r\r\nb\n\r", b"a\r\n\r\nb\r\n\r\n", 3, 0),
    ],
)
def test_lines_get_the_ends_that_smtp_has(
    content: bytes, message: bytes, converted: int, unended: int
) -> None:
    expected = WireForm(message=message, converted=converted, was_unended=bool(unended))
    assert wire_form(content) == expected


@given(st.binary())
def test_a_wire_form_is_its_own_wire_form(content: bytes) -> None:
    message = wire_form(content).message
    assert wire_form(message) == WireForm(message=message, converted=0, was_unended=False)
    assert message.splitlines() == (content.splitlines() or [b""])


async def test_a_reply_is_told_as_it_came(stage: Stage) -> None:
    answer = await stage.send("a@example.com", ["b@example.net"], b"Subject: x\r\n\r\n")
    assert answer == Answer(code=250, text="2.0.0 Ok: in the mailbox")
    assert answer.is_accepted


async def test_the_first_refusal_is_the_answer_and_nobody_gets_the_mail(stage: Stage) -> None:
    answer = await stage.send("a@example.com", ["b@example.net", "<"], b"\r\n")
    assert answer.code in range(500, 560)
    assert not answer.is_accepted
    assert stage.arrivals() == []


async def test_where_nobody_listens_that_is_the_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    answer = await asyncio.to_thread(send, port, "a@example.com", ["b@example.net"], b"\r\n")
    assert answer.code == 0
    assert answer.line.startswith("no answer: ")
