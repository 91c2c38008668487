"""From a request to a row: a tracker with a real store, and links of every sort."""

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.tracking.test_visit import GOLDEN

from msys_track.keys.ring import Claims, Engagement, KeyRing
from msys_track.tracking.replies import PIXEL

if TYPE_CHECKING:
    from tests.tracking.conftest import Stored

pytestmark = pytest.mark.anyio

TARGET = "https://shop.test/sale?a=1&b="


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": True}


def encoded(path: str) -> str:
    """Every character but the first slash as %XX."""
    return "/" + "".join(f"%{ord(character):02X}" for character in path[1:])


async def test_a_head_request_leaves_no_row(
    stored: "Stored", click_path: str, open_path: str
) -> None:
    for path in (click_path, open_path):
        reply = await stored.get(path, method="HEAD")
        assert reply.startswith((b"HTTP/1.1 302 ", b"HTTP/1.1 200 "))
    assert await stored.events() == []


@pytest.mark.parametrize(
    "form",
    [
        "{0}",
        "{encoded}",
        "{0}.",
        "{0})",
        "{0}%3E",
        "{0}%20",
        "{0}/",
        "{0}?utm_source=x&target=https://evil.test/",
        "{0}#top",
        "{encoded}%3F",
        "http://old-domain.test:81{0}",
    ],
)
async def test_each_form_that_a_link_may_come_back_in_redirects_and_leaves_one_row(
    stored: "Stored", click_path: str, form: str
) -> None:
    reply = await stored.get(form.format(click_path, encoded=encoded(click_path)))
    assert f"\r\nLocation: {TARGET}\r\n".encode() in reply
    (event,) = await stored.events()
    assert event.target_link_url == TARGET


@pytest.mark.parametrize(
    ("target", "location"),
    [
        ("https://shop.test/ü?ä=%c3%bc#ß", "https://shop.test/%C3%BC?%C3%A4=%c3%bc#%C3%9F"),
        ("HTTP://Bücher.TEST:8080/", "HTTP://xn--bcher-kva.test:8080/"),
        ("https://例え.テスト/{{x}}?a=[1]|2", "https://xn--r8jz45g.xn--zckzah/{{x}}?a=[1]|2"),
        (
            "https://shop.test/%2e%2E/./a//b;c,d!$'()*+",
            "https://shop.test/%2e%2E/./a//b;c,d!$'()*+",
        ),
    ],
)
async def test_the_target_is_redirected_to_and_stored_as_it_was_sent(
    stored: "Stored", keys: KeyRing, engagement: Engagement, target: str, location: str
) -> None:
    path = keys.seal(Claims(kind="click", engagement=engagement, target=target))
    assert f"\r\nLocation: {location}\r\n".encode() in await stored.get("/" + path)
    (event,) = await stored.events()
    assert event.target_link_url == target


def odd_engagement(**claims: Any) -> Engagement:
    usual: dict[str, Any] = {
        "message_id": "",
        "recipient": "",
        "injected_at": 0,
        "expires_at": 2**64 - 1,
    }
    return Engagement(**(usual | claims))


@pytest.mark.parametrize(
    "claims",
    [
        {"injected_at": 1_790_000_000_000},
        {"injected_at": 2**64 - 1},
        {"metadata": '{"a":' * 988 + "1" + "}" * 988},
        {"metadata": "[" * 5_000},
        {"metadata": '{"a": NaN, "b": 1e999, "c": "\\ud800"}'},
        {"metadata": '{"a": ' + "9" * 5_000 + "}"},
        {"recipient": "\0\u2028\uffff@", "tags": ["", "\0"], "campaign_id": ""},
        {"transmission_id": 2**64 - 1, "customer_id": 2**32 - 1, "subaccount_id": 2**32 - 1},
    ],
    ids=lambda claims: str(claims)[:40],
)
async def test_no_link_however_odd_keeps_the_next_event_out_of_the_store(
    stored: "Stored", keys: KeyRing, open_path: str, claims: dict[str, Any]
) -> None:
    odd = keys.seal(Claims(kind="open", engagement=odd_engagement(**claims)))
    assert (await stored.get("/" + odd)).endswith(PIXEL)
    await stored.events()
    await stored.get(open_path)
    first, second = await stored.events()
    assert second.raw_rcpt_to == "Recipient@Example.com"
    assert json.loads(first.as_json().encode("utf-8"))["msys"]["track_event"]["type"] == "open"


async def test_the_row_of_a_click_has_the_fields_of_the_golden_one(
    stored: "Stored", click_path: str
) -> None:
    headers = ("User-Agent: Mozilla/5.0 (X11)", "Accept-Language: en")
    await stored.get(click_path, *headers)
    (event,) = await stored.events()
    golden = json.loads((GOLDEN / "click.json").read_text(encoding="utf-8"))
    known = set(golden["msys"]["track_event"])
    # Two things that the golden mail has and this one has not.
    assert set(event.fields()) == known - {"rcpt_type", "subaccount_id"}
