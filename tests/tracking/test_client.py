"""The client of a request: only configured proxies are trusted."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msys_track.settings.addresses import Network
from msys_track.tracking.client import decode_header, find_client_address

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


@given(value=st.binary(max_size=8_192))
def test_a_header_is_cut_and_can_always_be_stored(value: bytes) -> None:
    assert decode_header(b"a\xffb") == "a\ufffdb"
    text = decode_header(value) or ""
    assert len(text) <= 1_024
    text.encode("utf-8")
