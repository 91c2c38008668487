"""The tables and keys of a configuration file: which setting each sets and what it may hold.

`docs/configuration.md` says the same in words; a test compares them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from msys_track.config import kinds
from msys_track.config.kinds import Kind
from msys_track.injection.settings import ProxySettings
from msys_track.options.tracking import TrackingOptions
from msys_track.relay.settings import UpstreamSettings
from msys_track.tracking.settings import TrackerSettings


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a table."""

    settings: type
    """The dataclass that it sets."""
    fields: tuple[str, ...]
    """Its fields there: two where one value has two parts, as an address has."""
    kind: Kind
    is_required: bool = False


_COUNT: Final = kinds.whole_number()
_COUNT_OR_NONE: Final = kinds.whole_number(lowest=0)
_BYTES: Final = kinds.whole_number(highest=2**62)
_LISTEN: Final = kinds.address(lowest_port=0)
_UPSTREAM: Final = kinds.address(lowest_port=1)


def _tracking(field: str) -> Key:
    return Key(TrackingOptions, (field,), kinds.tracking_option(field))


def _proxy(field: str, kind: Kind) -> Key:
    return Key(ProxySettings, (field,), kind)


def _upstream(field: str, kind: Kind) -> Key:
    return Key(UpstreamSettings, (field,), kind)


def _tracker(field: str, kind: Kind) -> Key:
    return Key(TrackerSettings, (field,), kind)


# Momentum's names, so that a listener's options can be moved here as they are.
_LISTENER: Final[Mapping[str, Key]] = {
    "open_tracking_enabled": _tracking("open_tracking"),
    "click_tracking_enabled": _tracking("click_tracking"),
    "open_tracking_scheme": _tracking("open_tracking_scheme"),
    "click_tracking_scheme": _tracking("click_tracking_scheme"),
    "tracking_domain": _tracking("tracking_domain"),
    "tracking_link_expiry": _tracking("tracking_link_expiry_seconds"),
}
_ENGAGEMENT_TRACKER: Final[Mapping[str, Key]] = {
    "click_tracking_include_metadata": _tracking("click_tracking_include_metadata"),
    "max_metadata_len": _tracking("max_metadata_bytes"),
}
_PROXY: Final[Mapping[str, Key]] = {
    "listen": Key(ProxySettings, ("listen_host", "listen_port"), _LISTEN),
    "hostname": _proxy("hostname", kinds.hostname),
    "max_message_bytes": _proxy("max_message_bytes", _BYTES),
    "size_margin_bytes": _proxy("size_margin_bytes", _COUNT_OR_NONE),
    "max_recipients": _proxy("max_recipients", _COUNT),
    "max_connections": _proxy("max_connections", _COUNT),
    "max_bytes_in_flight": _proxy("max_bytes_in_flight", _BYTES),
    "idle_timeout_seconds": _proxy("idle_timeout_seconds", kinds.seconds),
    "drain_seconds": _proxy("drain_seconds", kinds.seconds),
    "upstream": Key(UpstreamSettings, ("host", "port"), _UPSTREAM, is_required=True),
    "upstream_ehlo_name": _upstream("ehlo_name", kinds.hostname),
    "upstream_max_connections": _upstream("max_connections", _COUNT),
    "upstream_connect_timeout_seconds": _upstream("connect_timeout_seconds", kinds.seconds),
    "upstream_reply_timeout_seconds": _upstream("reply_timeout_seconds", kinds.seconds),
    "upstream_data_timeout_seconds": _upstream("data_timeout_seconds", kinds.seconds),
    "upstream_pool_wait_seconds": _upstream("pool_wait_seconds", kinds.seconds),
    "upstream_idle_seconds": _upstream("idle_seconds", kinds.seconds),
}
_TRACKER: Final[Mapping[str, Key]] = {
    "listen": Key(TrackerSettings, ("listen_host", "listen_port"), _LISTEN),
    "store": Key(TrackerSettings, ("store",), kinds.file_name, is_required=True),
    "server_name": _tracker("server_name", kinds.header_text),
    "trusted_proxies": _tracker("trusted_proxies", kinds.networks),
    "max_connections": _tracker("max_connections", _COUNT),
    "max_request_line_bytes": _tracker("max_request_line_bytes", _COUNT),
    "max_header_bytes": _tracker("max_header_bytes", _COUNT),
    "max_headers": _tracker("max_headers", _COUNT),
    "max_body_bytes": _tracker("max_body_bytes", _COUNT_OR_NONE),
    "max_pipelined_requests": _tracker("max_pipelined_requests", _COUNT),
    "idle_timeout_seconds": _tracker("idle_timeout_seconds", kinds.seconds),
    "request_timeout_seconds": _tracker("request_timeout_seconds", kinds.seconds),
    "close_timeout_seconds": _tracker("close_timeout_seconds", kinds.seconds),
}

TABLES: Final[Mapping[str, Mapping[str, Key]]] = {
    "listener": _LISTENER,
    "engagement_tracker": _ENGAGEMENT_TRACKER,
    "proxy": _PROXY,
    "tracker": _TRACKER,
}
