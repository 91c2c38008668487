"""The mails to compare with: those of the package, and files."""

from email.message import EmailMessage
from pathlib import Path

import pytest
from benches.corpus.__main__ import FOLDER, make_mails

from msys_track.comparison.mail import UnfitMailError, list_bodies, list_bundled, read_mail
from msys_track.comparison.peers import Links

LINKS = Links(click_url=b"https://click.example.com/f/a/x", pixel=b"<img>")


def test_the_bundled_mails_are_those_of_the_benches() -> None:
    assert {file.name: file.read_bytes() for file in FOLDER.iterdir()} == make_mails()


def test_each_bundled_mail_is_found_by_its_name() -> None:
    assert [f"{mail.name}.eml" for mail in list_bundled()] == list(make_mails())


def test_a_mail_in_quoted_printable_has_the_same_html_as_in_8bit() -> None:
    plain, encoded, *_ = list_bundled()
    assert plain.bodies[0].html().rstrip() == encoded.bodies[0].html().rstrip()
    assert plain.html_bytes > 84_000


def test_metadata_is_that_of_the_header_and_may_lack() -> None:
    newsletter, *_, order = list_bundled()
    assert newsletter.metadata["customer"] == "c-00481516231"
    assert order.metadata == {}


@pytest.mark.parametrize("encoding", ["quoted-printable", "base64", "8bit"])
def test_a_rewriter_gets_the_decoded_html_and_its_result_is_encoded_again(encoding: str) -> None:
    mail = EmailMessage()
    mail.set_content("<p>gr\u00fc\u00df dich</p>", subtype="html", cte=encoding)
    (body,) = list_bodies(mail.as_bytes())
    assert body.html() == "<p>gr\u00fc\u00df dich</p>\n".encode()
    rewritten = body.with_content(body.rewriting(lambda html, _: lambda: html[::-1], LINKS)())
    assert rewritten.html()[::-1].strip() == body.html().strip()


def test_a_rewriter_gets_utf_8_and_the_part_keeps_its_charset() -> None:
    message = b"Content-Type: text/html; charset=iso-8859-15\n\n<p>\xa4 10</p>"
    (body,) = list_bodies(message)
    rewritten = body.rewriting(lambda html, _: lambda: html + "\u20ac\u2192".encode(), LINKS)()
    assert body.html() == "<p>\u20ac 10</p>".encode()
    assert rewritten == b"<p>\xa4 10</p>\xa4&#8594;"


@pytest.mark.parametrize(
    ("content", "text"), [(b"<p>\xc3\xa9", "<p>\u00e9"), (b"<p>\xe9", "<p>\u00e9")]
)
def test_an_unknown_charset_is_utf_8_where_that_fits(content: bytes, text: str) -> None:
    (body,) = list_bodies(b"Content-Type: text/html; charset=x-unheard-of\n\n" + content)
    assert body.html() == text.encode()


def test_every_part_that_is_shown_counts_and_no_attachment() -> None:
    mail = EmailMessage()
    mail.set_content("text")
    mail.add_alternative("<p>one</p>", subtype="html")
    mail.add_attachment("<p>not shown</p>", subtype="html", filename="page.html")
    inner = EmailMessage()
    inner.set_content("<p>two</p>", subtype="html")
    mail.attach(inner)
    assert [body.html().strip() for body in list_bodies(mail.as_bytes())] == [
        b"<p>one</p>",
        b"<p>two</p>",
    ]


@pytest.mark.parametrize("content", [b"<a href='http://e.com/'>\xc3\xa9", b"<p>\xe9"])
def test_a_file_of_html_is_taken_as_it_is(content: bytes, tmp_path: Path) -> None:
    page = tmp_path / "page.HTML"
    page.write_bytes(content)
    mail = read_mail(page)
    assert (mail.name, mail.kind) == ("page", "page.HTML")
    assert mail.message.endswith(b"\r\n\r\n" + content)
    assert mail.bodies[0].encoded == content


def test_a_message_without_html_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "text.eml"
    file.write_bytes(b"Subject: x\r\n\r\nhttp://e.com/\r\n")
    with pytest.raises(UnfitMailError, match=r"text\.eml: no text/html part"):
        read_mail(file)
