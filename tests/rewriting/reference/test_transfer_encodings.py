"""Transfer encodings are undone, and each byte has its place in the message."""

import pytest

from msys_track.rewriting.reference import base64
from msys_track.rewriting.reference.quoted_printable import Decoded


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
