"""The judge of HTML: each kind of damage is found, and nothing is called damage that is none."""

import pytest

pytest.importorskip("selectolax", reason="Lexbor (selectolax) is not installed")

from msys_track.comparison.damage import KINDS, Damage, judge_html
from msys_track.comparison.hrefs import leads_to_web

BASE = "https://click.example.com/"
TRACKED = b"https://click.example.com/f/a/AAAA"
PIXEL = b'<img border="0" width="1" height="1" alt="" src="https://click.example.com/q/BBBB">'
DOCTYPE = (
    b'<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN" "http://www.w3.org/x.dtd">'
)
PAGE = DOCTYPE + (
    b"\n<html><head><title>t</title></head><body class=a><!-- plain -->"
    b"<p>Gr\xc3\xbc\xc3\x9fe &nbsp;\n"
    b"<a href='http://one.example/?a=1&amp;b=2' class=x>one</a> <b>bold</b>\n"
    b'<!--[if mso]><a href="http://outlook.example/">o</a><![endif]-->\n'
    b'<a href="mailto:jo@reader.example">mail</a> <a href="https://two.example/">two</a></p>\n'
    b"<![if !mso]><i>rest</i><![endif]></body></html>\n"
)
ONE, TWO = b"http://one.example/?a=1&amp;b=2", b"https://two.example/"
OUTLOOK = b"http://outlook.example/"


def is_tracked(url: str) -> bool:
    return url.startswith(BASE)


def track(html: bytes, *links: bytes) -> bytes:
    for link in links or (ONE, TWO):
        html = html.replace(link, TRACKED)
    return html.replace(b"</body>", PIXEL + b"</body>")


def damage(html: bytes, old: bytes, new: bytes) -> bytes:
    assert old in html
    return html.replace(old, new, 1)


def judge(after: bytes, before: bytes = PAGE) -> Damage:
    return judge_html(before, after, is_tracked)


def test_tracked_links_and_a_pixel_are_no_damage() -> None:
    assert judge(track(PAGE, ONE, TWO, OUTLOOK)) == Damage(wrapped=2, hidden_wrapped=1, pixels=1)


def test_a_document_that_was_not_touched_misses_its_links() -> None:
    assert judge(PAGE) == Damage(missed=2, hidden_missed=1)


def test_pixels_in_a_hidden_div_or_on_a_line_of_their_own_are_no_damage() -> None:
    whole = track(PAGE)
    hidden = b"<div style='display:none'>" + PIXEL + b"</div>"
    assert not judge(whole.replace(PIXEL, hidden)).is_damaged
    assert judge(whole.replace(PIXEL, hidden)).bytes_changed == 0
    assert judge(whole.replace(PIXEL, b"\n" + PIXEL + b"\n")).bytes_changed == 0


def test_a_style_of_line_breaks_is_no_damage() -> None:
    assert judge(track(PAGE).replace(b"\n", b"\r\n")).bytes_changed == 0


def test_a_formatting_element_that_a_browser_opens_again_for_the_pixel_is_no_damage() -> None:
    page = b"<p><font color=red>never closed</p>"
    assert not judge(page + PIXEL, page).is_damaged


@pytest.mark.parametrize(
    ("kind", "old", "new"),
    [
        ("doctype", DOCTYPE, b""),
        ("doctype", DOCTYPE, b"<!DOCTYPE html>"),
        ("elements", b"<b>bold</b>", b"bold"),
        ("elements", b"<b>bold", b"<b><span></span>bold"),
        ("nesting", b"</p>\n", b"\n"),
        ("attributes", b"<body class=a>", b"<body>"),
        ("attributes", b"class=x", b"class=y"),
        ("attributes", b"class=x", b"class=x rel=nofollow"),
        ("text", b"Gr\xc3\xbc\xc3\x9fe", b"Gr\xc3\x83\xc2\xbc\xc3\x9fe"),
        ("text", b"bold</b>", b"bald</b>"),
        ("comments", b"<!-- plain -->", b""),
        ("conditional comments", b"<!--[if mso]>", b"<!--[if ie]>"),
        ("conditional comments", b"<![if !mso]>", b"<!--[if !mso]-->"),
        ("conditional comments", b">o</a>", b">O</a>"),
        ("charset", b"Gr\xc3\xbc\xc3\x9fe", b"Gr\xfc\xdfe"),
    ],
)
def test_each_kind_of_damage_is_found(kind: str, old: bytes, new: bytes) -> None:
    found = judge(damage(track(PAGE), old, new))
    assert kind in KINDS
    assert found.kinds[kind] >= 1
    assert found.is_damaged
    assert found.structures == sum(found.kinds.values())
    assert found.bytes_changed > 0
    assert (found.wrapped, found.broken) == (2, 0)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (TRACKED + b"' class=x", b"https://elsewhere.example/' class=x"),
        (b"mailto:jo@reader.example", TRACKED),
        (b"mailto:jo@reader.example", b"mailto:jo%40reader.example"),
        (b'<a href="mailto:jo@reader.example">mail</a>', b"mail"),
    ],
)
def test_a_link_that_leads_elsewhere_or_is_gone_is_broken(old: bytes, new: bytes) -> None:
    found = judge(damage(track(PAGE), old, new))
    assert found.broken == 1
    assert found.is_damaged


def test_a_sealed_url_that_leads_elsewhere_is_a_broken_link() -> None:
    targets = {TRACKED.decode(): "https://two.example/"}
    found = judge_html(PAGE, track(PAGE), is_tracked, find_target=targets.get)
    assert (found.wrapped, found.broken) == (1, 1)


def test_links_that_are_left_for_a_reason_are_not_missed() -> None:
    reasons = {"https://two.example/": "opted_out", "http://outlook.example/": "outlook_links_off"}
    found = judge_html(PAGE, track(PAGE, ONE), is_tracked, find_reason=reasons.get)
    assert (found.wrapped, found.missed, found.hidden_missed) == (1, 0, 0)
    assert found.reasons == {"opted_out": 1, "outlook_links_off": 1}


@pytest.mark.parametrize(
    ("old", "new", "count"),
    [
        (b"class=x", b'class="x"', 2),
        (b"<b>bold</b>", b"<B>bold</B>", 2),
        (b"&nbsp;", b"\xc2\xa0", 6),
        (b"</p>\n", b"</p>", 1),
    ],
)
def test_bytes_that_nobody_asked_to_change_are_counted(old: bytes, new: bytes, count: int) -> None:
    assert judge(damage(track(PAGE), old, new)).bytes_changed == count


def test_bytes_of_much_that_differs_are_counted_without_taking_forever() -> None:
    before = b"".join(b"<p class=a%d>word %d</p>\n" % (n, n) for n in range(30_000))
    after = before.replace(b"class=a", b"class=b")
    assert judge(after, before).bytes_changed >= 30_000


@pytest.mark.parametrize(
    ("href", "leads"),
    [
        ("http://shop.example/", True),
        (" \nHTTPS://shop.example", True),
        ("ht\ttp://shop.example/", True),
        ("https:shop.example", False),
        ("http://", False),
        ("mailto:jo@reader.example", False),
        ("//shop.example/", False),
        ("/path", False),
        ("", False),
    ],
)
def test_what_leads_to_the_web_is_an_absolute_url_with_a_host(href: str, *, leads: bool) -> None:
    assert leads_to_web(href) is leads


def test_what_a_comment_within_a_condition_holds_is_shown_by_nobody() -> None:
    link = b'<a href="http://outlook.example/">o</a>'
    page = b"<!--[if mso]>%b<!-- %b --><![endif]%b-->" % (link, link, link)
    assert judge(page, page).hidden_missed == 1


def test_a_pixel_behind_an_image_on_a_line_of_its_own_is_no_damage() -> None:
    page = b"<body>\n<img src=http://one.example/i.png>\n</body>"
    broken_around = page.replace(b"</body>", b"\n" + PIXEL + b"\n</body>")
    assert judge(broken_around, page) == Damage(pixels=1)


def test_to_track_an_empty_url_is_neither_work_nor_damage() -> None:
    page = b'<p><a href="http://">soon</a>'
    assert judge(page.replace(b"http://", TRACKED), page) == Damage()


def test_what_outlook_alone_shows_and_leads_to_no_page_need_not_be_tracked() -> None:
    page = b'<!--[if mso]><a href="mailto:jo@reader.example">mail</a><![endif]-->'
    assert judge(page, page) == Damage()


def test_a_link_that_is_gone_from_a_conditional_comment_is_a_change_of_that_comment() -> None:
    link = b'<a href="http://outlook.example/">o</a>'
    found = judge(damage(track(PAGE), link, b"o"))
    assert found.kinds == {"conditional comments": 1}
    assert (found.hidden_wrapped, found.hidden_missed) == (0, 0)


@pytest.mark.parametrize("place", [b"%b<p>text", b"<p>text%b"])
def test_a_processing_instruction_that_is_gone_is_a_comment_that_is_gone(place: bytes) -> None:
    page = place % b"<?php ?>"
    assert judge(place % b"", page).kinds == {"comments": 1}


def test_an_xlink_leads_somewhere_within_svg_alone() -> None:
    link = b'<a xlink:href="https://two.example/">two</a>'
    assert judge(link, link).missed == 0
    drawn = b"<svg><g>%b</g></svg>" % link
    assert judge(drawn, drawn).missed == 1
    assert judge(track(drawn), drawn).wrapped == 1
