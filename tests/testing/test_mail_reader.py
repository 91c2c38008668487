import pytest

from msys_track.demo.catalogue import MAILS, Mail
from msys_track.testing.mail_reader import LinkPlace, MailLink, MailView, read_mail, scan_mail

HTML = b"Content-Type: text/html; charset=utf-8\r\n\r\n"
IN_HTML = LinkPlace.HTML


def html(*hrefs: str) -> tuple[MailLink, ...]:
    return tuple(MailLink(place=IN_HTML, href=href) for href in hrefs)


def test_links_and_images_are_listed_as_they_stand() -> None:
    message = HTML + b"<A HREF='http://a.example/?x&amp;y'>a<img src=i.png></A><area href=#b>"
    assert read_mail(message) == MailView(
        links=html("http://a.example/?x&y", "#b"), images=("i.png",)
    )


def test_of_two_attributes_with_one_name_the_first_counts() -> None:
    assert read_mail(HTML + b"<a href=first href=second>").links == html("first")


def test_a_button_for_outlook_is_found_in_its_comment() -> None:
    message = HTML + b'<!--[if mso]><v:rect href="http://a.example/"></v:rect><![endif]-->'
    assert read_mail(message).links == (
        MailLink(place=LinkPlace.OUTLOOK, href="http://a.example/"),
    )


def test_names_and_white_space_are_ascii() -> None:
    assert scan_mail(HTML + "<\u0131mg src=a><img \u017frc=b>".encode()).images == ()
    assert scan_mail(HTML + "<a href='\xa0http://a.example/ '>".encode()).links == html(
        "\xa0http://a.example/"
    )
    assert read_mail(HTML + "<a href='\xa0http://a.example/ '>".encode()).links == html(
        "\xa0http://a.example/"
    )


def test_links_in_other_comments_are_none() -> None:
    assert read_mail(HTML + b'<!-- <a href="http://a.example/">a</a> -->').links == ()


def test_an_address_in_plain_text_ends_before_punctuation() -> None:
    message = b"\r\nSee <http://a.example/x>, or http://b.example/?y=1.\r\n"
    assert [link.href for link in read_mail(message).links] == [
        "http://a.example/x",
        "http://b.example/?y=1",
    ]


def test_an_attached_document_is_told_from_one_that_is_shown() -> None:
    message = b"Content-Disposition: attachment\r\n" + HTML + b"<a href='http://a.example/'>"
    assert [link.place for link in read_mail(message).links] == [LinkPlace.ATTACHMENT]


def test_a_charset_that_nobody_knows_hides_no_link() -> None:
    message = b"Content-Type: text/html; charset=x-none\r\n\r\n<a href='http://a.example/'>\xe9"
    assert read_mail(message).links == html("http://a.example/")


@pytest.mark.parametrize("mail", MAILS, ids=lambda mail: mail.file)
def test_a_glance_sees_what_reading_sees_but_for_outlook(mail: Mail) -> None:
    whole = read_mail(mail.message())
    links = tuple(link for link in whole.links if link.place is not LinkPlace.OUTLOOK)
    assert scan_mail(mail.message()) == MailView(links=links, images=whole.images)


@pytest.mark.parametrize(
    "piece", [b"<a ", b"<a href='", b"<!-->", b"<![x", b"http://.", b"<a/href=", b"<", b"&"]
)
def test_a_glance_at_a_megabyte_of_broken_html_ends_at_the_link_behind_it(piece: bytes) -> None:
    message = HTML + piece * (1_000_000 // len(piece)) + b"<a href=x>"
    assert scan_mail(message).links[-1:] == html("x")


def test_a_glance_at_a_megabyte_of_open_comments_ends_without_a_link() -> None:
    assert scan_mail(HTML + b"<!--" * 250_000 + b"<a href=x>").links == ()


def test_parts_in_parts_without_end_are_read_as_far_as_can_be() -> None:
    head = b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n"
    message = b"".join(head % (depth, depth) for depth in range(2_000))
    assert scan_mail(message + HTML + b"<a href=x>").links in ((), html("x"))
