"""Whatever form a document is sent in, its links and the pixel are all that changes."""

from itertools import product
from random import Random
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests import oracle
from tests.rewriting import documents, forms
from tests.rewriting.fidelity import KEYS, REWRITER, check
from tests.thoroughness import examples, some_of

from msys_track.dispatch.dispatcher import Dispatcher
from msys_track.options.tracking import TrackingOptions

CHARSETS = {
    "utf-8": "utf-8",
    "windows-1252": "cp1252",
    "ISO-8859-1": "latin-1",
    "us-ascii": "utf-8",
    "koi8-r": "koi8-r",
    "shift_jis": "cp932",
    "gb2312": "gb18030",
    None: "utf-8",
}
QUERIES = {
    "windows-1252": "%E9",
    "ISO-8859-1": "%E9",
    "koi8-r": "%D6",
    "shift_jis": "%8A%BF",
    "gb2312": "%9Dh",
}
"""The letter of each charset as a browser asks for it."""
HREF = "<body><a href='http://e.com/'>x</a></body>"


@pytest.mark.parametrize("document", documents.DOCUMENTS)
@pytest.mark.parametrize("charset", ["utf-8", "windows-1252", None])
def test_links_and_pixel_are_all_that_changes(document: str, charset: str | None) -> None:
    html = documents.DOCUMENTS[document].encode(CHARSETS[charset], "replace")
    each_form = product(forms.ENCODERS, forms.CONTAINERS, forms.LINE_BREAKS, (True, False))
    for encoder, container, line_break, final_break in some_of(each_form, 13):
        message = forms.message(
            html,
            encoder=encoder,
            container=container,
            line_break=line_break,
            charset=charset,
            final_break=final_break,
        )
        check(message)


@pytest.mark.parametrize("encoder", forms.ENCODERS)
def test_every_link_of_a_newsletter_is_wrapped(encoder: str) -> None:
    html = documents.NEWSLETTER.encode()
    for container, line_break in product(forms.CONTAINERS, forms.LINE_BREAKS):
        message = forms.message(html, encoder=encoder, container=container, line_break=line_break)
        copy = check(message).copy
        assert (copy.wrapped_links, copy.pixels) == (documents.LINKS, 1)


@pytest.mark.parametrize("charset", CHARSETS)
def test_a_target_is_read_in_the_charset_of_the_part(charset: str | None) -> None:
    letter = "漢" if charset in ("shift_jis", "gb2312") else "ж" if charset == "koi8-r" else "é"
    html = f"<a href='http://e.com/{letter}?q={letter}&amp;x'>".encode(CHARSETS[charset])
    for encoder in forms.ENCODERS:
        message = forms.message(
            html, encoder=encoder, container="alternative", line_break="LF", charset=charset
        )
        [href] = check(message).difference.wrapped
        query = QUERIES.get(charset or "utf-8", letter)
        assert href.target == f"http://e.com/{letter}?q={query}&x"


@pytest.mark.parametrize("encoder", forms.ENCODERS)
@pytest.mark.parametrize(("opens", "clicks"), [(True, False), (False, True), (False, False)])
def test_what_is_not_asked_for_is_not_done(encoder: str, *, opens: bool, clicks: bool) -> None:
    options = TrackingOptions(
        open_tracking=opens,
        click_tracking=clicks,
        tracking_domain="click.example.com",
        outlook_links=False,
    )
    message = forms.message(
        documents.NEWSLETTER.encode(), encoder=encoder, container="folded", line_break="CRLF"
    )
    copy = check(message, Dispatcher(keys=KEYS, options=options)).copy
    assert (copy.wrapped_links, copy.pixels) == (documents.LINKS * clicks, opens)
    assert (copy.message == message) is not (opens or clicks)


def test_in_quoted_printable_lines_without_an_edit_are_the_same_lines() -> None:
    html = documents.NEWSLETTER.encode()
    message = forms.message(html, encoder="quoted-printable, any width")
    copy = check(message).copy
    kept, end = [], 0
    for line in message.splitlines(keepends=True):
        start, end = end, end + len(line)
        if not any(start <= at + length and at < end for at, length, _ in copy.edits):
            kept.append(line)
    theirs = iter(copy.message.splitlines(keepends=True))
    assert len(kept) > 20
    assert all(line in theirs for line in kept)


def test_in_base64_lines_before_the_first_edit_are_the_same_lines() -> None:
    html = ("<p>" + "text " * 100 + HREF).encode()
    message = forms.message(html, encoder="base64 in lines of 60", line_break="LF")
    checked = check(message)
    first = checked.copy.edits[0][0]
    assert checked.copy.message[:first] == message[:first]
    assert message[:first].count(b"\n") > 10


def test_the_header_goes_and_nothing_else_around_it() -> None:
    for place in (0, 1, 2):
        message = forms.message(
            HREF.encode(), encoder="8bit", container="with all around", line_break="CRLF"
        )
        lines = message.split(b"\r\n")
        lines.insert(place, b'x-MSYS-api: {"metadata":\r\n\t{"a": 1}}')
        with_header = b"\r\n".join(lines)
        assert oracle.difference(with_header, check(with_header).copy.message).links
        assert REWRITER.copy_for("a@e.com", with_header, now=1).message.count(b"-MSYS-") == 1


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (b"garbage without a colon\r\nContent-Type: text/html\r\n", "malformed_message"),
        (b"X: y\r\nFrom a@b Thu Jan  1 00:00:00 1970\r\n", "malformed_message"),
        (b"Content-Type: text/html; charset=default\r\n", "unknown_charset"),
        (b"Content-Type: text/html; charset=utf-16\r\n", "unsupported_charset"),
        (b'Content-Type: multipart/mixed; boundary=""\r\n', "malformed_part"),
        (b"Content-Type: multipart/mixed; boundary=b\r\n", "no_html_part"),
        (b"Content-Type: text/plain\r\nContent-Type: text/html\r\n", "ambiguous_header"),
        (b"Content-Type: text/html\r\nContent-Type: text/plain\r\n", "ambiguous_header"),
        (b'Content-Type: text/html; charset="UTF-8"; charset=utf-16\r\n', "ambiguous_header"),
        (b"DKIM-Signature: v=1\r\nContent-Type: text/html\r\n", "signed_message"),
    ],
)
def test_what_cannot_be_read_for_sure_passes_byte_for_byte(head: bytes, reason: str) -> None:
    message = head + b"\r\n" + HREF.encode()
    checked = check(message)
    assert checked.copy.message == message
    reported = {each.value for _, _, each in checked.copy.left_alone}
    assert reported - {"no_html_part"} == {reason} - {"no_html_part"}


def test_what_is_hardly_a_message_passes_byte_for_byte() -> None:
    heads = (b"", b"\r\n", b"\n\n", b"\0", b"\xff" * 100, b"Subject: x", b"Subject: x\r\n")
    for message in (*heads, b"\r\n\r\n"):
        assert check(message).copy.message == message


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Type: text/html\r\nContent-Type: Text/HTML \r\n",
        b"From a@b Thu Jan  1 00:00:00 1970\r\nContent-Type: text/html\r\n",
        b">From a@b Thu Jan  1 00:00:00 1970\r\nContent-Type: text/html\r\n",
        b"\xef\xbb\xbfContent-Type: text/html\r\n",
        b"content-type:text/html;charset='utf-8'\r\n",
        b"Content-Type: text/html; charset=\r\n",
        b"Content-Type: text/html; charset\r\n",
        b'Content-Type: text/html; charset="UTF-8"; charset=utf-8\r\n',
        b"Content-Type: Text/HTML (html (nested)) ; Charset (c) = utf-8\r\n",
        b"Content-Type: text/html; charset*=us-ascii'en'utf-8\r\n",
    ],
)
def test_the_form_of_fields_and_what_mbox_puts_before_them_do_not_count(
    head: bytes,
) -> None:
    assert check(head + b"\r\n" + HREF.encode()).copy.wrapped_links == 1


class Form(NamedTuple):
    encoder: str
    container: str
    line_break: str
    charset: str | None
    final_break: bool
    seed: int


FORMS = st.builds(
    Form,
    st.sampled_from(list(forms.ENCODERS)),
    st.sampled_from(list(forms.CONTAINERS)),
    st.sampled_from(list(forms.LINE_BREAKS)),
    st.sampled_from(["utf-8", "windows-1252", "ISO-8859-1", "us-ascii", "koi8-r", None]),
    st.booleans(),
    st.integers(0, 10_000),
)
HTML = st.lists(st.sampled_from(documents.PIECES), max_size=30).map("".join)


def build_message(html: str, form: Form) -> bytes:
    return forms.message(
        html.encode(CHARSETS[form.charset], "replace"),
        encoder=form.encoder,
        container=form.container,
        line_break=form.line_break,
        charset=form.charset,
        chance=Random(form.seed),  # noqa: S311 - hypothesis chooses it
        final_break=form.final_break,
    )


@settings(max_examples=examples(1_000), suppress_health_check=[HealthCheck.too_slow])
@given(html=HTML, form=FORMS)
def test_no_document_however_broken_changes_elsewhere(html: str, form: Form) -> None:
    check(build_message(html, form))


@settings(max_examples=examples(500), suppress_health_check=[HealthCheck.too_slow])
@given(html=HTML, form=FORMS, data=st.data())
def test_no_damage_on_the_way_makes_an_edit_stand_elsewhere(
    html: str, form: Form, data: st.DataObject
) -> None:
    message = build_message(html, form)
    at = data.draw(st.integers(0, len(message)))
    gone = data.draw(st.integers(0, 80))
    message = message[:at] + data.draw(st.binary(max_size=4)) + message[at + gone :]
    copy = REWRITER.copy_for("jo@example.com", message, now=1_700_000_000)
    assert oracle.replay_edits(message, copy.edits) == copy.message
    assert oracle.undone(message, copy.message, copy.edits) == message
