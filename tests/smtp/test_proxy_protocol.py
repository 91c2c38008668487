"""The PROXY protocol: both versions, read byte by byte and never beyond the header."""

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msys_track.smtp.address import Address
from msys_track.smtp.proxy_protocol import (
    MAX_BYTES,
    ProxyHeader,
    ProxyHeaderError,
    read_proxy_header,
)

V1 = b"PROXY TCP4 192.0.2.7 198.51.100.1 51234 25\r\n"
CLIENT, LISTEN = Address("192.0.2.7", 51234), Address("198.51.100.1", 25)
_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def make_v2(
    addresses: bytes, *, family: int = 0x11, command: int = 0x21, vectors: bytes = b""
) -> bytes:
    """Write a header of version 2."""
    following = addresses + vectors
    return _SIGNATURE + struct.pack("!BBH", command, family, len(following)) + following


def make_vector(kind: int, value: bytes) -> bytes:
    """Write a type-length-value vector."""
    return struct.pack("!BH", kind, len(value)) + value


V2_ADDRESSES = (
    socket.inet_aton("192.0.2.7")
    + socket.inet_aton("198.51.100.1")
    + struct.pack("!HH", 51234, 25)
)
V2 = make_v2(V2_ADDRESSES)
V2_SIX = make_v2(
    socket.inet_pton(socket.AF_INET6, "2001:db8::7")
    + socket.inet_pton(socket.AF_INET6, "2001:db8::1")
    + struct.pack("!HH", 51234, 25),
    family=0x21,
)
HEADERS = (V1, V2, V2_SIX, b"PROXY UNKNOWN\r\n", make_v2(b"", family=0, command=0x20))


def read_whole(buffer: bytes) -> ProxyHeader:
    header = read_proxy_header(buffer)
    assert isinstance(header, ProxyHeader)
    return header


@pytest.mark.parametrize("wire", [V1, V2])
def test_both_versions_name_the_client_and_where_it_connected_to(wire: bytes) -> None:
    assert read_whole(wire) == ProxyHeader(length=len(wire), source=CLIENT, destination=LISTEN)


def test_version_1_has_ipv6_too() -> None:
    header = read_whole(b"PROXY TCP6 2001:DB8::7 2001:db8::1 51234 25\r\n")
    assert header.source == Address("2001:db8::7", 51234)


def test_version_2_has_ipv6_too() -> None:
    assert read_whole(V2_SIX).source == Address("2001:db8::7", 51234)


@pytest.mark.parametrize(
    "wire",
    [
        b"PROXY UNKNOWN\r\n",
        b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n",
        make_v2(V2_ADDRESSES, command=0x20),
        make_v2(b"", family=0x00),
        make_v2(V2_ADDRESSES, family=0x12),
        make_v2(b"/run/a".ljust(108, b"\0") + b"/run/b".ljust(108, b"\0"), family=0x31),
    ],
)
def test_a_connection_without_a_tcp_client_names_none(wire: bytes) -> None:
    assert read_whole(wire) == ProxyHeader(length=len(wire))


@pytest.mark.parametrize("wire", HEADERS)
def test_no_beginning_of_a_header_is_one_or_is_refused(wire: bytes) -> None:
    assert [read_proxy_header(wire[:length]) for length in range(len(wire))] == [None] * len(wire)
    assert read_whole(wire).length == len(wire)


@pytest.mark.parametrize("wire", HEADERS)
def test_what_follows_a_header_does_not_change_it(wire: bytes) -> None:
    assert read_proxy_header(wire + b"\x16\x03\x01PROXY ") == read_proxy_header(wire)


@pytest.mark.parametrize(
    ("wire", "why"),
    [
        (b"EHLO x\r\n", "does not begin"),
        (b"\x16\x03\x01\x02\x00", "does not begin"),
        (b"proxy TCP4 192.0.2.7 198.51.100.1 51234 25\r\n", "does not begin"),
        (b"PROXY  TCP4 192.0.2.7 198.51.100.1 51234 25\r\n", "malformed"),
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 51234 25 \r\n", "malformed"),
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 051234 25\r\n", "malformed"),
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 +1 25\r\n", "malformed"),
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 65536 25\r\n", "not a port"),
        (b"PROXY TCP4 192.0.2.256 198.51.100.1 1 25\r\n", "not an address of TCP4"),
        (b"PROXY TCP4 2001:db8::7 2001:db8::1 1 25\r\n", "not an address of TCP4"),
        (b"PROXY TCP6 192.0.2.7 198.51.100.1 1 25\r\n", "not an address of TCP6"),
        (b"PROXY UDP4 192.0.2.7 198.51.100.1 1 25\r\n", "malformed"),
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 51234 25\n", "no CRLF"),
        (b"PROXY UNKNOWN " + b"x" * 107, "no CRLF"),
        (make_v2(V2_ADDRESSES, command=0x31), "unknown version or command"),
        (make_v2(V2_ADDRESSES, command=0x22), "unknown version or command"),
        (make_v2(V2_ADDRESSES[:-1]), "too few"),
        (make_v2(V2_ADDRESSES, family=0x21), "too few"),
        (make_v2(V2_ADDRESSES, vectors=b"\x04"), "cut off"),
        (make_v2(V2_ADDRESSES, vectors=b"\x04\x00\x09abc"), "cut off"),
        (_SIGNATURE + struct.pack("!BBH", 0x21, 0x11, MAX_BYTES), "at most"),
    ],
)
def test_what_is_not_a_header_is_refused(wire: bytes, why: str) -> None:
    with pytest.raises(ProxyHeaderError, match=why):
        read_proxy_header(wire)


@pytest.mark.parametrize(("flags", "is_encrypted"), [(0x01, True), (0x07, True), (0x00, False)])
def test_version_2_says_whether_the_client_spoke_tls(flags: int, is_encrypted: bool) -> None:  # noqa: FBT001
    vectors = make_vector(0x04, b"\0" * 3) + make_vector(0x20, bytes([flags]) + bytes(4))
    assert read_whole(make_v2(V2_ADDRESSES, vectors=vectors)).is_encrypted is is_encrypted


@given(st.binary(max_size=200) | st.builds(lambda tail: V1[:30] + tail, st.binary(max_size=90)))
def test_no_bytes_break_the_reader(wire: bytes) -> None:
    try:
        header = read_proxy_header(wire)
    except ProxyHeaderError:
        return
    assert header is None or header.length <= len(wire)
