from dataclasses import replace
from typing import Any

import pytest
from tests.policy.policies import MESSAGE, transaction

from msys_track.policy.hooks import Headers, Rejection


def test_there_are_no_headers_before_there_is_a_message() -> None:
    assert transaction(message=None).headers.names() == ()


def test_the_transactions_of_one_message_read_its_header_once() -> None:
    first = transaction()
    assert replace(first, recipient="al@example.org").headers is first.headers
    assert replace(first, message=b"A: 1\r\n\r\n").headers.names() == ("A",)


def test_headers_of_another_message_are_not_believed() -> None:
    given = transaction(headers=Headers(b"Subject: forged\r\n\r\n"))
    assert given.message == MESSAGE
    assert given.headers.get("subject") == ["Hello"]


@pytest.mark.parametrize(
    "code", [200, 399, 600, 550.0, True, "55", "5500", "", None, "\u0665\u0665\u0660"]
)
def test_a_rejection_has_a_code_of_refusal(code: int) -> None:
    with pytest.raises(ValueError, match="allowed: 400 to 599"):
        Rejection(code=code, text="no")


def test_a_code_may_be_its_digits() -> None:
    digits: Any = "550"
    assert Rejection(code=digits, text="no") == Rejection(code=550, text="no")


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        ("", "Refused by policy"),
        (None, "Refused by policy"),
        ("two\r\n250 lines", "two??250 lines"),
        ("5.7.1 Empf\xe4nger gesperrt", "5.7.1 Empf?nger gesperrt"),
        ("tab\t", "tab?"),
        ("x" * 401, "x" * 400),
    ],
)
def test_a_refusal_holds_however_it_is_worded_and_can_not_break_the_reply(
    text: str, reply: str
) -> None:
    assert Rejection(code=550, text=text).text == reply
