"""Settings that no tracker could work with are refused in the words an operator wrote."""

from pathlib import Path
from typing import Any

import pytest

from msys_track.errors import SettingsError
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
        ({"trusted_proxies": ["10.0.0.0/8"]}, "trusted_proxies: found "),
    ],
)
def test_an_impossible_value_names_itself_and_what_is_allowed(
    values: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        TrackerSettings(store=Path("events.sqlite"), **values)
