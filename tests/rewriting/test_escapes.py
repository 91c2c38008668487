"""Escapes that Momentum once asked for: exactly these go, from what readers are shown."""

import base64
from email import message_from_bytes
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests import oracle
from tests.rewriting import forms

from msys_track.rewriting.escapes import unescape_curly_macros
from msys_track.rewriting.reference.entity import Leaf

OPEN, CLOSE = b"{{opening_double_curly()}}", b"{{closing_double_curly()}}"
HTML = b"".join(
    [
        b"<!doctype html>\n<body class=x>\n<p>Dear " + OPEN + b"first name" + CLOSE + b",</p>\n",
        b"<a href='http://shop.example/?q=" + OPEN + b"a" + CLOSE + b"&amp;r=1'>go</a>\n",
        OPEN + CLOSE + OPEN * 3 + b" {{kept}} {one} " + "ü".encode() + b"\n",
        b"{{opening_double_curly() }} {{OPENING_double_curly()}} opening_double_curly()}}\n",
        b"</body>\n",
    ]
)


def take_back(text: bytes) -> bytes:
    return text.replace(OPEN, b"{{").replace(CLOSE, b"}}")


def find_leaf(message: bytes) -> Leaf:
    (leaf,) = oracle.list_html(message)
    return leaf


def read_text(message: bytes) -> bytes:
    body = oracle.read_html(message, find_leaf(message))
    assert body is not None
    return body.text


def unescape(message: bytes) -> bytes:
    return unescape_curly_macros(message, "skip")


@pytest.mark.parametrize("line_break", forms.LINE_BREAKS)
@pytest.mark.parametrize("container", forms.CONTAINERS)
@pytest.mark.parametrize("encoder", forms.ENCODERS)
def test_in_every_form_only_the_escapes_change(
    encoder: str, container: str, line_break: str
) -> None:
    message = forms.message(HTML, encoder=encoder, container=container, line_break=line_break)
    after = unescape(message)
    old, new = find_leaf(message), find_leaf(after)
    assert read_text(after) == take_back(read_text(message))
    assert after[: new.start] == message[: old.start]
    assert after[new.end :] == message[old.end :]
    longest = max(map(len, message[old.start : old.end].splitlines()))
    assert max(map(len, after[new.start : new.end].splitlines())) <= max(longest, 76)
    assert unescape(after) == after


@pytest.mark.parametrize(
    "charset", ["utf-16", "utf-16-le", "utf-7", "iso-2022-jp", "gb18030", "windows-1252"]
)
def test_in_every_charset_they_are_found(charset: str) -> None:
    text = f"<p>日本 {OPEN.decode()}名 {CLOSE.decode()} {OPEN.decode()}</p>\r\n"
    if charset == "windows-1252":
        text = text.replace("日本", "é").replace("名", "ü")
    body = base64.encodebytes(text.encode(charset)).replace(b"\n", b"\r\n")
    head = (
        f"Content-Type: text/html; charset={charset}\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    )
    read = message_from_bytes(unescape(head.encode() + body)).get_payload(decode=True)
    assert isinstance(read, bytes)
    assert read.decode(charset) == take_back(text.encode()).decode()


def test_text_and_header_fields_have_them_taken_back_and_other_parts_not() -> None:
    message = (
        b"Subject: " + OPEN + b"x" + CLOSE + b"\r\n y " + OPEN + b"\r\n"
        b'X-MSYS-API: {"campaign_id":"' + OPEN + b'"}\r\n'
        b'Content-Type: multipart/mixed; boundary="b' + OPEN + b'"\r\n\r\n'
        b"--b" + OPEN + b"\r\n\r\ntext " + OPEN + b"\r\n"
        b"--b" + OPEN + b"\r\nContent-Type: text/csv\r\n\r\n" + OPEN + b"\r\n"
        b"--b" + OPEN + b"\r\nContent-Type: text/plain\r\n"
        b"Content-Disposition: attachment\r\n\r\n" + OPEN + b"\r\n"
        b"--b" + OPEN + b"--\r\n" + OPEN
    )
    head, body = take_back(message[: message.index(b"Content-Type")]), b"\r\n\r\ntext "
    rest = message[message.index(b"Content-Type") :].replace(body + OPEN, body + b"{{", 1)
    assert unescape(message) == head + rest


def test_a_soft_line_break_inside_of_an_escape_stays_unless_a_boundary_would_begin() -> None:
    head = (
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
        b"Content-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    )
    split = OPEN[:12] + b"=\r\n" + OPEN[12:]
    assert unescape(head + split + b"x\r\n--b--") == head + b"{{=\r\nx\r\n--b--"
    unsafe = head + split + b"--b\r\n--b--"
    assert unescape(unsafe) == unsafe


SIGNED = (
    b"DKIM-Signature: v=1;\r\n b=" + OPEN + b"\r\nSubject: " + OPEN + b"\r\n"
    b"ARC-Message-Signature: i=1\r\n\r\nx " + CLOSE + b"\r\n"
)


def test_signed_mail_is_treated_as_configured() -> None:
    assert unescape_curly_macros(SIGNED, "skip") == SIGNED
    assert unescape_curly_macros(SIGNED, "track") == take_back(SIGNED)
    assert unescape_curly_macros(SIGNED, "strip") == b"Subject: {{\r\n\r\nx }}\r\n"
    without = SIGNED.replace(OPEN, b"").replace(CLOSE, b"")
    assert unescape_curly_macros(without, "strip") == without


def test_what_can_not_be_read_stays() -> None:
    for head in (
        b"no field\r\n\r\n",
        b"Content-Transfer-Encoding: uuencode\r\n\r\n",
        b"Content-Transfer-Encoding: base64\r\n\r\n!",
        b"Content-Type: text/html; charset=no-such\r\nContent-Transfer-Encoding: x\r\n\r\n",
    ):
        assert unescape(head + OPEN) == head + OPEN


pieces = st.sampled_from(
    [OPEN, CLOSE, b"{{", b"}}", b"x", b" ", b"=\n", b"\n", b"--outer", b"\xc3\xbc"]
)


@given(
    html=st.lists(pieces, max_size=12).map(b"".join),
    encoder=st.sampled_from(sorted(forms.ENCODERS)),
    seed=st.integers(0, 99),
)
def test_any_document_loses_its_escapes_and_nothing_else(
    html: bytes, encoder: str, seed: int
) -> None:
    chance = Random(seed)  # noqa: S311 - a choice of line breaks
    message = forms.message(html, encoder=encoder, container="alternative", chance=chance)
    if not oracle.list_html(message):
        return
    after = unescape(message)
    old, new = find_leaf(message), find_leaf(after)
    assert after[: new.start] == message[: old.start]
    assert after[new.end :] == message[old.end :]
    if b"--outer" not in html:
        assert read_text(after) == take_back(read_text(message))


@given(st.binary(max_size=200) | st.lists(pieces, max_size=20).map(b"".join))
def test_any_bytes_come_through(message: bytes) -> None:
    assert len(unescape(message)) <= len(message) + 2
