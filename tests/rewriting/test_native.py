from collections.abc import Callable

import pytest

from msys_track import _core
from msys_track.errors import RewriteFailed
from msys_track.keys import Engagement, KeyRing, TrackedUrls
from msys_track.rewriting.native import NativeEngine

HTML = b"Subject: x\r\nContent-Type: text/html\r\n\r\n"
URLS = TrackedUrls(domain="click.example.com", click_scheme="https", open_scheme="https")
ENGINE = NativeEngine()
KEYS = KeyRing.temporary()


def engagement(metadata: str | None = None) -> Engagement:
    return Engagement(
        message_id="00" * 10,
        recipient="jo@example.com",
        injected_at=1_700_000_000,
        expires_at=1_700_000_060,
        metadata=metadata,
        open_tracking=True,
        click_tracking=True,
    )


def test_a_plan_tells_its_links_and_what_it_leaves() -> None:
    message = HTML + b"<a href='http://e.com/' data-msys-linkname=top>x</a><a href=#y>y</a>"
    plan = ENGINE.plan(message)
    [link] = plan.links
    assert (link.target, link.name) == ("http://e.com/", "top")
    assert message[link.offset : link.offset + link.length] == b"http://e.com/"
    assert [left.reason for left in plan.left_alone] == ["not_http"]
    assert plan.pixel_offset == len(message)


def test_header_fields_are_found_in_any_case_and_with_their_folds() -> None:
    message = b"A: b\r\nx-msys-API: {\r\n }\r\n\r\nX-MSYS-API: body"
    [(offset, length, value)] = ENGINE.header_fields(message, b"X-MSYS-API")
    assert message[offset : offset + length] == b"x-msys-API: {\r\n }\r\n"
    assert value == b" {\r\n }"


def test_metadata_that_makes_a_url_too_long_is_left_out_of_it() -> None:
    target = f"http://e.com/{'x' * 2_000}"
    plan = ENGINE.plan(HTML + b"<a href='%s'>x</a>" % target.encode())
    rendered = plan.render(KEYS, engagement('{"a":"' + "y" * 3_000 + '"}'), URLS)
    [(_, _, url), _] = rendered.edits
    claims = KEYS.open(url.decode().removeprefix("https://click.example.com"))
    assert (claims.target, claims.engagement.metadata) == (target, None)


def test_a_target_too_long_for_any_url_is_left() -> None:
    # Random letters, so that no packing makes them shorter.
    target = "".join(chr(33 + number * 7919 % 89) for number in range(5_000)).replace("'", "x")
    plan = ENGINE.plan(HTML + b"<a href='http://e.com/%s'>x</a>" % target.encode())
    rendered = plan.render(KEYS, engagement(), URLS)
    assert [left.reason for left in rendered.left_alone] == ["url_too_long"]


def test_our_own_links_are_not_wrapped_again() -> None:
    once = ENGINE.plan(HTML + b"<a href='http://e.com/'>x</a>").render(KEYS, engagement(), URLS)
    twice = ENGINE.plan(once.message).render(KEYS, engagement(), URLS)
    assert twice.wrapped_links == 0
    assert [left.reason for left in twice.left_alone] == ["already_tracked"]


@pytest.mark.parametrize("call", [ENGINE.plan, KEYS.core.open])
def test_only_immutable_bytes_or_text_reach_the_core(call: Callable[[object], object]) -> None:
    with pytest.raises(TypeError):
        call(3)


def test_a_panic_is_an_error_that_the_caller_can_catch(monkeypatch: pytest.MonkeyPatch) -> None:
    def panics(*_: object, **__: object) -> None:
        raise _core.CoreError("the core panicked")

    monkeypatch.setattr(_core, "plan", panics)
    with pytest.raises(RewriteFailed, match="planning failed"):
        ENGINE.plan(HTML)


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
