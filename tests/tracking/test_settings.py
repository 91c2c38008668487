"""Settings that no tracker could work with are refused in the words an operator wrote."""

from pathlib import Path
from typing import Any

import pytest

from msys_track.errors import SettingsError
from msys_track.smtp.address import Address
from msys_track.tracking.settings import TrackerSettings


def test_only_the_store_has_no_default() -> None:
    assert TrackerSettings(store=Path("events.sqlite")).listen_host == "127.0.0.1"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"listen_port": 65_536}, 'listen_host, listen_port: found "127.0.0.1:65536", allowed: '),
        ({"listen_port": -1}, 'found "127.0.0.1:-1", allowed: host:port'),
        ({"listen_host": ""}, 'found ":8080", allowed: host:port'),
        ({"server_name": "a\r\nSet-Cookie: b"}, "server_name: .* printable ASCII"),
        ({"server_name": "\xfc"}, "server_name: .* printable ASCII"),
        ({"max_connections": 0}, "max_connections: found 0, allowed: a whole number from 1 to"),
        ({"max_headers": True}, "max_headers: found true"),
        ({"idle_timeout_seconds": 0}, "idle_timeout_seconds: found 0, allowed: seconds, a number"),
        ({"request_timeout_seconds": float("nan")}, "request_timeout_seconds: found NaN"),
        ({"unknown_links": "https://old.test/"}, "unknown_links: .* without a path"),
        ({"unknown_links": "https://old.test/t"}, "unknown_links: found "),
        ({"unknown_links": "https://me@old.test"}, "unknown_links: found "),
        ({"unknown_links": "https://old.test?x"}, "unknown_links: found "),
        ({"unknown_links": "https://old.test\r\nA: b"}, "unknown_links: found "),
        ({"unknown_links": "https://old.test\n"}, "unknown_links: found "),
        ({"unknown_links": "https://old.test:0"}, "unknown_links: found "),
        ({"unknown_links": "https://[::g]"}, "unknown_links: found "),
        ({"unknown_links": "https://b\xfccher.test"}, "unknown_links: found "),
        ({"unknown_links": "//old.test"}, "unknown_links: found "),
        ({"unknown_links": "javascript://old.test"}, "unknown_links: found "),
        ({"unknown_links": ""}, "unknown_links: found "),
        ({"trusted_proxies": ["10.0.0.0/8"]}, "trusted_proxies: found "),
    ],
)
def test_an_impossible_value_names_itself_and_what_is_allowed(
    values: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        TrackerSettings(store=Path("events.sqlite"), **values)


@pytest.mark.parametrize(
    "value",
    ["refuse", "http://old.test", "https://old.test:8443", "https://[2001:db8::1]:443"],
)
def test_unknown_links_are_refused_or_go_to_an_origin(value: str) -> None:
    settings = TrackerSettings(store=Path("events.sqlite"), unknown_links=value)
    assert settings.unknown_links == value


def test_one_address_is_not_for_tls_and_for_plain_text() -> None:
    settings = TrackerSettings(
        store=Path("events.sqlite"),
        listen_port=8443,
        listen_tls=(Address("127.0.0.1", 443), Address("127.0.0.1", 8443)),
        tls_certificate=Path("fullchain.pem"),
    )
    with pytest.raises(SettingsError, match=r"listen_tls: 127\.0\.0\.1:8443 is in listen too"):
        settings.check_conflicts()
