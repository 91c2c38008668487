"""Links that Outlook alone shows: VML and conditional comments."""

import re

import pytest
from tests import shared_corpus
from tests.rewriting.plans import KEYS, plan, wrap_links

HTML = b"Content-Type: text/html\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
BUTTON = (
    b"<body><!--[if mso]><v:roundrect href=\"http://e.com/\" arcsize='8%'><w:anchorlock/>"
    b"</v:roundrect><![endif]--><!--[if !mso]><!--><a href='http://e.com/'>x</a><!--<![endif]-->"
)
COMMENT = re.compile(rb"<!--\[if.*?-->", re.DOTALL)
HREF = re.compile(rb"(href\s*=\s*)(\"[^\"]*\"|'[^']*'|[^\"'\s>]+)")
TOKEN = re.compile(rb"/f/a/([A-Za-z0-9_-]+)")


def test_a_button_s_two_links_are_told_apart_and_one_is_left_by_rule() -> None:
    assert [link.where for link in plan(HTML + BUTTON).links] == ["outlook", "html"]
    assert wrap_links(HTML + BUTTON).count(b"https://click.example.com/f/a/") == 2
    planned = plan(HTML + BUTTON, outlook_links=False)
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
        after = COMMENT.findall(wrap_links(HTML + html))
        for old, new in zip(before, after, strict=True):
            assert HREF.sub(rb"\1", new) == HREF.sub(rb"\1", old), name
            for token in TOKEN.findall(new):
                tokens += 1
                assert b"--" not in token
                assert KEYS.open(f"f/a/{token.decode()}").kind == "click"
    assert tokens > 30
