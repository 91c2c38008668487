"""Links in plain text, as the standard library reads the message before and after."""

import email
import email.policy
import re
from email.message import EmailMessage
from urllib.parse import urlsplit

import pytest
from tests import shared_corpus
from tests.rewriting.plans import KEYS, plan, wrap_links
from tests.thoroughness import IS_THOROUGH, some_of

TRACKED = re.compile(r"https://click\.example\.com(/f/a/[A-Za-z0-9_-]+)")


def texts(message: bytes) -> list[str]:
    parsed = email.message_from_bytes(message, policy=email.policy.compat32)
    plain = [part for part in parsed.walk() if part.get_content_type() == "text/plain"]
    return [bytes(part.get_payload(decode=True) or b"").decode("latin-1") for part in plain]


def restore_urls(text: str) -> str:
    """Put back where each tracked URL leads, which is what stood there."""
    return TRACKED.sub(
        lambda url: (KEYS.open(url[1]).target or "").encode().decode("latin-1"), text
    )


def write_message(text: str, encoding: str) -> bytes:
    message = EmailMessage(policy=email.policy.SMTP)
    message.set_content(text, cte=encoding)
    return message.as_bytes()


@pytest.mark.parametrize("encoding", ["7bit", "8bit", "quoted-printable", "base64"])
def test_every_url_of_a_text_leads_where_it_led(encoding: str) -> None:
    body = "See http://e.com/?a=1&b=2.\r\n(https://e.org/a_(b)) <HTTP://E.net/reset>\r\n"
    after = texts(wrap_links(write_message(body, encoding)))[0]
    assert len(TRACKED.findall(after)) == 3
    assert restore_urls(after) == body
    assert after.startswith("See https://click.example.com/f/a/")


def test_options_are_obeyed_and_not_seen() -> None:
    body = (
        'http://e.com/out[[data-msys-clicktrack="0"]]\n'
        'http://e.com/app[[data-msys-sublink="open-in-app"]]\n'
        'http://e.com/bye[[data-msys-unsubscribe="1"]]\n'
    )
    message = b"Subject: x\n\n" + body.encode()
    first, second = plan(message).links
    assert (first.target, first.sublink, first.where) == (
        "http://e.com/app",
        "open-in-app",
        "text",
    )
    assert (second.target, second.kind) == ("http://e.com/bye", "link_unsubscribe")
    lines = texts(wrap_links(message))[0].splitlines()
    assert lines[0] == "http://e.com/out"
    assert urlsplit(lines[1]).path.startswith("/f/open-in-app/")
    assert TRACKED.fullmatch(lines[2])


def test_a_target_opted_out_in_html_is_opted_out_in_text() -> None:
    message = EmailMessage(policy=email.policy.SMTP)
    message.set_content("http://e.com/?activate=1&x http://e.com/\n")
    html = "<a data-msys-clicktrack='0' href='http://e.com/?activate=1&amp;x'>x</a>"
    message.add_alternative(html, subtype="html")
    planned = plan(message.as_bytes())
    assert [(link.target, link.where) for link in planned.links] == [("http://e.com/", "text")]
    assert [left.reason for left in planned.left_alone] == ["opted_out", "opted_out"]


@shared_corpus.needs_corpus
@pytest.mark.timeout(300)
def test_texts_of_real_mail_read_the_same_once_their_links_are_followed() -> None:
    links = 0
    for name, message in some_of(shared_corpus.messages()):
        after = wrap_links(message)
        for old, new in zip(texts(message), texts(after), strict=True):
            links += len(TRACKED.findall(new))
            assert restore_urls(new) == old, name
    assert links > (5_000 if IS_THOROUGH else 1_000)
