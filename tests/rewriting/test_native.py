import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from msys_track.keys.ring import Engagement, KeyRing, TrackedUrls
from msys_track.metrics import Counters
from msys_track.rewriting import engine
from msys_track.rewriting.native import NativeEngine, Rules
from msys_track.tracking.replies import Replies
from msys_track.tracking.routes import Routes

HTML = b"Subject: x\r\nContent-Type: text/html\r\n\r\n"
URLS = TrackedUrls(domain="click.example.com", click_scheme="https", open_scheme="https")
ENGINE = NativeEngine()
KEYS = KeyRing.temporary()


def engagement(metadata: str | None = None, *, initial_pixel: bool = False) -> Engagement:
    return Engagement(
        message_id="00" * 10,
        recipient="jo@example.com",
        injected_at=1_700_000_000,
        expires_at=1_700_000_060,
        metadata=metadata,
        open_tracking=True,
        click_tracking=True,
        initial_pixel=initial_pixel,
    )


def plan(message: bytes, **rules: Any) -> engine.Plan:
    return ENGINE.plan(message, Rules(**rules), drop_headers=[b"X-MSYS-API"])


def test_a_plan_tells_its_links_and_what_it_leaves() -> None:
    message = HTML + b"<a href='http://e.com/' data-msys-linkname=top>x</a><a href=#y>y</a>"
    planned = plan(message)
    [link] = planned.links
    assert (link.target, link.name) == ("http://e.com/", "top")
    assert message[link.offset : link.offset + link.length] == b"http://e.com/"
    assert [left.reason for left in planned.left_alone] == ["not_http"]
    assert planned.pixel_offset == len(message)


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
    rendered = plan(message).render(KEYS, engagement(), URLS)
    assert rendered.message == b"junk\r\n: junk\r\nA: b\r\n\r\n"


def test_metadata_that_makes_a_url_too_long_is_left_out_of_it() -> None:
    target = f"http://e.com/{'x' * 2_000}"
    planned = plan(HTML + b"<a href='%s'>x</a>" % target.encode())
    rendered = planned.render(KEYS, engagement('{"a":"' + "y" * 3_000 + '"}'), URLS)
    [(_, _, url), _] = rendered.edits
    claims = KEYS.open(url.decode().removeprefix("https://click.example.com"))
    assert (claims.target, claims.engagement.metadata) == (target, None)
    assert (rendered.links_without_metadata, rendered.pixels_without_metadata) == ([0], ["open"])


def test_a_target_too_long_for_any_url_is_left() -> None:
    # Random letters, so that no packing makes them shorter.
    target = "".join(chr(33 + number * 7919 % 89) for number in range(5_000)).replace("'", "x")
    planned = plan(HTML + b"<a href='http://e.com/%s'>x</a>" % target.encode())
    rendered = planned.render(KEYS, engagement(), URLS)
    assert [left.reason for left in rendered.left_alone] == ["url_too_long"]


def test_our_own_links_are_not_wrapped_again() -> None:
    once = plan(HTML + b"<a href='http://e.com/'>x</a>").render(KEYS, engagement(), URLS)
    twice = plan(once.message).render(KEYS, engagement(), URLS)
    assert twice.wrapped_links == 0
    assert [left.reason for left in twice.left_alone] == ["already_tracked"]


@pytest.mark.parametrize("call", [plan, KEYS.core.open])
def test_only_immutable_bytes_or_text_reach_the_core(call: Callable[[object], object]) -> None:
    with pytest.raises(TypeError):
        call(3)


def properties(interface: type) -> Iterator[str]:
    for each in interface.__mro__:
        yield from (name for name, value in vars(each).items() if isinstance(value, property))


@pytest.mark.parametrize(
    "interface", [engine.Plan, engine.Link, engine.LeftAlone, engine.Part, engine.Rendered]
)
def test_what_the_core_returns_fits_the_engine_s_interface(interface: type) -> None:
    planned = plan(HTML + b"<a href='http://e.com/'>x</a><a href=#y>y</a>")
    rendered = planned.render(KEYS, engagement(), URLS)
    values = [planned, *planned.links, *planned.left_alone, *planned.parts, rendered]
    [value] = [each for each in values if type(each).__name__ == interface.__name__]
    public = {name for name in dir(value) if not name.startswith("_")}
    assert public - {"render"} == set(properties(interface))


def test_an_engine_can_read_what_it_is_given() -> None:
    rules = Rules(signed_mail="strip", text_links=False, never_wrap=["*x*"])
    assert (rules.signed_mail, rules.never_wrap) == ("strip", ["*x*"])
    assert (rules.outlook_links, rules.text_links, rules.keep_link_attributes) == (
        True,
        False,
        False,
    )
    assert (URLS.domain, URLS.click_scheme, URLS.open_scheme, URLS.click_metadata) == (
        "click.example.com",
        "https",
        "https",
        True,
    )


@pytest.mark.parametrize(
    "domain", ["", "a b", "http://e.com", "e.com/x", "e.com:0", "e.com:x", "[::1"]
)
def test_a_domain_that_makes_no_url_is_refused(domain: str) -> None:
    with pytest.raises(ValueError, match="tracking domain"):
        TrackedUrls(domain=domain, click_scheme="http", open_scheme="http")


def test_schemes_are_written_in_lower_case_and_only_http_is_one() -> None:
    TrackedUrls(domain="[::1]:8080", click_scheme="HTTPS", open_scheme="Http")
    with pytest.raises(ValueError, match="scheme"):
        TrackedUrls(domain="e.com", click_scheme="ftp", open_scheme="http")


def test_rules_that_mean_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="pattern is empty"):
        Rules(never_wrap=[""])
    with pytest.raises(ValueError, match="none of skip, strip, track"):
        Rules(signed_mail="keep")  # type: ignore[arg-type]


def test_a_target_that_is_never_wrapped_is_told_with_its_reason() -> None:
    message = HTML + b"<a href='http://e.com/?a&amp;b'>x</a>"
    [left] = plan(message, never_wrap=["*://e.com/*"]).left_alone
    assert (left.reason, left.target) == ("never_wrap", "http://e.com/?a&b")
    assert message[left.offset : left.offset + left.length] == b"http://e.com/?a&amp;b"


def test_signed_mail_is_tracked_by_rule_only() -> None:
    message = b"DKIM-Signature: v=1\r\n" + HTML + b"<a href='http://e.com/'>x</a>"
    skipped = plan(message).render(KEYS, engagement(), URLS)
    assert skipped.message == message
    stripped = plan(message, signed_mail="strip").render(KEYS, engagement(), URLS)
    assert stripped.message.startswith(HTML)
    assert stripped.wrapped_links == 1
    tracked = plan(message, signed_mail="track").render(KEYS, engagement(), URLS)
    assert tracked.message.startswith(b"DKIM-Signature: v=1\r\n" + HTML)
    assert tracked.wrapped_links == 1


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


def test_new_header_lines_go_before_the_blank_line() -> None:
    message = b"X-MSYS-API: {}\r\n" + HTML + b"<p>"
    end = message.index(b"\r\n\r\n") + len(b"\r\n")
    planned = plan(message)
    rendered = planned.render(KEYS, engagement(), URLS, [(end, b"Cc: c@d.test\r\n")])
    assert rendered.message.startswith(HTML[:-2] + b"Cc: c@d.test\r\n\r\n<p>")
    assert list(rendered.edits)[:2] == [(0, 16, b""), (end, 0, b"Cc: c@d.test\r\n")]
    with pytest.raises(ValueError, match="header"):
        planned.render(KEYS, engagement(), URLS, [(end + 1, b"Cc: c@d.test\r\n")])


def test_without_a_blank_line_the_header_section_ends_with_the_message() -> None:
    planned = plan(b"A: b")
    planned.render(KEYS, engagement(), URLS, [(4, b"Cc: c@d.test\r\n")])
    with pytest.raises(ValueError, match="header"):
        planned.render(KEYS, engagement(), URLS, [(5, b"Cc: c@d.test\r\n")])


@pytest.mark.parametrize("offset", [3, 10_000])
def test_a_header_line_that_has_no_place_is_refused(offset: int) -> None:
    planned = plan(b"X-MSYS-API: {}\r\n" + HTML)
    with pytest.raises(ValueError, match="offset"):
        planned.render(KEYS, engagement(), URLS, [(offset, b"Cc: c@d.test\r\n")])


def test_a_link_s_own_attributes_are_told_and_taken_off() -> None:
    message = HTML + (
        b"<a href='http://e.com/' data-msys-sublink='open-in-app' data-msys-unsubscribe=1>x</a>"
    )
    [link] = plan(message).links
    assert (link.kind, link.sublink, link.where) == ("link_unsubscribe", "open-in-app", "html")
    assert b"data-msys" not in plan(message).render(KEYS, engagement(), URLS).message
    kept = plan(message, keep_link_attributes=True).render(KEYS, engagement(), URLS)
    assert kept.message.count(b"data-msys") == 2


def test_a_sublink_stands_in_the_path_and_the_tracker_redirects_it() -> None:
    message = HTML + b"<a href='http://e.com/?a=1&amp;b' data-msys-sublink=open-in-app>x</a>"
    rendered = plan(message).render(KEYS, engagement(), URLS)
    url = rendered.edits[0][2].decode()
    path = url.removeprefix("https://click.example.com")
    assert path.startswith("/f/open-in-app/")
    outcome = Routes(KEYS, Replies("msys-http"), Counters()).outcome(path.encode(), 1_700_000_000)
    assert b"Location: http://e.com/?a=1&b\r\n" in outcome.reply.head
    assert outcome.claims is not None
    assert outcome.claims.kind == "click"


def test_the_pixel_at_the_top_is_an_initial_open() -> None:
    message = HTML + b"<html><body class=x><p>x</body></html>"
    planned = plan(message)
    assert planned.initial_pixel_offset == message.index(b"<p>")
    rendered = planned.render(KEYS, engagement(initial_pixel=True), URLS)
    assert rendered.pixels == 2
    top, bottom = re.findall(rb'src="https://click\.example\.com([^"]*)"', rendered.message)
    assert [KEYS.open(url.decode()).kind for url in (top, bottom)] == ["initial_open", "open"]
    assert planned.render(KEYS, engagement(), URLS).pixels == 1


def test_without_a_body_tag_there_is_no_pixel_at_the_top() -> None:
    planned = plan(HTML + b"<p>x")
    assert planned.initial_pixel_offset is None
    rendered = planned.render(KEYS, engagement(initial_pixel=True), URLS)
    assert rendered.pixels == 1
    assert [left.reason for left in rendered.left_alone] == ["no_initial_pixel_place"]
