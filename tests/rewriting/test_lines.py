"""Lines of 7bit and 8bit parts that tracked URLs would make too long."""

import re
from email import message_from_bytes
from itertools import pairwise

import pytest
from tests import shared_corpus
from tests.rewriting.plans import plan, render

from msys_track.rewriting.reference.html.scan import scan_html

METADATA = '{"customer":"123456789","campaign":"spring sale 2026","segment":"returning buyers"}'
HEAD = b"Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
COLUMNS = 800


def minify(html: bytes) -> bytes:
    """Join the words of a document to lines of 800 columns, as minifiers do."""
    lines, line = [], b""
    for word in html.split():
        if line and len(line) + 1 + len(word) > COLUMNS:
            lines.append(line)
            line = word
        else:
            line = line + b" " + word if line else word
    return b"\r\n".join([*lines, line])


def tags(html: bytes) -> list[dict[str, bytes]]:
    """Each link's attributes as a browser reads them, but for where it leads."""
    links = scan_html(html, decode=bytes.decode).links
    return [{**link.attributes, "href": b""} for link in links]


def test_each_link_of_a_minified_line_is_tracked() -> None:
    cells = b"".join(
        b'<td><a href="https://a.example/item/%d?utm_source=mail&amp;utm_medium=mail" '
        b'style="color:#123456">Item</a></td>' % number
        for number in range(7)
    )
    assert 700 < len(cells) <= 800
    copy = render(plan(HEAD + cells + b"\r\n"), metadata=METADATA)
    assert (copy.wrapped_links, copy.left_alone) == (7, ())
    body = copy.message.partition(b"\r\n\r\n")[2]
    assert all(len(line) <= 998 for line in body.split(b"\r\n"))
    assert tags(body) == tags(cells)
    left = render(plan(HEAD + cells + b"\r\n", fold_long_lines=False), metadata=METADATA)
    assert {each.reason for each in left.left_alone} == {"line_too_long"}


def test_a_broken_line_is_an_edit_like_any_other() -> None:
    message = HEAD + b"<p>" + b"y" * 950 + b'<a class="b" href="http://e.com/">x</a>\r\n'
    copy = render(plan(message), open_tracking=False)
    [(at, length, broken), (href, _, _)] = copy.edits
    assert (message[at : at + length], broken, href - at) == (b" ", b"\r\n", len(' href="'))
    whole = message_from_bytes(copy.message).get_payload()
    assert '<a class="b"\r\nhref="https://click.example.com/f/' in str(whole)


@shared_corpus.needs_corpus
@pytest.mark.parametrize("metadata", [None, METADATA])
def test_no_link_of_a_minified_template_is_left_for_its_line(metadata: str | None) -> None:
    links = 0
    for name, html in shared_corpus.templates():
        message = HEAD + minify(html)
        planned = plan(message)
        copy = render(planned, metadata=metadata)
        links += copy.wrapped_links
        assert "line_too_long" not in {each.reason for each in copy.left_alone}, name
        sent, arrived = message.split(b"\r\n"), copy.message.split(b"\r\n")
        too_long = max(map(len, sent)) > 998
        assert too_long or max(map(len, arrived)) <= 998, name
        assert all(at + length <= after for (at, length, _), (after, _, _) in pairwise(copy.edits))
        breaks = re.findall(rb"\r\n(?i:href)[\s=]", copy.message)
        assert len(breaks) >= len(re.findall(rb"\r\n(?i:href)[\s=]", message)), name
    assert links > 650
