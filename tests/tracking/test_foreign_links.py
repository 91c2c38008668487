"""Links that another tracker made: handed on to it, and ours never are."""

import base64
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.tracking.conftest import Start

from msys_track.keys.ring import Claims, Engagement, KeyRing
from msys_track.metrics import Counters
from msys_track.tracking.replies import PIXEL, Replies
from msys_track.tracking.routes import Outcome, Routes

# A fixed key: tests are shared out by name, and processes must agree.
KEYS = KeyRing.from_secrets({7: bytes(range(32))})
OTHER_KEYS = KeyRing.from_secrets({7: bytes(32)})
REPLIES = Replies("msys-http")
OLD = "https://old.test:8443"
TARGET = "https://shop.test/"

# As Momentum and SparkPost write them: a MAC of 16 octets, the account, the claims.
MAC = "5TmBPmvTqjKFBk5dO3l0_w"
SEALED = f"{MAC}~~/AAAAARA~/RgRl-Ic_PT9EGGh0dHBzOi8vc2hvcC50ZXN0Lw~~"


def seal(keys: KeyRing, kind: str = "click") -> str:
    engagement = Engagement(
        message_id="000443ee14578172be22",
        recipient="a@b.test",
        injected_at=0,
        expires_at=2_000,
        customer_id=1,
    )
    target = TARGET if kind == "click" else None
    claims = Claims(kind=kind, engagement=engagement, target=target)  # type: ignore[arg-type]
    return "/" + keys.seal(claims)


CLICK, OPEN = seal(KEYS), seal(KEYS, "open")
FORGED, FORGED_OPEN = seal(OTHER_KEYS), seal(OTHER_KEYS, "open")


def visit(target: str, *, unknown_links: str = OLD, counters: Counters | None = None) -> Outcome:
    routes = Routes(KEYS, REPLIES, counters or Counters(), unknown_links=unknown_links)
    return routes.outcome(target.encode("latin-1"), 1_000)


def location_of(outcome: Outcome) -> str | None:
    lines = outcome.reply.head.decode().split("\r\n")
    return next((line[10:] for line in lines if line.startswith("Location: ")), None)


@pytest.mark.parametrize(
    "target",
    [
        f"/f/a/{SEALED}",
        f"/f/open-in-app/{SEALED}",
        f"/f/a/{SEALED}?target=https%3A%2F%2Fshop.test%2F%3Fa%3D1",
        f"/f/a/{SEALED.replace('~', '%7E')}",
        f"/f/a/{SEALED.replace('~', '%7e')}",
        f"/q/{SEALED}",
        f"/o/{SEALED}",
        f"/u/{SEALED}",
        "/e/eJwNyEEKgCAQAMC_7Dk0yoL6TKy6kWAq6yYI_b2O8wA",
        "/f/a/eJwNyEEKgCAQAMC_7Dk0yoL6TKy6kWAq6yYI_b2O8wA",
        "/f/a",
        "/f/a/?x",
        "/q/",
        "/f/a/x?y=%0d%0aSet-Cookie:%20a",
    ],
)
def test_a_foreign_link_is_handed_on_as_it_came(target: str) -> None:
    counters = Counters()
    outcome = visit(target, counters=counters)
    assert outcome.reply.head.startswith(b"HTTP/1.1 302 Moved Temporarily\r\n")
    assert (location_of(outcome), outcome.claims) == (OLD + target, None)
    assert {name: count for name, count in counters.snapshot().items() if count} == {
        "handed_on": 1
    }


@pytest.mark.parametrize("target", [f"/f/a/{SEALED}", f"/q/{SEALED}", f"/u/{SEALED}"])
def test_without_the_option_a_foreign_link_is_refused(target: str) -> None:
    expected = REPLIES.pixel if target.startswith("/q") else REPLIES.not_found
    assert visit(target, unknown_links="refuse") == Outcome(expected)


def test_our_own_links_work_as_before() -> None:
    assert location_of(visit(CLICK)) == TARGET
    assert visit(CLICK).claims is not None
    assert visit(OPEN).reply == REPLIES.pixel


@pytest.mark.parametrize(
    "target",
    [
        FORGED,
        FORGED + "?target=https://evil.test/",
        FORGED + "/x",
        CLICK[:-1],
        CLICK[:20],
        CLICK[:8],
        CLICK[:-2] + "AA",
        CLICK.replace("/f/a/", "/f/b/"),
        CLICK.replace("/f/a/", "/u/"),
        "/f/a/" + OPEN.rpartition("/")[2],
        FORGED.replace("/f/", "/%66/"),
    ],
)
def test_a_forged_or_broken_link_of_ours_is_refused(target: str) -> None:
    counters = Counters()
    assert visit(target, counters=counters) == Outcome(REPLIES.not_found)
    assert counters["handed_on"] == 0


@pytest.mark.parametrize("target", [FORGED_OPEN, OPEN[:-1], OPEN[:8], CLICK.replace("f/a", "q")])
def test_a_forged_pixel_of_ours_is_still_an_image(target: str) -> None:
    assert visit(target) == Outcome(REPLIES.pixel)


def test_a_token_of_a_key_that_is_not_on_the_ring_is_foreign() -> None:
    path = seal(KeyRing.from_secrets({8: bytes(range(32))}))
    assert location_of(visit(path)) == OLD + path


def test_the_form_of_the_old_mac_is_foreign_even_if_it_begins_like_a_token_of_ours() -> None:
    mac = base64.urlsafe_b64encode(bytes([1, 7, *range(14)])).decode().rstrip("=")
    assert location_of(visit(f"/f/a/{mac}~~/A~/B~~")) == f"{OLD}/f/a/{mac}~~/A~/B~~"
    assert visit(f"/f/a/{mac}") == Outcome(REPLIES.not_found)


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/F/a/x",
        "/fa/x",
        "/x/f/a/y",
        "//evil.test/f/a/x",
        "/.well-known/assetlinks.json",
        "*",
        "evil.test:443",
        "/f/../x",
        "/f/a/..",
        "/f/%2e%2e/x",
        "/f/.%2E/x",
        "/f/./x",
        "/f/..%2fx",
        "/f/..\\x",
        "/f/%5c..%5cx",
        "/f/a b",
        "/f/a\r\nX: y",
        "/f/a?x=\r\nX: y",
        "/f/\xff",
        "/u/a\tb",
    ],
)
def test_other_paths_go_nowhere(target: str) -> None:
    assert visit(target) == Outcome(REPLIES.not_found)


@pytest.mark.parametrize(
    "target", [f"http://evil.test/f/a/{SEALED}?x", f"http://evil.test@evil.test/f/a/{SEALED}?x"]
)
def test_the_host_of_a_request_target_changes_nothing(target: str) -> None:
    assert location_of(visit(target)) == f"{OLD}/f/a/{SEALED}?x"


def test_a_fragment_is_not_sent() -> None:
    assert location_of(visit(f"/f/a/{SEALED}#top")) == f"{OLD}/f/a/{SEALED}"


@given(target=st.binary() | st.binary().map(lambda tail: b"/f/" + tail))
def test_whatever_is_asked_only_the_old_tracker_is_named(target: bytes) -> None:
    outcome = Routes(KEYS, REPLIES, Counters(), unknown_links=OLD).outcome(target, 1_000)
    location = location_of(outcome)
    assert location is None or re.fullmatch(rf"{re.escape(OLD)}/[!-~]+", location)
    assert outcome.reply.head.count(b"\r\n") == REPLIES.redirect("x").head.count(b"\r\n") or (
        location is None
    )


@pytest.mark.anyio
async def test_the_host_header_changes_nothing(start: Start) -> None:
    harness = await start(unknown_links=OLD)
    request = f"GET /f/a/{SEALED} HTTP/1.1\r\nHost: evil.test\r\nX-Forwarded-Host: evil\r\n\r\n"
    answer = await harness.exchange(request.encode())
    assert f"\r\nLocation: {OLD}/f/a/{SEALED}\r\n".encode() in answer
    assert b"evil" not in answer
    assert await harness.hits() == []


@pytest.mark.anyio
async def test_head_is_answered_as_get(start: Start) -> None:
    harness = await start(unknown_links=OLD)
    answer = await harness.get(f"/q/{SEALED}", method="HEAD")
    assert answer.startswith(b"HTTP/1.1 302 ")
    assert f"\r\nLocation: {OLD}/q/{SEALED}\r\n".encode() in answer


@pytest.mark.anyio
async def test_a_one_click_unsubscription_is_not_redirected(start: Start) -> None:
    harness = await start(unknown_links=OLD)
    body = "List-Unsubscribe=One-Click"
    head = f"POST /u/{SEALED} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}"
    answer = await harness.exchange(f"{head}\r\n\r\n{body}".encode())
    assert answer.startswith(b"HTTP/1.1 405 ")
    assert b"Location" not in answer


@pytest.mark.anyio
async def test_a_reload_of_the_keys_changes_what_is_ours(start: Start) -> None:
    harness = await start(unknown_links=OLD)
    harness.tracker.use(KEYS)
    assert (await harness.get(FORGED)).startswith(b"HTTP/1.1 404 ")
    assert PIXEL in await harness.get(FORGED_OPEN)
    harness.tracker.use(KeyRing.from_secrets({9: bytes(32)}))
    assert (await harness.get(FORGED)).startswith(b"HTTP/1.1 302 ")
