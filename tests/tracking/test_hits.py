"""From a request to a line of the hit log: links of every sort."""

from typing import Any

import pytest
from tests.tracking.conftest import TARGET, UVLOOP, Harness

from msys_track.keys.ring import Claims, Engagement, KeyRing
from msys_track.tracking.replies import PIXEL

pytestmark = [pytest.mark.anyio, UVLOOP]


def encode_path(path: str) -> str:
    """Every character but the first slash as %XX."""
    return "/" + "".join(f"%{ord(character):02X}" for character in path[1:])


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
async def test_each_form_that_a_link_may_come_back_in_redirects_and_leaves_one_hit(
    harness: Harness, click_path: str, form: str
) -> None:
    reply = await harness.get(form.format(click_path, encoded=encode_path(click_path)))
    assert f"\r\nLocation: {TARGET}\r\n".encode() in reply
    (hit,) = await harness.hits()
    assert hit["target"] == TARGET


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
async def test_no_link_however_odd_keeps_the_next_hit_out_of_the_log(
    harness: Harness, keys: KeyRing, open_path: str, claims: dict[str, Any]
) -> None:
    least: dict[str, Any] = {"message_id": "", "recipient": "", "injected_at": 0, "customer_id": 1}
    engagement = Engagement(**(least | {"expires_at": 2**64 - 1} | claims))
    odd = keys.seal(Claims(kind="open", engagement=engagement))
    assert (await harness.get("/" + odd)).endswith(PIXEL)
    await harness.hits()
    await harness.get(open_path)
    first, second = await harness.hits()
    assert second["recipient"] == "Recipient@Example.com"
    assert first["kind"] == "open"
