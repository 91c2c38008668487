"""Addresses as text: what configurations, replies and logs show."""

import pytest

from msys_track.smtp.address import Address


@pytest.mark.parametrize(
    ("host", "written"),
    [("127.0.0.1", "127.0.0.1:25"), ("mx.example.com", "mx.example.com:25"), ("::1", "[::1]:25")],
)
def test_only_an_ipv6_host_stands_in_brackets(host: str, written: str) -> None:
    assert str(Address(host, 25)) == written
