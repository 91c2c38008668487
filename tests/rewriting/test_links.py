"""Which links are wrapped: by element, by opt-outs, by their text, by their scheme."""

import base64
import quopri
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from tests.rewriting.plans import KEYS, engagement, plan, wrap_links

from msys_track.keys.ring import TrackedUrls

HTML = b"Content-Type: text/html; charset=utf-8\r\n"
ALTERNATIVE = b"""\
Content-Type: multipart/alternative; boundary=b

--b
Content-Type: text/plain

http://e.com/1 and http://e.com/2
--b
Content-Type: text/html

<a href="http://e.com/1" data-pm-no-track>x</a><a href='http://e.com/2'>http://e.com/2</a>
--b--
"""


def list_fates(message: bytes, **rules: Any) -> list[tuple[str | None, str]]:
    planned = plan(message, **rules)
    wrapped = [(link.offset, link.target, link.where) for link in planned.links]
    left = [(each.offset, each.target, each.reason) for each in planned.left_alone if each.target]
    return [(target, fate) for _, target, fate in sorted(wrapped + left)]


def encode_base64(body: bytes) -> bytes:
    return b"Content-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(body)


def encode_quoted_printable(body: bytes) -> bytes:
    return b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + quopri.encodestring(body)


def test_a_link_of_svg_is_wrapped_where_it_leads() -> None:
    body = (
        b"<body><svg><a xlink:href='http://e.com/1'><a href='http://e.com/2' xlink:href='#'>"
        b"<foreignObject><a xlink:href='http://e.com/3' href='http://e.com/4'></a>"
        b"</foreignObject></svg><a xlink:href='http://e.com/5'>x</a></body>\r\n"
    )
    message = HTML + b"\r\n" + body
    assert list_fates(message) == [(f"http://e.com/{n}", "html") for n in (1, 2, 4)]
    copy = wrap_links(message)
    assert copy.count(b"xlink:href='https://click.example.com/f/a/") == 1
    assert copy.count(b" href='https://click.example.com/f/a/") == 2
    assert b"xlink:href='http://e.com/3'" in copy
    assert b"xlink:href='http://e.com/5'" in copy


def test_other_products_opt_outs_stay_in_the_mail_and_count_by_option() -> None:
    all_wrapped = [("http://e.com/1", "text"), ("http://e.com/2", "text")]
    all_wrapped += [("http://e.com/1", "html"), ("http://e.com/2", "html")]
    assert list_fates(ALTERNATIVE) == all_wrapped
    assert list_fates(ALTERNATIVE, foreign_opt_outs=True) == [
        ("http://e.com/1", "opted_out"),
        ("http://e.com/2", "text"),
        ("http://e.com/1", "opted_out"),
        ("http://e.com/2", "html"),
    ]
    copy = wrap_links(ALTERNATIVE, foreign_opt_outs=True)
    assert b'<a href="http://e.com/1" data-pm-no-track>' in copy


def test_a_text_that_is_a_url_spares_its_link_but_not_the_one_in_text_plain() -> None:
    fates = list_fates(ALTERNATIVE, spare_url_text=True)
    assert fates[1] == ("http://e.com/2", "text")
    assert fates[3] == ("http://e.com/2", "url_text")


@pytest.mark.parametrize(
    "encode", [partial(b"\r\n".__add__), encode_base64, encode_quoted_printable]
)
def test_the_text_is_read_through_transfer_encoding_and_charset(
    encode: Callable[[bytes], bytes],
) -> None:
    body = (
        "<a href='http://e.com/1'>\r\n<b>&#87;ww</b>.b\u00fccher.example\u00a0</a>"
        "<a href='http://e.com/2'>B\u00fccher: www.e.com</a>\r\n"
    )
    expected = [("http://e.com/1", "url_text"), ("http://e.com/2", "html")]
    assert sorted(list_fates(HTML + encode(body.encode()), spare_url_text=True)) == expected
    latin = HTML.replace(b"utf-8", b"iso-8859-1")
    fates = list_fates(latin + encode(body.encode("latin-1")), spare_url_text=True)
    assert sorted(fates) == expected


@pytest.mark.parametrize(
    ("click_scheme", "allow_downgrade", "fates"),
    [
        ("http", True, ["http", "http"]),
        ("http", False, ["http", "scheme_downgrade"]),
        ("https", False, ["https", "https"]),
        ("same", False, ["http", "https"]),
    ],
)
def test_a_link_loses_https_only_where_that_is_allowed(
    *, click_scheme: str, allow_downgrade: bool, fates: list[str]
) -> None:
    message = HTML + b"\r\n<body>[http://e.com/]<a href='http://e.com/'>x</a>"
    message += b"[https://e.com/]<a href='https://e.com/'>y</a></body>\r\n"
    urls = TrackedUrls(
        domain="t.test",
        click_scheme=click_scheme,
        open_scheme="https",
        click_metadata=True,
        allow_downgrade=allow_downgrade,
    )
    rendered = plan(message).render(KEYS, engagement(), urls)
    found = [inserted.partition(b":")[0].decode() for _, _, inserted in rendered.edits]
    left = [each.reason for each in rendered.left_alone]
    assert [*found, *left] == fates
