"""`Location` and the URL Standard: a browser gets where it would have got without us.

The other reading is ada's, the URL parser of Node.js and a browser-grade peer
(https://url.spec.whatwg.org/).
"""

import re
import unicodedata
from collections.abc import Iterator

import ada_url
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.thoroughness import some_of

from msys_track.tracking.location import make_location, percent_encode

CHARACTERS = [chr(code) for code in (*range(0xD800), *range(0xE000, 0x110000))]
PLACES = {
    "user": "https://u{}u:p@shop.test/",
    "password": "https://u:p{}p@shop.test/",
    "path": "https://shop.test/a{}b?c=d#e",
    "query": "https://shop.test/?a={}b#c",
    "fragment": "https://shop.test/#a{}b",
}
ENDS = ["https://shop.test/a{}", "https://shop.test/?a={}", "https://shop.test/#{}"]
BATCH = 256


def browse_to(url: str) -> str | None:
    """Where a browser goes; None where it finds no URL."""
    try:
        return ada_url.URL(url).href
    except ValueError:
        return None


def follows(target: str) -> bool:
    """Whether `Location` can be sent, and leads where the target led if it led anywhere."""
    value = make_location(target)
    if value is None or re.fullmatch(r"https?://[!-~]+", value, re.ASCII) is None:
        return False
    goal = browse_to(target)
    return goal is None or browse_to(value) == goal


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_every_character_leads_where_it_led(place: str) -> None:
    one_by_one, batched = CHARACTERS[:0x100], CHARACTERS[0x100:]
    assert [each for each in one_by_one if not follows(place.format(each))] == []
    for start in some_of(range(0, len(batched), BATCH), 5):
        batch = batched[start : start + BATCH]
        target = place.format("".join(batch))
        assert browse_to(target) is not None
        if not follows(target):
            pytest.fail(
                f"one of these: {[ascii(e) for e in batch if not follows(place.format(e))]}"
            )


@pytest.mark.parametrize("target", ["http://shop.test{}", *ENDS])
def test_every_character_at_the_end_leads_where_it_led(target: str) -> None:
    assert [
        each for each in some_of(CHARACTERS[:0x3100], 3) if not follows(target.format(each))
    ] == []


def hosts_characters() -> Iterator[str]:
    """All characters; of a run that has no names, unassigned or private, its two ends."""
    nameless = [unicodedata.category(each) in {"Cn", "Co"} for each in CHARACTERS]
    for at, character in enumerate(CHARACTERS):
        if not all(nameless[max(at - 1, 0) : at + 2]):
            yield character


def test_every_character_in_a_host_leads_where_it_led() -> None:
    characters = some_of(hosts_characters(), 23)
    elsewhere = [each for each in characters if not follows(f"http://a{each}b.test/p")]
    assert elsewhere == []


@pytest.mark.parametrize("host", ["{}.test", "{}", "a.{}b.test", "u:p@{}.test:8443"])
def test_every_character_of_a_small_script_leads_where_it_led_in_any_label(host: str) -> None:
    small = [
        chr(code) for code in (*range(0x3400), *range(0xA000, 0xAC00), *range(0xFB00, 0x10000))
    ]
    assert [
        each for each in some_of(small, 7) if not follows(f"https://{host.format(each)}/p")
    ] == []


@pytest.mark.parametrize("place", ["{}ttp://a.test/", "ht{}tp://a.test/", "http{}://a.test/"])
def test_no_character_beyond_ascii_makes_a_scheme(place: str) -> None:
    wide = CHARACTERS[0x80:]
    assert [
        each for each in some_of(wide, 23) if make_location(place.format(each)) is not None
    ] == []


# What has a meaning of its own in URLs and hosts, or loses it in mapping and composition.
PIECES = [
    *"ab019-.:@/?#\\[]%_~|<>\"'`{}^&=;+!$*(), \t\r\n\0\x01\x1f\x7f\x80",
    *("xn--", "%C3%BC", "%2F", "%40", "127.0.0.1", "0x7f", "a" * 63, ".."),
    *"üıİſ\u212aßẞςéΣ\u0301\u0338\u0327例हि\u094d😀💩\u0661\u06f1\u0627\u05d0\u30fb\xb7",
    *"\u200b\u200c\u200d\xad\u180e\ufeff\u2060\ufdd0\uff0e\u3002\uff11\uff0f\uff20\uff1a\uff05",
    *"\u2100\u2260\u226e\u2488\u115f\U000e0001\U000e0100",
]


@given(
    scheme=st.sampled_from(["http://", "HTTPS://"]),
    pieces=st.lists(st.sampled_from(PIECES) | st.characters(), min_size=1, max_size=8),
    end=st.sampled_from(["", "/", ".test/", ":8443/a?ü", "#é"]),
)
def test_any_target_that_a_browser_takes_leads_where_it_led(
    scheme: str, pieces: list[str], end: str
) -> None:
    target = scheme + "".join(pieces) + end
    goal = browse_to(target)
    if goal is not None:
        value = make_location(target)
        assert value is not None
        assert browse_to(value) == goal


@pytest.mark.parametrize(
    ("host", "sent"),
    [
        ("a b", "a%20b"),
        ("a<b", "a<b"),
        ("a%b", "a%b"),
        ("ü<", "%C3%BC<"),
        ("\ufdd0", "%EF%B7%90"),
        ("a\u2100b", "a%E2%84%80b"),
        ("[::1\xb2]", "[::1%C2%B2]"),
        ("a\0b", "a%00b"),
        ("xn--ü", "xn--%C3%BC"),
    ],
)
def test_a_host_that_no_browser_takes_is_as_refused_in_the_location(host: str, sent: str) -> None:
    assert browse_to(f"http://{host}/") is None
    assert make_location(f"http://{host}/") == f"http://{sent}/"
    assert browse_to(f"http://{sent}/") is None


def test_all_that_is_not_printable_ascii_can_be_percent_encoded() -> None:
    everything = "".join(map(chr, (*range(0x3000), *range(0xD700, 0x10100), 0x10FFFF)))
    encoded = percent_encode(everything)
    assert re.fullmatch(r"[!-~]+", encoded, re.ASCII)
    assert "%00" in encoded
    assert "%20!" in encoded
    assert "%F4%8F%BF%BF" in encoded
