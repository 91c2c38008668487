"""The comparison must find each difference, and report none where there is none."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests import shared_corpus
from tests.thoroughness import IS_THOROUGH

from msys_track.demo.catalogue import MAILS, NEWSLETTER, Mail
from msys_track.dispatch.dispatcher import Dispatcher
from msys_track.errors import HeaderRefusedError
from msys_track.keys.ring import KeyRing
from msys_track.options.tracking import TrackingOptions
from msys_track.testing.fidelity import Changes, changes, take_added, without_api_header
from msys_track.testing.sender import wire_form

TO = "jo@example.com"
ORIGIN = "http://127.0.0.1:8080"
REWRITER = Dispatcher(
    keys=KeyRing.temporary(),
    options=TrackingOptions(
        open_tracking=True, click_tracking=True, tracking_domain="127.0.0.1:8080"
    ),
)
HEAD = b"Subject: x\r\nContent-Type: text/html; charset=utf-8\r\n"
BODY = b"<p>one <a href='http://a.example/?x&amp;y'>two</a> three</p></body>\r\n"


def track_message(message: bytes) -> bytes:
    return REWRITER.copy_for(TO, message, now=1_700_000_000).message


def find_changes(message: bytes) -> Changes:
    return changes(message, track_message(message), ORIGIN)


def test_links_and_pixel_are_all_that_is_seen_of_tracking() -> None:
    found = find_changes(HEAD + b"\r\n" + BODY)
    assert found.beyond is None
    assert [wrapped.original for wrapped in found.wrapped] == [b"http://a.example/?x&amp;y"]
    assert len(found.pixels) == 1


@pytest.mark.parametrize("mail", MAILS, ids=lambda mail: mail.file)
def test_every_mail_of_the_tour_is_seen_whole(mail: Mail) -> None:
    found = find_changes(mail.message())
    assert found.beyond is None


def test_a_broken_line_is_no_difference_where_it_would_be_too_long() -> None:
    message = HEAD + b"\r\n<p>" + b"y" * 950 + b"<a href='http://a.example/'>x</a>\r\n"
    copy = track_message(message)
    assert b"<a\r\nhref=" in copy
    assert find_changes(message).beyond is None
    for other in (copy.replace(b"y" * 950, b""), copy.replace(b"<a\r\n", b"<\r\na ")):
        sent = message if other.count(b"y") else message.replace(b"y" * 950, b"")
        assert changes(sent, other, ORIGIN).beyond is not None


def test_a_changed_byte_is_seen_wherever_it_is() -> None:
    message = without_api_header(NEWSLETTER.message())
    copy = track_message(message)
    whole = changes(message, copy, ORIGIN)
    for at in range(0, len(copy), 5):
        other = b"!" if copy[at : at + 1] == b"~" else b"~"
        found = changes(message, copy[:at] + other + copy[at + 1 :], ORIGIN)
        # In a token it makes another URL, which a click finds dead.
        assert found.beyond is not None or found != whole, copy[at - 20 : at + 20]


@pytest.mark.parametrize(
    ("was", "is_now"),
    [
        (b"three", b"four"),
        (b"three", b"three "),
        (b"<p>", b"<P>"),
        (b"Subject: x", b"Subject: y"),
        (b"Subject: x\r\n", b""),
        (b"</body>\r\n", b"</body>\r\n\r\n"),
        (b"</body>\r\n", b"</body>"),
        (b"'>two", b'">two'),
        (b"</body>", b"<img src='http://127.0.0.1:8080/other'></body>"),
    ],
)
def test_what_is_more_than_links_and_pixel_is_told(was: bytes, is_now: bytes) -> None:
    message = HEAD + b"\r\n" + BODY
    copy = track_message(message)
    assert was in copy
    assert changes(message, copy.replace(was, is_now), ORIGIN).beyond is not None


@pytest.mark.parametrize(("length", "is_told"), [(800, False), (950, True), (1_000, False)])
def test_a_link_that_makes_a_line_too_long_is_told(length: int, is_told: bool) -> None:  # noqa: FBT001
    url = b"http://127.0.0.1:8080/f/a/" + b"A" * 60
    message = HEAD + b"\r\n" + b"y" * length + b"<a href='http://a.example/'>a</a>\r\n"
    found = changes(message, message.replace(b"http://a.example/", url), ORIGIN)
    assert (found.beyond is not None) == is_told


@pytest.mark.parametrize(
    ("sent", "arrived", "beyond"),
    [
        (
            HEAD + b"Content-Transfer-Encoding: base64\r\n\r\nPHA+YTwvcD4=\r\n",
            HEAD + b"Content-Transfer-Encoding: base64\r\n\r\nPHA+YTwvcD4\r\n",
            "base64 that is malformed",
        ),
        (
            HEAD + b"\r\n<img alt=ab src=x>\r\n",
            HEAD + b"\r\n<img alt=a\r\nhref= src=x>\r\n",
            "a line break that stands for no white space of a tag",
        ),
        (
            HEAD + b"\r\n<a href='http://a.example/'>x</a>\r\n",
            HEAD + b"\r\n<a\r\nhref='http://127.0.0.1:8080/f/a/%b'>x</a>\r\n" % (b"A" * 60),
            "a line is broken that would not be too long",
        ),
    ],
)
def test_how_the_copy_is_written_is_judged_too(sent: bytes, arrived: bytes, beyond: str) -> None:
    assert changes(sent, arrived, ORIGIN).beyond == beyond


@pytest.mark.parametrize(
    ("sent", "arrived", "added"),
    [
        (b"To: a@b.test\r\n", b"To: a@b.test,\r\n C <c@d.test>\r\n", [("C", "c@d.test")]),
        (b"", b"To: c@d.test\r\n", [("", "c@d.test")]),
        (b"To: a@b.test\r\n", b"To: x@y.test, c@d.test\r\n", []),
        (b"To: a@b.test\r\n", b"To: a@b.test\r\nTo: c@d.test\r\n", []),
    ],
    ids=["continued", "new", "another", "one field more"],
)
def test_mailboxes_that_a_copy_adds_are_taken_out_and_nothing_else_is(
    sent: bytes, arrived: bytes, added: list[tuple[str, str]]
) -> None:
    left, found = take_added(sent + b"\r\n", arrived + b"\r\n", b"To")
    assert found == added
    assert left == (sent if added else arrived) + b"\r\n"


def test_an_empty_copy_is_told() -> None:
    assert changes(HEAD + b"\r\n" + BODY, b"", ORIGIN).beyond is not None


def test_the_same_body_twice_is_told_apart() -> None:
    part = b"--b\r\nContent-Type: text/%b\r\n\r\n" + BODY
    head = b"Content-Type: multipart/alternative; boundary=b\r\n\r\n"
    message = head + part % b"plain" + part % b"html" + b"--b--\r\n"
    assert find_changes(message).beyond is None
    assert len(find_changes(message).wrapped) == 1


@pytest.mark.parametrize("encoding", [b"base64", b"BASE64 (so they say)"])
def test_base64_is_compared_as_what_it_holds(encoding: bytes) -> None:
    body = base64.encodebytes(BODY).replace(b"\n", b"\r\n")
    found = find_changes(HEAD + b"Content-Transfer-Encoding: " + encoding + b"\r\n\r\n" + body)
    assert found.beyond is None
    assert len(found.wrapped) == 1


def test_blanks_behind_a_soft_break_are_no_difference() -> None:
    body = b"<a href=3D'http://a.ex= \t\r\nample/'>a</a>\r\n"
    found = find_changes(HEAD + b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + body)
    assert found.beyond is None
    assert [wrapped.original for wrapped in found.wrapped] == [b"http://a.example/"]


@pytest.mark.parametrize(
    ("message", "without"),
    [
        (b"X-MSYS-API: {}\r\nA: b\r\n\r\n", b"A: b\r\n\r\n"),
        (
            b"A: b\r\nx-msys-api : {\r\n }\r\n\t\r\n\r\nX-MSYS-API: c\r\n",
            b"A: b\r\n\r\nX-MSYS-API: c\r\n",
        ),
        (
            b" a\r\nX-MSYS-API: {\r\njunk\r\n\t\r\n: b\r\n }\r\nA: b\r\njunk\r\n c\r\n\r\n",
            b" a\r\njunk\r\n: b\r\nA: b\r\njunk\r\n c\r\n\r\n",
        ),
        (b"X-MSYS-API: {}\r\n", b""),
        (b"\r\nX-MSYS-API: {}\r\n", b"\r\nX-MSYS-API: {}\r\n"),
        (b"X-MSYS-API-2: {}\r\n\r\n", b"X-MSYS-API-2: {}\r\n\r\n"),
    ],
)
def test_the_header_is_taken_out_with_all_its_lines(message: bytes, without: bytes) -> None:
    assert without_api_header(message) == without


PIECES = st.lists(
    st.sampled_from(
        ['<a href="http://a.example/1">', "<a href='https://b.example/?x&amp;y'>", "</a>", "<p>",
         "</body>", "</html>", "é", "\n", "  ", "<!-- <a href=http://c.example/> -->", "text",
         "<a href=http://d.example/>", "<area href='mailto:a@b.c'>", "<img src=x>"]
    )
)  # fmt: skip


@given(PIECES)
def test_tracking_of_any_document_leaves_nothing_beyond(pieces: list[str]) -> None:
    message = wire_form(HEAD + b"\r\n" + "".join(pieces).encode()).message
    copy = REWRITER.copy_for(TO, message, now=1)
    found = changes(message, copy.message, ORIGIN)
    assert found.beyond is None
    assert len(found.wrapped) == copy.wrapped_links


@shared_corpus.needs_corpus
@pytest.mark.timeout(300)
def test_tracking_of_hostile_input_leaves_nothing_beyond() -> None:
    for name, data, kind in shared_corpus.hostile():
        if len(data) > (1_000_000 if IS_THOROUGH else 100_000):
            continue
        message = wire_form(HEAD + b"\r\n" + data if kind == "html" else data).message
        try:
            found = find_changes(message)
        except HeaderRefusedError:
            continue
        assert found.beyond is None, name
