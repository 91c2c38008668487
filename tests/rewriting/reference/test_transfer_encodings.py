"""Transfer encodings are undone, and each byte has its place in the message."""

import quopri

import pytest

from msys_track.rewriting.reference import base64
from msys_track.rewriting.reference.quoted_printable import Decoded, encode_line


@pytest.mark.parametrize(
    ("raw", "content"),
    [
        (b"a=3D=3d=E9= \t\r\nb=\nc=", b"a==\xe9bc"),
        (b"=4 =zz ==41 \r\n", b"=4 =zz =A \r\n"),
    ],
)
def test_quoted_printable_is_undone(raw: bytes, content: bytes) -> None:
    assert Decoded(raw, 0).content == content


def test_a_range_of_quoted_printable_has_the_escapes_and_soft_breaks_inside_of_it() -> None:
    decoded = Decoded(b"ab=\r\nc=3Dd", 100)
    assert decoded.content == b"abc=d"
    assert decoded.locate(1, 4) == (101, 109)
    assert decoded.locate(0, 2) == (100, 102)


@pytest.mark.parametrize(
    ("raw", "content"), [(b"YWJj\r\nZA ==\n", b"abcd"), (b"YWJjZA", b"abcd"), (b"", b"")]
)
def test_base64_is_undone(raw: bytes, content: bytes) -> None:
    assert base64.decode(raw) == content


@pytest.mark.parametrize("raw", [b"YWJjZ", b"YW!Jj", b"YWJjZA==YWJj"])
def test_what_is_not_base64_is_malformed(raw: bytes) -> None:
    with pytest.raises(base64.MalformedError):
        base64.decode(raw)


@pytest.mark.parametrize(
    ("start", "end", "bytes_of_the_message"),
    [
        (0, 1, (100, 101)),  # literal
        (1, 2, (101, 104)),  # an escape
        (2, 3, (104, 107)),  # one that follows it at once
        (3, 4, (107, 108)),
        (4, 5, (111, 112)),  # behind a soft break
        (3, 5, (107, 112)),
        (1, 5, (101, 112)),
        (0, 0, (100, 100)),
        (1, 1, (101, 101)),
        (2, 2, (104, 104)),  # right before an escape
        (4, 4, (111, 111)),  # right before a byte, not before the soft break before it
        (5, 5, (112, 112)),
        (6, 6, (113, 113)),  # the end, before the soft break that ends the body
    ],
)
def test_each_range_of_quoted_printable_has_its_bytes(
    start: int, end: int, bytes_of_the_message: tuple[int, int]
) -> None:
    decoded = Decoded(b"a=C3=A9b=\r\ncd=\r\n", 100)
    assert decoded.content == b"a\xc3\xa9bcd"
    assert decoded.locate(start, end) == bytes_of_the_message


@pytest.mark.parametrize("raw", [b"", b"=\r\n"])
def test_an_empty_quoted_printable_body_has_one_place(raw: bytes) -> None:
    decoded = Decoded(raw, 100)
    assert (decoded.content, decoded.locate(0, 0)) == (b"", (100, 100))


def test_the_end_of_quoted_printable_is_behind_its_last_escape() -> None:
    assert Decoded(b"a=3D", 0).locate(1, 2) == (1, 4)
    assert Decoded(b"a=3D", 0).locate(2, 2) == (4, 4)


def test_the_end_of_quoted_printable_is_behind_its_last_literal_byte() -> None:
    assert Decoded(b"a=3Dbc", 0).locate(3, 4) == (5, 6)
    assert Decoded(b"a=3Dbc", 0).locate(4, 4) == (6, 6)


def encode(
    text: bytes,
    *,
    column: int = 0,
    tail: int = 0,
    is_line: bool = False,
    needs_soft_break: bool = False,
) -> bytes:
    return encode_line(
        text,
        column=column,
        tail=tail,
        eol=b"\r\n",
        is_line=is_line,
        needs_soft_break=needs_soft_break,
    )


@pytest.mark.parametrize(
    ("text", "encoded"),
    [
        (b"plain text!", b"plain text!"),
        (b"a=b", b"a=3Db"),
        (b"\xc3\xa9\x00\x7f\t~", b"=C3=A9=00=7F=09~"),
        (b"", b""),
    ],
)
def test_what_quoted_printable_can_not_have_is_escaped(text: bytes, encoded: bytes) -> None:
    assert encode(text) == encoded


def test_a_hyphen_at_the_begin_of_a_line_is_escaped_so_that_it_begins_no_boundary() -> None:
    assert encode(b"--b-") == b"=2D-b-"
    assert encode(b"--b", column=1) == b"--b"
    assert encode(b"xy-z", column=73) == b"xy=\r\n=2Dz"


@pytest.mark.parametrize("column", [0, 1, 40, 74, 75, 76, 80])
@pytest.mark.parametrize("text", [b"x" * 200, b"\xff" * 60, b"ab\xff" * 40, b"=-" * 50])
def test_no_line_of_quoted_printable_is_longer_than_76(text: bytes, column: int) -> None:
    encoded = encode(text, column=column)
    first, *others = encoded.split(b"\r\n")
    assert column + len(first) <= 76 or (column > 75 and first == b"=")
    assert all(len(line) <= 76 for line in others)
    assert all(line.endswith(b"=") for line in [first, *others][:-1])
    assert quopri.decodestring(encoded) == text
    # Only a line that the next piece has no room on is broken.
    assert all(len(line) >= 74 for line in others[:-1])


@pytest.mark.parametrize(("tail", "encoded"), [(75, b"x"), (76, b"x=\r\n"), (0, b"x")])
def test_a_line_that_would_pass_76_with_what_follows_is_broken_behind_a_single_byte(
    tail: int, encoded: bytes
) -> None:
    assert encode(b"x", tail=tail) == encoded


def test_quoted_printable_fills_its_lines() -> None:
    assert encode(b"x" * 151) == b"x" * 75 + b"=\r\n" + b"x" * 75 + b"=\r\nx"
    assert encode(b"x" * 75) == b"x" * 75
    assert encode(b"x", column=74) == b"x"
    assert encode(b"x", column=75) == b"=\r\nx"
    assert encode(b"\xff", column=72) == b"=FF"
    assert encode(b"\xff", column=73) == b"=\r\n=FF"


def test_a_line_of_its_own_stands_between_line_breaks() -> None:
    assert encode(b"x", column=9, is_line=True) == b"\r\nx\r\n"
    soft = encode(b"x", column=9, is_line=True, needs_soft_break=True)
    assert soft == b"=\r\n\r\nx\r\n"
    assert encode(b"x", needs_soft_break=True) == b"x"


def test_what_follows_goes_to_the_next_line_if_this_one_has_no_room_for_it() -> None:
    assert encode(b"xy", column=10, tail=64) == b"xy"
    assert encode(b"xy", column=10, tail=65) == b"xy=\r\n"
    assert encode(b"", column=0, tail=100) == b""
    # What was taken out of a line that is too long: it is broken if more follows.
    assert encode(b"", column=76, tail=1) == b"=\r\n"
    assert encode(b"", column=77, tail=0) == b""
    assert encode(b"x" * 75, tail=0) == b"x" * 75
    assert encode(b"xy", is_line=True, tail=100) == b"\r\nxy\r\n"


def test_a_group_of_base64_is_found_in_its_line() -> None:
    raw = b"AAAABBBB\r\nCCCCDDDD\r\nEEEE\r\n"
    assert base64.find_group(raw, 0) == base64.Layout(0, 0, 8, 24)
    assert base64.find_group(raw, 1) == base64.Layout(4, 4, 8, 24)
    assert base64.find_group(raw, 2) == base64.Layout(10, 0, 8, 24)
    assert base64.find_group(raw, 3) == base64.Layout(14, 4, 8, 24)
    assert base64.find_group(raw, 4) == base64.Layout(20, 0, 8, 24)
    assert base64.find_group(raw, 5) == base64.Layout(24, 4, 8, 24)
    assert base64.find_group(b"\r\n", 0) == base64.Layout(0, 0, 76, 0)


def test_a_group_far_down_is_found_whatever_white_space_is_before_it() -> None:
    lines = [b"QUJD" * 19, b" \tQUJD QUJD", b"", b"QUJDQUJD \f"] * 100
    raw = b"\r\n".join(lines)
    characters = [at for at, byte in enumerate(raw) if byte not in b" \t\r\n\f"]
    for group in range(0, len(characters) // 4, 7):
        layout = base64.find_group(raw, group)
        assert layout.start == characters[group * 4]
        line = raw.rfind(b"\n", 0, layout.start) + 1
        assert layout.column == sum(line <= at < layout.start for at in characters)
        assert (layout.line_length, layout.end) == (76, len(raw) - 2)


@pytest.mark.parametrize(
    ("raw", "length"),
    [
        (b"AAAA", 76),  # one line may be short
        (b"AAAA\r\n", 76),
        (b"", 76),
        (b"AAAA\nAAAABBBBCCCC\nAAAABBB\n", 12),
        (b"AAAA\r\nAAAABBBBCCC \t\r\nC", 8),  # whole groups
        (b"AA\nAA", 4),
        (b"A" * 996 + b"\nAAAA", 996),
        (b"A" * 2000 + b"\nAAAA", 996),  # RFC 5322 section 2.1.1
    ],
)
def test_the_longest_line_of_base64_is_a_full_one(raw: bytes, length: int) -> None:
    assert base64.find_group(raw, 0).line_length == length


@pytest.mark.parametrize(
    ("column", "encoded"),
    [
        (0, b"QUJDREVG\nR0hJ"),
        (4, b"QUJD\nREVGR0hJ"),
        (8, b"\nQUJDREVG\nR0hJ"),
        (12, b"\nQUJDREVG\nR0hJ"),  # a line that was too long
    ],
)
def test_base64_goes_on_at_its_column(column: int, encoded: bytes) -> None:
    layout = base64.Layout(0, column, 8, 0)
    assert base64.encode(b"ABCDEFGHI", layout, b"\n") == encoded


def test_base64_of_nothing_is_nothing() -> None:
    assert base64.encode(b"", base64.Layout(0, 4, 8, 0), b"\n") == b""
