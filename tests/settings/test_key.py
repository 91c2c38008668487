"""A setting is stated once, at its field: what a program may give is what a file may have."""

from pathlib import Path
from typing import Any

import pytest

from msys_track.errors import SettingsError
from msys_track.injection.settings import ProxySettings
from msys_track.options.tracking import TrackingOptions
from msys_track.policy.loading import PolicySettings
from msys_track.relay.settings import UpstreamSettings
from msys_track.settings.key import list_keys


@pytest.mark.parametrize(
    ("settings", "values", "message"),
    [
        (ProxySettings, {"max_recipients": 0}, "proxy: max_recipients: found 0, allowed: a whole"),
        (ProxySettings, {"listen_host": "a b"}, 'listen_port: found "a b:2525", allowed: host:po'),
        (ProxySettings, {"listen_host": "a\u00a0b"}, 'found "a\u00a0b:2525", allowed: host'),
        (
            UpstreamSettings,
            {"port": 0},
            'host, port, protocol: found "127.0.0.1:0", allowed: host:port as',
        ),
        (UpstreamSettings, {"ehlo_name": "é"}, 'ehlo_name: found "é", allowed: a host name'),
        (PolicySettings, {"files": (Path(),), "timeout_seconds": 61}, "at most 60"),
        (TrackingOptions, {"open_tracking_scheme": "HTTPS"}, 'found "HTTPS"; write "https"'),
        (TrackingOptions, {"never_wrap": ("a*", "")}, 'never_wrap: found "", allowed: patterns'),
        (
            TrackingOptions,
            {"never_wrap": ["a*"]},
            'never_wrap: found ["a*"], a list; give a tuple',
        ),
        (ProxySettings, {"hostname": None}, "hostname: found None, allowed: a host name"),
        (UpstreamSettings, {"host": None}, "host, port, protocol: found None, allowed: host:port"),
        (TrackingOptions, {"never_wrap": "a*"}, "allowed: an array of patterns"),
    ],
)
def test_a_wrong_value_is_refused_with_its_field_and_what_is_allowed(
    settings: type, values: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        settings(**values)
    assert message in str(caught.value)


def test_every_fault_is_told_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        ProxySettings(max_connections=-1, drain_seconds=0)
    assert len(str(caught.value).splitlines()) == 2


def test_a_key_knows_its_field_and_its_default() -> None:
    keys = list_keys(UpstreamSettings)
    assert keys["upstream_ehlo_name"].fields == ("ehlo_name",)
    assert keys["upstream_ehlo_name"].default is None
    assert keys["upstream_idle_seconds"].default == 30
    assert list_keys(ProxySettings)["listen"].default == "127.0.0.1:2525"
