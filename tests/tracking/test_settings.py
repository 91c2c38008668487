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
        ({"listen_port": 65_536}, "listen port 65536: give 0 to 65535"),
        ({"listen_port": -1}, "listen port -1: give 0 to 65535"),
        ({"server_name": "a\r\nSet-Cookie: b"}, "server_name .* printable ASCII"),
        ({"server_name": "\xfc"}, "server_name .* printable ASCII"),
        ({"max_connections": 0}, "max_connections 0: give 1 or more"),
        ({"max_headers": -5}, "max_headers -5: give 1 or more"),
        ({"idle_timeout_seconds": 0}, "idle_timeout_seconds 0: give more than 0"),
        ({"request_timeout_seconds": float("nan")}, "request_timeout_seconds nan"),
    ],
)
def test_an_impossible_value_names_itself_and_what_is_allowed(
    values: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        TrackerSettings(store=Path("events.sqlite"), **values)
