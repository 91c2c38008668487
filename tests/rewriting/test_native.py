import re
from collections.abc import Callable
from functools import partial

import pytest
from tests.rewriting.plans import KEYS, URLS, engagement, plan, render

from msys_track.keys.ring import TrackedUrls
from msys_track.metrics import Counters
from msys_track.rewriting import engine
from msys_track.rewriting.native import NativeEngine
from msys_track.tracking.replies import Replies
from msys_track.tracking.routes import Routes

HTML = b"Subject: x\r\nContent-Type: text/html\r\n\r\n"
ENGINE = NativeEngine()


def test_a_plan_tells_its_links_and_what_it_leaves() -> None:
    message = HTML + (
        b"<a href='http://e.com/' data-msys-linkname=top>x</a><a href=#y>y</a>"
        b"<a href='http://e.net/?a&amp;b'>x</a>"
    )
    planned = plan(message, never_wrap=("*://e.net/*",))
    [link] = planned.links
    assert (link.target, link.name) == ("http://e.com/", "top")
    assert message[link.offset : link.offset + link.length] == b"http://e.com/"
    left = [(each.reason, each.target) for each in planned.left_alone]
    assert left == [("not_http", "#y"), ("never_wrap", "http://e.net/?a&b")]
    last = planned.left_alone[-1]
    assert message[last.offset : last.offset + last.length] == b"http://e.net/?a&amp;b"
    assert planned.pixel_offsets == [len(message)]


def test_copies_that_are_made_at_once_are_those_made_one_by_one() -> None:
    message = HTML + b"<body><a href='http://e.com/'>x</a></body>"
    planned = plan(message)
    asked = [engagement(), engagement(open_tracking=True), engagement(metadata='{"a":"b"}')]
    inserted = [(12, b"Bcc: jo@example.com\r\n")]
    copies = planned.render_all(KEYS, asked, URLS, inserted)
    alone = [planned.render(KEYS, each, URLS, inserted) for each in asked]
    assert [copy.message for copy in copies] == [copy.message for copy in alone]
    assert len({copy.message for copy in copies}) == 3
    assert [copy.pixels for copy in copies] == [0, 1, 0]
    assert planned.render_all(KEYS, [], URLS) == []
    with pytest.raises(ValueError, match="behind the header section"):
        planned.render_all(KEYS, asked, URLS, [(len(message), b"x")])


def test_a_program_may_veto_rename_and_redirect_links() -> None:
    planned = plan(HTML + b"<a href='http://e.com/1'><a href='http://e.com/2'>")
    revised = planned.revise({0: None, 1: ("https://e.net/", "top")})
    [link] = revised.links
    [left] = revised.left_alone
    assert (link.target, link.name, link.offset) == (
        "https://e.net/",
        "top",
        planned.links[1].offset,
    )
    assert (left.reason, left.target) == ("vetoed", "http://e.com/1")
    [(_, _, url)] = render(revised, open_tracking=False).edits
    claims = KEYS.open(url.decode().removeprefix("https://click.example.com"))
    assert (claims.target, claims.link_name) == ("https://e.net/", "top")
    assert len(planned.links) == 2
    with pytest.raises(ValueError, match="there is no link 2: the plan has 2"):
        planned.revise({2: None})
    with pytest.raises(ValueError, match=r'link 1: "ftp://e\.net/" is not an http'):
        planned.revise({1: ("ftp://e.net/", None)})


def test_header_fields_are_found_in_any_case_and_with_their_folds() -> None:
    message = b"A: b\r\nx-msys-API: {\r\n }\r\n\r\nX-MSYS-API: body"
    [([(offset, length)], value)] = ENGINE.header_fields(message, b"X-MSYS-API")
    assert message[offset : offset + length] == b"x-msys-API: {\r\n }\r\n"
    assert value == b" {\r\n }"


def test_a_header_field_goes_on_behind_a_line_that_is_none() -> None:
    message = b"X-MSYS-API: {\r\njunk\r\n 1\r\n\t2\r\n: junk\r\n }\r\nA: b\r\n\r\n"
    [(lines, value)] = ENGINE.header_fields(message, b"X-MSYS-API")
    runs = [message[offset : offset + length] for offset, length in lines]
    assert runs == [b"X-MSYS-API: {\r\n", b" 1\r\n\t2\r\n", b" }\r\n"]
    assert value == b" {\r\n 1\r\n\t2\r\n }"
    rendered = render(plan(message))
    assert rendered.message == b"junk\r\n: junk\r\nA: b\r\n\r\n"


def test_metadata_that_makes_a_url_too_long_is_left_out_of_it() -> None:
    target = f"http://e.com/{'x' * 2_000}"
    planned = plan(HTML + b"<a href='%s'>x</a>" % target.encode())
    rendered = render(planned, metadata='{"a":"' + "y" * 3_000 + '"}')
    [(_, _, url), _] = rendered.edits
    claims = KEYS.open(url.decode().removeprefix("https://click.example.com"))
    assert (claims.target, claims.engagement.metadata) == (target, None)
    assert (rendered.links_without_metadata, rendered.pixels_without_metadata) == ([0], ["open"])


def test_a_target_too_long_for_any_url_is_left() -> None:
    # Random letters, so that no packing makes them shorter.
    target = "".join(chr(33 + number * 7919 % 89) for number in range(5_000)).replace("'", "x")
    planned = plan(HTML + b"<a href='http://e.com/%s'>x</a>" % target.encode())
    rendered = render(planned)
    assert [left.reason for left in rendered.left_alone] == ["url_too_long"]


def test_our_own_links_are_not_wrapped_again() -> None:
    once = render(plan(HTML + b"<a href='http://e.com/'>x</a>"))
    twice = render(plan(once.message))
    assert twice.wrapped_links == 0
    assert [left.reason for left in twice.left_alone] == ["already_tracked"]


@pytest.mark.parametrize("call", [plan, KEYS.core.open])
def test_only_immutable_bytes_or_text_reach_the_core(call: Callable[[object], object]) -> None:
    with pytest.raises(TypeError):
        call(3)


@pytest.mark.parametrize(
    "interface", [engine.Plan, engine.Link, engine.LeftAlone, engine.Part, engine.Rendered]
)
def test_what_the_core_returns_fits_the_engine_s_interface(interface: type) -> None:
    planned = plan(HTML + b"<a href='http://e.com/'>x</a><a href=#y>y</a>")
    rendered = render(planned)
    values = [planned, *planned.links, *planned.left_alone, *planned.parts, rendered]
    [value] = [each for each in values if type(each).__name__ == interface.__name__]
    public = {name for name in dir(value) if not name.startswith("_")}
    described = {name for each in interface.__mro__ for name in vars(each)}
    assert public == {name for name in described if not name.startswith("_")}


def test_an_engine_can_read_what_it_is_given() -> None:
    assert (URLS.domain, URLS.click_scheme) == ("click.example.com", "https")
    assert (URLS.open_scheme, URLS.click_metadata) == ("https", True)
    assert URLS.allow_downgrade


@pytest.mark.parametrize(
    "domain", ["", "a b", "http://e.com", "e.com/x", "e.com:0", "e.com:x", "[::1"]
)
def test_a_domain_that_makes_no_url_is_refused(domain: str) -> None:
    with pytest.raises(ValueError, match="tracking domain"):
        TrackedUrls(domain=domain, click_scheme="http", open_scheme="http", click_metadata=True)


def test_urls_and_rules_that_mean_nothing_are_refused() -> None:
    make_urls = partial(TrackedUrls, open_scheme="Http", click_metadata=True)
    make_urls(domain="[::1]:8080", click_scheme="HTTPS")
    with pytest.raises(ValueError, match="scheme"):
        make_urls(domain="e.com", click_scheme="ftp")
    with pytest.raises(ValueError, match="pattern is empty"):
        plan(b"\n", never_wrap=("",))
    with pytest.raises(ValueError, match="none of skip, strip, track"):
        plan(b"\n", signed_mail="keep")


def test_every_part_is_told_with_what_it_is() -> None:
    message = (
        b"Content-Type: multipart/mixed; boundary=b\n\n"
        b"--b\nContent-Type: text/html; charset=utf-8\n"
        b"Content-Transfer-Encoding: Quoted-Printable\n\n<p>\n"
        b"--b\nContent-Type: image/png\n\nPNG\n"
        b"--b\nContent-Type: message/rfc822\n\nSubject: y\n\n--b--\n"
    )
    planned = plan(message)
    html, image, forwarded = planned.parts
    assert (html.media_type, html.charset) == ("text/html", "utf-8")
    assert (html.transfer_encoding, html.reason) == ("quoted-printable", None)
    assert message[html.offset : html.offset + html.length] == b"<p>"
    assert image.reason == "other_media_type"
    assert (forwarded.media_type, forwarded.reason) == ("message/rfc822", "embedded_message")
    assert [left.reason for left in planned.left_alone] == ["embedded_message"]


BLANK = len(b"X-MSYS-API: {}\r\nSubject: x\r\nContent-Type: text/html\r\n")


def test_new_header_lines_go_before_the_blank_line() -> None:
    planned = plan(b"X-MSYS-API: {}\r\n" + HTML + b"<p>")
    rendered = render(planned, [(BLANK, b"Cc: c@d.test\r\n")])
    assert rendered.message.startswith(HTML[:-2] + b"Cc: c@d.test\r\n\r\n<p>")
    assert list(rendered.edits)[:2] == [(0, 16, b""), (BLANK, 0, b"Cc: c@d.test\r\n")]
    # Without a blank line the header section ends with the message.
    assert render(plan(b"A: b"), [(4, b"\r\nCc: c@d.test")]).message == b"A: b\r\nCc: c@d.test"


@pytest.mark.parametrize(
    ("message", "offset", "text"),
    [
        (b"X-MSYS-API: {}\r\n" + HTML, 3, "offset 3 is inside header lines"),
        (b"X-MSYS-API: {}\r\n" + HTML, BLANK + 1, "is behind the header section"),
        (b"A: b", 5, "offset 5 is behind the header section, which ends at 4"),
    ],
)
def test_a_header_line_that_has_no_place_is_refused(
    message: bytes, offset: int, text: str
) -> None:
    with pytest.raises(ValueError, match=text):
        render(plan(message), [(offset, b"Cc: c@d.test\r\n")])


def test_a_link_s_own_attributes_are_told_and_the_tracker_redirects_its_sublink() -> None:
    message = HTML + (
        b"<a href='http://e.com/?a=1&amp;b' data-msys-sublink='open-in-app'"
        b" data-msys-unsubscribe=1>x</a>"
    )
    planned = plan(message)
    [link] = planned.links
    assert (link.kind, link.sublink, link.where) == ("link_unsubscribe", "open-in-app", "html")
    rendered = render(planned)
    assert b"data-msys" not in rendered.message
    assert render(plan(message, keep_link_attributes=True)).message.count(b"data-msys") == 2
    path = rendered.edits[0][2].removeprefix(b"https://click.example.com")
    assert path.startswith(b"/f/open-in-app/")
    outcome = Routes(KEYS, Replies("msys-http"), Counters()).outcome(path, 1_700_000_000)
    assert b"Location: http://e.com/?a=1&b\r\n" in outcome.reply.head
    assert outcome.claims is not None
    assert outcome.claims.kind == "link_unsubscribe"


def test_the_pixel_at_the_top_is_an_initial_open() -> None:
    message = HTML + b"<html><body class=x><p>x</body></html>"
    planned = plan(message)
    assert planned.initial_pixel_offsets == [message.index(b"<p>")]
    rendered = render(planned, initial_pixel=True)
    assert rendered.pixels == 2
    top, bottom = re.findall(rb'src="https://click\.example\.com([^"]*)"', rendered.message)
    assert [KEYS.open(url.decode()).kind for url in (top, bottom)] == ["initial_open", "open"]
    assert render(planned).pixels == 1
    without = plan(HTML + b"<p>x")
    assert (without.initial_pixel_offsets, render(without, initial_pixel=True).pixels) == ([], 1)
