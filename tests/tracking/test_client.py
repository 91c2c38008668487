"""The client of a request: only configured proxies are trusted."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msys_track.settings.addresses import Network
from msys_track.tracking.client import decode_header, find_client_address, parse_user_agent

TRUSTED = (ip_network("10.0.0.0/8"), ip_network("2001:db8:1::/48"))


@pytest.mark.parametrize(
    ("header_lines", "client"),
    [
        ([b"203.0.113.7"], "203.0.113.7"),
        ([b"6.6.6.6, 203.0.113.7"], "203.0.113.7"),
        ([b"6.6.6.6", b"203.0.113.7"], "203.0.113.7"),
        ([b"6.6.6.6, 203.0.113.7, 10.9.9.9"], "203.0.113.7"),
        ([b"6.6.6.6,203.0.113.7 ,\t10.9.9.9 "], "203.0.113.7"),
        ([b"203.0.113.7", b"10.9.9.9, 2001:db8:1::5"], "203.0.113.7"),
        ([b"203.0.113.7:4711"], "203.0.113.7"),
        ([b"[2001:db8::7]:4711"], "2001:db8::7"),
        ([b"[2001:db8::7]"], "2001:db8::7"),
        ([b"2001:DB8:0::7"], "2001:db8::7"),
        ([b"::ffff:203.0.113.7"], "203.0.113.7"),
        ([b"10.9.9.9, 10.8.8.8"], "10.9.9.9"),
    ],
)
def test_the_client_is_the_right_most_hop_that_is_no_proxy(
    header_lines: list[bytes], client: str
) -> None:
    assert find_client_address("10.0.0.1", header_lines, TRUSTED) == client


@pytest.mark.parametrize(
    "header_lines",
    [
        [],
        [b""],
        [b"unknown"],
        [b"203.0.113.7, "],
        [b"203.0.113.7, unknown"],
        [b"203.0.113.7, \xff\x00"],
        [b"203.0.113.7, 999.1.1.1"],
        [b"203.0.113.7 203.0.113.8"],
    ],
)
def test_a_hop_that_is_no_address_ends_the_walk_at_the_proxy(header_lines: list[bytes]) -> None:
    assert find_client_address("10.0.0.1", header_lines, TRUSTED) == "10.0.0.1"


@pytest.mark.parametrize(
    ("peer", "trusted", "client"),
    [
        ("10.0.0.1", (), "10.0.0.1"),
        ("198.51.100.1", TRUSTED, "198.51.100.1"),
        ("::ffff:198.51.100.1", (), "198.51.100.1"),
        ("::ffff:10.0.0.1", TRUSTED, "203.0.113.7"),
        (None, TRUSTED, None),
    ],
)
def test_the_header_is_believed_from_a_configured_proxy_alone(
    peer: str | None, trusted: tuple[Network, ...], client: str | None
) -> None:
    assert find_client_address(peer, [b"203.0.113.7"], trusted) == client


@pytest.mark.parametrize("blank", [b"\xa0", b"\x85", b"\x1c", b"\x0b"])
def test_only_spaces_and_tabs_stand_around_a_forwarded_address(blank: bytes) -> None:
    assert find_client_address("10.0.0.1", [b" \t203.0.113.7\t "], TRUSTED) == "203.0.113.7"
    assert find_client_address("10.0.0.1", [blank + b"203.0.113.7"], TRUSTED) == "10.0.0.1"


@given(lines=st.lists(st.binary(max_size=60), max_size=4))
def test_no_header_line_breaks_the_walk(lines: list[bytes]) -> None:
    assert find_client_address("10.0.0.1", lines, TRUSTED)


@pytest.mark.parametrize(
    ("user_agent", "is_prefetched", "is_proxy"),
    [
        ("Mozilla/5.0", True, False),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15", False, False),
        (
            "Mozilla/5.0 (Windows NT 5.1) Firefox/11.0 (via ggpht.com GoogleImageProxy)",
            False,
            True,
        ),
        ("YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html", False, True),
        ("mozilla/5.0", False, False),
    ],
)
def test_a_user_agent_tells_prefetchers_and_image_proxies(
    *, user_agent: str, is_prefetched: bool, is_proxy: bool
) -> None:
    known = {"is_prefetched": is_prefetched, "is_proxy": is_proxy}
    assert parse_user_agent(user_agent) == known
    assert parse_user_agent(None) == {}


@given(value=st.binary(max_size=8_192))
def test_a_header_is_cut_and_can_always_be_stored(value: bytes) -> None:
    assert decode_header(b"a\xffb") == "a\ufffdb"
    text = decode_header(value) or ""
    assert len(text) <= 1_024
    text.encode("utf-8")
