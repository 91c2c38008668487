"""Whole tracked URLs: opened as the tracker opens what it is asked for."""

import pytest

from msys_track.errors import InvalidTokenError
from msys_track.keys.link import open_link, parse_path
from msys_track.keys.ring import Claims, Engagement, KeyRing

KEYS = KeyRing.from_secrets({1: bytes(range(32))})
CLAIMS = Claims(
    kind="click",
    engagement=Engagement(
        message_id="000443ee14578172be22",
        recipient="a@b.test",
        injected_at=0,
        expires_at=2_000,
        customer_id=1,
    ),
    target="https://shop.test/?a=1&b=#c",
)
PATH = KEYS.seal(CLAIMS)
ENCODED = "".join(f"%{ord(each):02x}" for each in PATH.removeprefix("f/a/"))


@pytest.mark.parametrize(
    "url",
    [
        f"https://click.shop.test/{PATH}",
        f"HTTP://click.shop.test:8080/{PATH}?utm_source=mail&x=/f/a/y#top",
        f"https://click.shop.test/{PATH}).",
        f"https://click.shop.test/{PATH}/",
        f" \r\nhttps://click.shop.test/{PATH}\t",
        f"https://click.shop.test/f/a/{ENCODED}",
        f"click.shop.test/{PATH}",
        f"/{PATH}",
        PATH,
    ],
    ids=range(9),
)
def test_a_tracked_url_opens_however_it_was_copied(url: str) -> None:
    assert open_link(url, KEYS) == CLAIMS
    assert open_link(url.encode(), KEYS) == CLAIMS


@pytest.mark.parametrize(
    "url",
    [
        "",
        "https://click.shop.test",
        "https://click.shop.test/",
        f"https://click.shop.test/?{PATH}",
        f"https://click.shop.test/x/{PATH}",
        f"https://click.shop.test/{PATH}A",
        f"https://click.shop.test/{PATH.replace('f/a/', 'f/b/')}",
        "https://click.shop.test/f/a/\udfff",
        "\ud800\x00",
    ],
    ids=range(9),
)
def test_any_other_text_is_an_invalid_token(url: str) -> None:
    with pytest.raises(InvalidTokenError):
        open_link(url, KEYS)


def test_a_link_of_another_ring_is_an_invalid_token() -> None:
    with pytest.raises(InvalidTokenError):
        open_link(f"https://click.shop.test/{PATH}", KeyRing.temporary())


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"/a?b", "/a"),
        (b"/a#b", "/a"),
        (b"/a%3Fb", "/a?b"),
        (b"/%61%", "/a%"),
        (b"/%ff", "/\ufffd"),
        (b"http://h/a/b?c", "/a/b"),
        (b"http://h", ""),
        (b"http://h?/a", ""),
        (b"*", ""),
        (b"", ""),
    ],
)
def test_the_path_of_a_request_target(target: bytes, path: str) -> None:
    assert parse_path(target) == path
