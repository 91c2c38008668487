"""Charsets of the reference, in small: what browsers read, and the way back to the bytes."""

import pytest

from msys_track.reasons import Reason
from msys_track.rewriting.reference.charsets.charset import Charset, ShiftedCharset, find_charset
from msys_track.rewriting.reference.charsets.query import encode_iso_2022_jp, encode_query
from msys_track.rewriting.reference.charsets.shifts import Scheme
from msys_track.rewriting.reference.charsets.transcoded import transcode
from msys_track.rewriting.reference.left_alone import LeftAloneError


@pytest.mark.parametrize(
    ("label", "octets", "text"),
    [
        ("'UTF_8'", b"caf\xc3\xa9\xff", "café\ufffd"),
        (None, b"caf\xe9", "café"),
        ("us-ascii", b"caf\xc3\xa9", "café"),
        ("iso-8859-1", b"\x80\x81", "€\x81"),
        ("IBM850", b"\x82", "é"),
        ("euc-tw", b"a\xa4\xa4", "a\ufffd\ufffd"),
        # Encoding Standard: an ASCII byte that ends no character is read again.
        ("shift_jis", b"\x83\x41\x83\x22\x80\xb1", 'ア\ufffd"\x80ｱ'),
        ("euc-jp", b"\x8f\xa1\x41\x8e\xb1\xa1\xc1", "\ufffdAｱ\uff5e"),
        ("big5", b"\xa4\x40\x81\x40\x88\x62", "一\ufffd@Ê̄"),
        ("gb18030", b"\x80\x81\x30\x81\x30\x81\x30", "€\x80\ufffd"),
        ("euc-kr", b"\xb0\xa1\x81\x5b", "가\ufffd["),
    ],
)
def test_bytes_are_read_as_in_a_browser(label: str | None, octets: bytes, text: str) -> None:
    charset = find_charset(label)
    assert isinstance(charset, Charset)
    assert charset.decode(octets) == text


@pytest.mark.parametrize(
    ("label", "reason"),
    [
        ("x-klingon", Reason.UNKNOWN_CHARSET),
        ("cp037", Reason.UNSUPPORTED_CHARSET),
    ],
)
def test_a_charset_that_is_not_read_says_why(label: str, reason: Reason) -> None:
    with pytest.raises(LeftAloneError) as left:
        find_charset(label)
    assert left.value.reason is reason


SHIFTED: list[tuple[Scheme, bytes, str]] = [
    ("utf-7", b"+ZeU-", "日"),
    ("utf-7", b"+ZeU.+-+", "日.+\ufffd"),
    ("hz", b"~{HU~}~~~\n.", "日~."),
    ("iso-2022-jp", b"\x1b$BF|\x1b(J\\~\x1b(I1\x1b(B.", "日\xa5\u203eｱ."),
    ("iso-2022-jp", b"\x1b$BF\x1b(B\x1b", "\ufffd\ufffd"),
    ("iso-2022-kr", b"\x0elm\x0f.", "日."),
    ("iso-2022-cn", b"\x1b$)A\x0eHU\n.", "日\n."),
]


@pytest.mark.parametrize(("scheme", "source", "text"), SHIFTED)
def test_shifts_are_read(scheme: Scheme, source: bytes, text: str) -> None:
    assert transcode(source, ShiftedCharset(scheme)).content.decode() == text


def test_only_ascii_outside_of_shifts_has_a_place_in_the_source() -> None:
    read = transcode(b"a\x1b$BF|\x1b(Bb", ShiftedCharset("iso-2022-jp"))
    assert read.content == "a日b".encode()
    assert read.find_range(0, 1) == (0, 1)
    assert read.find_range(0, 4) == (0, 9)  # with the escape that ends the shift
    assert read.find_range(1, 4) is None
    assert read.find_insertion(4) == 9
    assert read.find_insertion(1) is None
    assert read.find_insertion(5) == 10


def test_what_ends_base64_in_utf_7_is_a_place_for_a_pixel_and_not_the_start_of_a_link() -> None:
    read = transcode(b"+ZeU<", ShiftedCharset("utf-7"))
    assert read.find_insertion(3) == 4
    assert read.find_range(3, 4) is None
    assert read.encode(b"a+b") == b"a+-b"


@pytest.mark.parametrize("source", [b"\x1b$(P!!", b"\x1b$(QO~", b"\x1b$)G\x0eDD"])
def test_a_set_that_is_not_read_is_noted(source: bytes) -> None:
    assert transcode(source, ShiftedCharset("iso-2022-jp")).has_unread
    assert not transcode(b"\x1b$B~~", ShiftedCharset("iso-2022-jp")).has_unread


@pytest.mark.parametrize(
    ("query", "encoded"),
    [
        ("a=日&b", "a=%1B$BF|%1B(B&b"),
        ("\u203e\\", "%1B(J~%1B(B\\"),
        ("\x0eéA", "%26%2365533%3B%26%23233%3BA"),
    ],
)
def test_a_query_is_written_as_a_browser_does(query: str, encoded: str) -> None:
    target = f"http://e.com/é?{query}#é?é"
    assert encode_query(target, encode_iso_2022_jp) == f"http://e.com/é?{encoded}#é?é"
