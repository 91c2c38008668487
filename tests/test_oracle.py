"""The oracle is only worth something if it sees damage: each kind is made here."""

import re

import pytest
from tests import oracle
from tests.rewriting import forms
from tests.rewriting.fidelity import check

HTML = (
    "<html><head><title>t</title></head><body><p class=x>é text <a href='http://e.com/?a=1&amp;b'"
    ' id=y>one</a>\n<a href="http://e.com/two">two</a><a href="mailto:a@b.c">m</a>\n</body></html>'
).encode()


def build_message(encoder: str = "8bit") -> bytes:
    return forms.message(HTML, encoder=encoder, container="with all around", line_break="CRLF")


def assert_seen(message: bytes, good: bytes, bad: bytes) -> None:
    assert bad != good
    with pytest.raises(AssertionError):
        oracle.difference(message, bad)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Subject: x", b"Subject: y"),
        (b"MIME-Version: 1.0\r\n", b""),
        (b"MIME-Version: 1.0\r\n", b"mime-version: 1.0\r\n"),
        (b"This is a message", b"This was a message"),
        (b"ErkJggg==\r\n\r\n--", b"ErkJggg==\r\n--"),
        (b"/signed'", b"/signet'"),
        (b"/forwarded'", b"/f/a/tracked'"),
        (b"/attached'", b"/f/a/tracked'"),
        (b"YPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==", b"YPhfDwAChwGA60e6kgAAAABJRU5ErkJgggAA"),
        (b"inner end\r\n", b"inner end\n"),
        (b"--outer2--", b"--outer2-- "),
        (b"text", b"test"),
        (b"\xc3\xa9 text", b"=C3=A9 text"),
        (b"<p class=x", b"<P class=x"),
        (b"<p class=x", b'<p class="x"'),
        (b"id=y", b"id='y'"),
        (b"one</a>\r\n", b"one</a>\n"),
        (b"href='http://click", b'href="http://click'),
        (b"mailto:a@b.c", b"http://click.example.com/f/a/AAAA"),
        (b"</title>", b'</title><img border="0" width="1" height="1" alt="" src="http://x/q/A">'),
        (b"</body>", b" </body>"),
        (b"</body></html>", b"</html></body>"),
        (b' alt=""', b""),
    ],
)  # fmt: skip
def test_a_byte_that_changed_elsewhere_is_seen(old: bytes, new: bytes) -> None:
    message = build_message()
    good = check(message).copy.message
    assert_seen(message, good, good.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"<a href='http://example.com/'>", b"<a href='http://e.com/f/a/x'>"),
        (b"\r\n\r\nx", b"\r\n\r\n"),
        (b"--outer\r\n", b"--outer--\r\n"),
    ],
)
def test_a_byte_that_changed_in_the_epilogue_is_seen(old: bytes, new: bytes) -> None:
    message = build_message()
    good = check(message).copy.message
    assert_seen(message, good, new.join(good.rsplit(old, 1)))


def test_a_pixel_in_another_place_is_seen() -> None:
    message = build_message()
    good = check(message).copy.message
    pixel = re.search(rb"\r\n<img border=[^>]*>\r\n", good)
    assert pixel is not None
    bare = good.replace(pixel[0], b"")
    assert oracle.difference(message, bare).pixels == []
    for place in (b"<p class", b"</html>", b"one</a>"):
        assert_seen(message, good, bare.replace(place, pixel[0] + place))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"=C3=A9", b"=c3=E9"),
        (b"text", b"te=\r\nxt=20"),
        (b"<img", b" " * 60 + b"<img"),
        (b"=\r\n", b""),
        (b"src=3D", b"src="),
    ],
)
def test_damage_to_quoted_printable_is_seen(old: bytes, new: bytes) -> None:
    message = build_message("quoted-printable")
    good = check(message).copy.message
    assert_seen(message, good, good.replace(old, new, 1))


@pytest.mark.parametrize(
    "replacement", [rb"\1!\2\3", rb"\1\3", rb"\1\2AAAA\3", rb"\1==\2\3", rb"\1\r\n\2"]
)
def test_damage_to_base64_is_seen(replacement: bytes) -> None:
    message = build_message("base64")
    good = check(message).copy.message
    assert_seen(message, good, re.sub(rb"(PGh0bW.{60})(.)(.*\r\n)", replacement, good, count=1))


def test_lines_of_base64_that_are_too_long_are_seen() -> None:
    message = build_message("base64")
    good = check(message).copy.message
    assert_seen(message, good, re.sub(rb"(PGh0bW.*)\r\n", rb"\1", good, count=1))


def test_a_link_that_was_left_is_told() -> None:
    message = build_message()
    good = check(message).copy.message
    url = oracle.difference(message, good).links[0][1].encode()
    found = oracle.difference(message, good.replace(url, b"http://e.com/?a=1&amp;b"))
    assert [href.text for href in found.kept] == ["http://e.com/?a=1&amp;b", "mailto:a@b.c"]
    assert len(found.links) == 1


def test_an_edit_that_covers_more_than_an_href_is_seen() -> None:
    message = build_message()
    (offset, length, url), *more = check(message).copy.edits
    for edit in [
        (offset - 1, length + 1, b"'" + url),
        (offset, length + 1, url + b"'"),
        (0, 1, b"X"),
        (len(message), 0, b"x"),
    ]:
        with pytest.raises(AssertionError):
            oracle.check_edits(message, sorted([edit, *more]))


def test_edits_that_do_not_lead_back_are_seen() -> None:
    message = build_message()
    copy = check(message).copy
    (offset, length, url), *more = copy.edits
    with pytest.raises(AssertionError):
        oracle.undone(message, copy.message, [(offset + 1, length, url), *more])
    with pytest.raises(AssertionError):
        oracle.replay_edits(message, [*copy.edits, copy.edits[0]])
    with pytest.raises(AssertionError):
        oracle.undone(message, copy.message, more)
