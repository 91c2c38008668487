"""Links that Outlook alone shows: VML and conditional comments."""

import re

import pytest
from tests import shared_corpus

from msys_track.keys.ring import Engagement, KeyRing, TrackedUrls
from msys_track.rewriting.native import NativeEngine, Rules

KEYS = KeyRing.temporary()
URLS = TrackedUrls(domain="click.example.com", click_scheme="https", open_scheme="https")
ENGAGEMENT = Engagement(
    message_id="00" * 10,
    recipient="jo@example.com",
    injected_at=0,
    expires_at=60,
    click_tracking=True,
)
HTML = b"Content-Type: text/html\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
BUTTON = (
    b"<body><!--[if mso]><v:roundrect href=\"http://e.com/\" arcsize='8%'><w:anchorlock/>"
    b"</v:roundrect><![endif]--><!--[if !mso]><!--><a href='http://e.com/'>x</a><!--<![endif]-->"
)
COMMENT = re.compile(rb"<!--\[if.*?-->", re.DOTALL)
HREF = re.compile(rb"(href\s*=\s*)(\"[^\"]*\"|'[^']*'|[^\"'\s>]+)")
TOKEN = re.compile(rb"/f/a/([A-Za-z0-9_-]+)")


def rewritten(message: bytes, rules: Rules) -> bytes:
    return NativeEngine().plan(message, rules).render(KEYS, ENGAGEMENT, URLS).message


def test_a_button_s_two_links_are_told_apart() -> None:
    planned = NativeEngine().plan(HTML + BUTTON, Rules())
    assert [link.where for link in planned.links] == ["outlook", "html"]
    after = rewritten(HTML + BUTTON, Rules())
    assert after.count(b"https://click.example.com/f/a/") == 2


def test_outlook_s_links_are_left_by_rule() -> None:
    planned = NativeEngine().plan(HTML + BUTTON, Rules(outlook_links=False))
    assert [link.where for link in planned.links] == ["html"]
    [left] = planned.left_alone
    assert (left.reason, left.target) == ("outlook_links_off", "http://e.com/")


@shared_corpus.needs_corpus
@pytest.mark.timeout(300)
def test_comments_of_real_templates_change_in_their_links_only() -> None:
    tokens = 0
    for name, template in shared_corpus.templates():
        # Their buttons lead nowhere yet.
        html = template.replace(b'href="http://"', b'href="http://e.com/?a=1&amp;b"')
        before = COMMENT.findall(html)
        after = COMMENT.findall(rewritten(HTML + html, Rules()))
        for old, new in zip(before, after, strict=True):
            assert HREF.sub(rb"\1", new) == HREF.sub(rb"\1", old), name
            for token in TOKEN.findall(new):
                tokens += 1
                assert b"--" not in token
                assert KEYS.open(f"f/a/{token.decode()}").kind == "click"
    assert tokens > 30
