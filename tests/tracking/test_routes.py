"""Routes: which paths exist, what their tokens may do, and what leaves an event."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msys_track.keys.ring import Claims, Engagement, KeyRing
from msys_track.metrics import Counters
from msys_track.tracking.replies import PIXEL, Replies
from msys_track.tracking.routes import Outcome, Routes

# A fixed key: tests are shared out by name, tokens are in the names, and processes must agree.
KEYS = KeyRing.from_secrets({1: bytes(range(32))})
REPLIES = Replies("msys-http")
NOW = 1_000
EXPIRES_AT = 2_000
TARGET = "https://shop.test/?a=1&b=#c"


def engagement() -> Engagement:
    return Engagement(
        message_id="000443ee14578172be22",
        recipient="a@b.test",
        injected_at=0,
        expires_at=EXPIRES_AT,
        customer_id=1,
    )


def seal_path(kind: str, target: str | None = None) -> str:
    claims = Claims(kind=kind, engagement=engagement(), target=target)  # type: ignore[arg-type]
    return "/" + KEYS.seal(claims)


CLICK = seal_path("click", TARGET)
OPEN = seal_path("open")


def visit(target: str, *, now: float = NOW, counters: Counters | None = None) -> Outcome:
    routes = Routes(KEYS, REPLIES, counters or Counters())
    return routes.outcome(target.encode("latin-1"), now)


def location_of(outcome: Outcome) -> str | None:
    lines = outcome.reply.head.decode().split("\r\n")
    return next((line[10:] for line in lines if line.startswith("Location: ")), None)


@pytest.mark.parametrize("kind", ["click", "amp_click", "link_unsubscribe"])
def test_every_kind_with_a_target_redirects_and_leaves_its_claims(kind: str) -> None:
    outcome = visit(seal_path(kind, TARGET))
    assert outcome.reply.head.startswith(b"HTTP/1.1 302 Moved Temporarily\r\n")
    assert location_of(outcome) == TARGET
    assert outcome.claims is not None
    assert (outcome.claims.kind, outcome.claims.engagement.recipient) == (kind, "a@b.test")


@pytest.mark.parametrize("kind", ["open", "initial_open", "amp_open", "amp_initial_open"])
def test_every_kind_of_open_gets_the_pixel_and_leaves_its_claims(kind: str) -> None:
    outcome = visit(seal_path(kind))
    assert outcome.reply == REPLIES.pixel
    assert outcome.claims is not None
    assert outcome.claims.kind == kind


@pytest.mark.parametrize("is_gone", [True, False])
def test_an_expired_link_leaves_no_event_and_a_click_can_be_gone(*, is_gone: bool) -> None:
    counters = Counters()
    routes = Routes(KEYS, REPLIES, counters, expired="gone" if is_gone else "redirect")
    click = routes.outcome(CLICK.encode(), EXPIRES_AT)
    assert click == Outcome(REPLIES.gone if is_gone else REPLIES.redirect(TARGET))
    assert (counters["expired"], counters["clicks"]) == (1, 0 if is_gone else 1)
    assert location_of(routes.outcome(CLICK.encode(), EXPIRES_AT - 1)) == TARGET
    assert routes.outcome(OPEN.encode(), EXPIRES_AT) == Outcome(REPLIES.pixel)
    assert counters["expired"] == 2


def test_a_link_lives_until_the_very_second_before_it_expires() -> None:
    assert visit(CLICK, now=EXPIRES_AT - 0.001).claims is not None


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/f/a",
        "/f/a/",
        "/f",
        "/f/",
        "/f/a/AAAA",
        "/q",
        "/u/" + CLICK.rpartition("/")[2],
        "/F" + CLICK[2:],
        "/f/a//" + CLICK.rpartition("/")[2],
        "/x" + CLICK,
        "/" + CLICK,
        "/f/b/" + CLICK.rpartition("/")[2],
        "/f/a/" + OPEN.rpartition("/")[2],
        CLICK[:-1],
        CLICK[:20],
        "*",
        "shop.test:443",
        "http://click.test",
        "http://click.test?x=" + CLICK,
        "/?target=https://evil.test/",
    ],
)
def test_what_is_no_link_of_ours_is_not_found(target: str) -> None:
    assert visit(target) == Outcome(REPLIES.not_found)


@pytest.mark.parametrize(
    "target", ["/q/", "/q/AAAA", OPEN[:-1], "/q/" + CLICK.rpartition("/")[2], "/q/%00"]
)
def test_a_forged_open_gets_the_pixel_without_an_event(target: str) -> None:
    counters = Counters()
    assert visit(target, counters=counters) == Outcome(REPLIES.pixel)
    assert counters["invalid_tokens"] == 1


@pytest.mark.parametrize("path", [CLICK, OPEN])
@pytest.mark.parametrize(
    "junk", [".", ")", ">", "%3E", "%20", "/", "?utm_source=x", "?", "#top", "%3Futm=1", ".%2e,"]
)
def test_what_clients_append_is_ignored(path: str, junk: str) -> None:
    assert visit(path + junk).claims is not None


def test_a_path_is_decoded_only_once() -> None:
    assert location_of(visit(CLICK.replace("/f/", "/%66/"))) == TARGET
    assert visit(CLICK.replace("/f/", "/%2566/")) == Outcome(REPLIES.not_found)


@given(target=st.binary())
def test_no_request_target_breaks_the_routes(target: bytes) -> None:
    outcome = Routes(KEYS, REPLIES, Counters()).outcome(target, NOW)
    assert outcome.claims is None
    assert location_of(outcome) is None


@given(target=st.text(st.characters(codec="ascii")))
def test_no_answer_repeats_what_was_asked(target: str) -> None:
    assert visit("/f/a/" + target).reply in (REPLIES.not_found, REPLIES.pixel)


def test_the_pixel_is_the_43_byte_transparent_gif() -> None:
    assert len(PIXEL) == 43
    assert PIXEL[:6] == b"GIF89a"
    assert PIXEL[6:10] == (1).to_bytes(2, "little") * 2
    assert PIXEL[-1:] == b";"
    extension = PIXEL.index(b"\x21\xf9\x04")
    assert PIXEL[extension + 3] & 1, "the transparent colour flag"
