"""Links in plain text, as the standard library reads the message before and after."""

import email
import email.policy
import re
from email.message import EmailMessage, Message
from urllib.parse import urlsplit

import pytest
from tests import shared_corpus

from msys_track.keys.ring import Engagement, KeyRing, TrackedUrls
from msys_track.rewriting.native import NativeEngine, Rules

KEYS = KeyRing.temporary()
URLS = TrackedUrls(domain="click.example.com", click_scheme="https", open_scheme="https")
TRACKED = re.compile(r"https://click\.example\.com(/f/a/[A-Za-z0-9_-]+)")
ENGAGEMENT = Engagement(
    message_id="00" * 10,
    recipient="jo@example.com",
    injected_at=0,
    expires_at=60,
    click_tracking=True,
)


def rewritten(message: bytes, rules: Rules | None = None) -> bytes:
    planned = NativeEngine().plan(message, rules or Rules())
    return planned.render(KEYS, ENGAGEMENT, URLS).message


def texts(message: bytes) -> list[str]:
    parsed = email.message_from_bytes(message, policy=email.policy.compat32)
    return [text(part) for part in parsed.walk() if part.get_content_type() == "text/plain"]


def text(part: Message) -> str:
    payload = part.get_payload(decode=True)
    return payload.decode("latin-1") if isinstance(payload, bytes) else ""


def followed(text: str) -> str:
    """Put back where each tracked URL leads, which is what stood there."""
    return TRACKED.sub(lambda match: target(match[1]).encode().decode("latin-1"), text)


def target(path: str) -> str:
    return KEYS.open(path).target or ""


def written(text: str, encoding: str) -> bytes:
    message = EmailMessage(policy=email.policy.SMTP)
    message.set_content(text, cte=encoding)
    return message.as_bytes()


@pytest.mark.parametrize("encoding", ["7bit", "8bit", "quoted-printable", "base64"])
def test_every_url_of_a_text_leads_where_it_led(encoding: str) -> None:
    body = "See http://e.com/?a=1&b=2.\r\n(https://e.org/a_(b)) <HTTP://E.net/reset>\r\n"
    after = texts(rewritten(written(body, encoding)))[0]
    assert len(TRACKED.findall(after)) == 3
    assert followed(after) == body
    assert after.startswith("See https://click.example.com/f/a/")


def test_options_are_obeyed_and_not_seen() -> None:
    body = (
        'http://e.com/out[[data-msys-clicktrack="0"]]\n'
        'http://e.com/app[[data-msys-sublink="open-in-app"]]\n'
        'http://e.com/bye[[data-msys-unsubscribe="1"]]\n'
    )
    message = b"Subject: x\n\n" + body.encode()
    first, second = NativeEngine().plan(message, Rules()).links
    assert (first.target, first.sublink, first.where) == (
        "http://e.com/app",
        "open-in-app",
        "text",
    )
    assert (second.target, second.kind) == ("http://e.com/bye", "link_unsubscribe")
    lines = texts(rewritten(message))[0].splitlines()
    assert lines[0] == "http://e.com/out"
    assert urlsplit(lines[1]).path.startswith("/f/open-in-app/")
    assert TRACKED.fullmatch(lines[2])


def test_a_target_opted_out_in_html_is_opted_out_in_text() -> None:
    message = EmailMessage(policy=email.policy.SMTP)
    message.set_content("http://e.com/?activate=1&x http://e.com/\n")
    html = "<a data-msys-clicktrack='0' href='http://e.com/?activate=1&amp;x'>x</a>"
    message.add_alternative(html, subtype="html")
    planned = NativeEngine().plan(message.as_bytes(), Rules())
    assert [(link.target, link.where) for link in planned.links] == [("http://e.com/", "text")]
    assert [left.reason for left in planned.left_alone] == ["opted_out", "opted_out"]


def test_text_is_left_by_rule() -> None:
    message = b"Subject: x\n\nhttp://e.com/\n"
    rules = Rules(text_links=False)
    assert rewritten(message, rules) == message
    planned = NativeEngine().plan(message, rules)
    assert [part.reason for part in planned.parts] == ["text_links_off"]
    left = [(each.reason, each.target) for each in planned.left_alone]
    assert left == [("no_html_part", None), ("text_links_off", "http://e.com/")]


@shared_corpus.needs_corpus
@pytest.mark.timeout(300)
def test_texts_of_real_mail_read_the_same_once_their_links_are_followed() -> None:
    links = 0
    for name, message in shared_corpus.messages():
        after = rewritten(message)
        for old, new in zip(texts(message), texts(after), strict=True):
            links += len(TRACKED.findall(new))
            assert followed(new) == old, name
    assert links > 5_000
