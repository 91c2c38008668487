import pytest
from hypothesis import given
from hypothesis import strategies as st

from msys_track.policy.headers import Headers

MESSAGE = (
    b"Received: from a\r\n\tby b\r\n"
    b"Subject: =?utf-8?q?caf=C3=A9?=\r\n  =?utf-8?q?_au_lait?=\r\n"
    b"X-Twice: one\r\nx-twice :  two \r\n"
    b"X-Empty:\r\n"
    b"\r\n"
    b"Subject: of the body\r\n"
)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("X-TWICE", ["one", "two"]),  # in any case, and all of them in order
        ("received", ["from a by b"]),  # folds are undone
        ("subject", ["café au lait"]),  # encoded-words are decoded
        ("X-Empty", [""]),  # which differs from absent
        ("X-Absent", []),
    ],
)
def test_a_field_has_its_values_unfolded_and_decoded(name: str, values: list[str]) -> None:
    assert Headers(MESSAGE).get(name) == values


def test_names_stand_as_written_and_end_with_the_header() -> None:
    names = ("Received", "Subject", "X-Twice", "x-twice", "X-Empty")
    assert Headers(MESSAGE).names() == names


def test_line_feeds_alone_end_a_header_too() -> None:
    headers = Headers(b"A: 1\nB: 2\n 3\n\nC: 4\n")
    assert headers.names() == ("A", "B")
    assert headers.get("b") == ["2 3"]


def test_a_message_without_header_has_none() -> None:
    assert Headers(b"\r\nA: 1\r\n").names() == ()
    assert Headers().names() == ()


def test_what_can_not_be_decoded_stands_as_it_is() -> None:
    headers = Headers(b"A: =?utf-8?b?***?=\r\nB: \xff\xfe\r\n\r\n")
    assert headers.get("a") == ["=?utf-8?b?***?="]
    assert headers.get("b") == ["\ufffd\ufffd"]


def test_lines_that_are_not_fields_are_passed_over() -> None:
    assert Headers(b"From someone\r\nA: 1\r\n: x\r\n\r\n").names() == ("A",)


def test_a_field_continues_after_a_line_that_is_not_one() -> None:
    message = (
        b" of none\r\njunk\r\n\tnone\r\nA: 1\r\njunk\r\n 2\r\n\t3\r\n: x\r\n 4\r\nB: 5\r\n\r\n 6"
    )
    headers = Headers(message)
    assert (headers.get("a"), headers.get("b")) == (["1 2 3 4"], ["5"])
    assert Headers(message.replace(b"\r\n", b"\n")).get("a") == ["1 2 3 4"]


@given(st.binary(max_size=300))
def test_any_bytes_can_be_asked(message: bytes) -> None:
    headers = Headers(message)
    for name in headers.names():
        assert headers.get(name)
