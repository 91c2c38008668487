"""The keys of policy, proxy and tracker: their rooms' settings, each with a name for the file."""

from collections.abc import Mapping
from typing import Final

from msys_track.config.schema import kinds
from msys_track.config.schema.addresses import LISTEN, NETWORK, UPSTREAM
from msys_track.config.schema.key import Key
from msys_track.config.schema.kinds import FILE_NAME, HEADER_TEXT, HOSTNAME, SWITCH, Kind
from msys_track.injection.settings import ProxySettings
from msys_track.policy.loading import PolicySettings
from msys_track.relay.settings import UpstreamSettings
from msys_track.tracking.settings import TrackerSettings

_COUNT: Final = kinds.whole_number()
_BYTES: Final = kinds.whole_number(highest=2**62, unit="bytes, ")
_SMALL_BYTES: Final = kinds.whole_number(unit="bytes, ")
_BYTES_OR_NONE: Final = kinds.whole_number(lowest=0, unit="bytes, ")
_LUA_MEMORY: Final = kinds.whole_number(lowest=1 << 20, highest=2**62, unit="bytes, ")
_SECONDS: Final = kinds.seconds(highest=86_400)
_LUA_SECONDS: Final = kinds.seconds(highest=60)


def _policy(field: str, kind: Kind, text: str) -> Key:
    return Key(settings=PolicySettings, fields=(field,), kind=kind, text=text)


def _proxy(field: str, kind: Kind, text: str) -> Key:
    return Key(settings=ProxySettings, fields=(field,), kind=kind, text=text)


def _upstream(field: str, kind: Kind, text: str) -> Key:
    return Key(settings=UpstreamSettings, fields=(field,), kind=kind, text=text)


def _tracker(field: str, kind: Kind, text: str) -> Key:
    return Key(settings=TrackerSettings, fields=(field,), kind=kind, text=text)


POLICY: Final[Mapping[str, Key]] = {
    "files": _policy(
        "files",
        kinds.array(FILE_NAME, 'names of files as in ["policy.lua"]'),
        "policies in Python (`.py`) or Lua (`.lua`), asked in this order",
    ),
    "on_failure": _policy(
        "on_failure",
        kinds.choice("continue", "refuse"),
        "mail whose policy fails goes on without it, or is answered 451",
    ),
    "lua_sandbox": _policy("lua_sandbox", SWITCH, "keep files and processes from Lua"),
    "timeout_seconds": _policy(
        "timeout_seconds", _LUA_SECONDS, "processor time of one hook of one Lua file"
    ),
    "max_memory_bytes": _policy("max_memory_bytes", _LUA_MEMORY, "what one Lua file may hold"),
}
PROXY: Final[Mapping[str, Key]] = {
    "listen": Key(
        settings=ProxySettings,
        fields=("listen_host", "listen_port"),
        kind=LISTEN,
        text="where mail is taken; no default where there are `[listen]` tables",
    ),
    "unprotected": _proxy(
        "unprotected",
        SWITCH,
        "something else, such as a firewall, protects the addresses that are not loopback; needed "
        "where `ecelerity.conf` asks for AUTH, TLS or relay rules, which are not enforced yet",
    ),
    "hostname": _proxy("hostname", HOSTNAME, "our name in the greeting"),
    "max_message_bytes": _proxy("max_message_bytes", _BYTES, "largest message"),
    "size_margin_bytes": _proxy(
        "size_margin_bytes",
        _BYTES_OR_NONE,
        "how far our announced size stays below the upstream's, for what tracking adds",
    ),
    "max_recipients": _proxy("max_recipients", _COUNT, "recipients of one message"),
    "max_connections": _proxy("max_connections", _COUNT, "clients at one time"),
    "max_bytes_in_flight": _proxy(
        "max_bytes_in_flight", _BYTES, "all messages under way, copies included"
    ),
    "idle_timeout_seconds": _proxy(
        "idle_timeout_seconds", _SECONDS, "how long a client may be silent"
    ),
    "drain_seconds": _proxy(
        "drain_seconds", _SECONDS, "how long stopping waits for messages under way"
    ),
    "upstream": Key(
        settings=UpstreamSettings,
        fields=("host", "port"),
        kind=UPSTREAM,
        text="where mail goes on to",
        example="127.0.0.1:25",
        is_required=True,
    ),
    "upstream_ehlo_name": Key(
        settings=UpstreamSettings,
        fields=("ehlo_name",),
        kind=HOSTNAME,
        text="what we call ourselves there",
        example="proxy.example.com",
        unset="our address",
    ),
    "upstream_max_connections": _upstream(
        "max_connections", _COUNT, "connections open at one time"
    ),
    "upstream_connect_timeout_seconds": _upstream(
        "connect_timeout_seconds",
        _SECONDS,
        "for the TCP connection; a client's EHLO waits no longer for the upstream's",
    ),
    "upstream_reply_timeout_seconds": _upstream(
        "reply_timeout_seconds", _SECONDS, "for the answers to one group of commands"
    ),
    "upstream_data_timeout_seconds": _upstream(
        "data_timeout_seconds", _SECONDS, "for the answer to a message"
    ),
    "upstream_pool_wait_seconds": _upstream(
        "pool_wait_seconds", _SECONDS, "how long a message waits for a free connection"
    ),
    "upstream_idle_seconds": _upstream(
        "idle_seconds", _SECONDS, "an unused connection is closed after this time"
    ),
}
TRACKER: Final[Mapping[str, Key]] = {
    "listen": Key(
        settings=TrackerSettings,
        fields=("listen_host", "listen_port"),
        kind=LISTEN,
        text="where links are answered",
    ),
    "store": Key(
        settings=TrackerSettings,
        fields=("store",),
        kind=FILE_NAME,
        text="the SQLite file that takes the events; made if it is not there",
        example="events.sqlite",
        is_required=True,
    ),
    "server_name": _tracker("server_name", HEADER_TEXT, "the `Server` header"),
    "expired": _tracker(
        "expired",
        kinds.choice("redirect", "gone"),
        "a click past the link's time still leads to its target, or gets 410",
    ),
    "unsubscribe_also_click": _tracker(
        "unsubscribe_also_click",
        SWITCH,
        "a link that unsubscribes leaves a `click` beside its `link_unsubscribe`",
    ),
    "trusted_proxies": _tracker(
        "trusted_proxies",
        kinds.array(NETWORK, NETWORK.allowed),
        "clients whose `X-Forwarded-For` is believed",
    ),
    "max_connections": _tracker("max_connections", _COUNT, "open connections"),
    "max_request_line_bytes": _tracker(
        "max_request_line_bytes", _SMALL_BYTES, "longest request target"
    ),
    "max_header_bytes": _tracker(
        "max_header_bytes", _SMALL_BYTES, "all header fields of a request"
    ),
    "max_headers": _tracker("max_headers", _COUNT, "header fields of a request"),
    "max_body_bytes": _tracker(
        "max_body_bytes", _BYTES_OR_NONE, "a body is thrown away up to here"
    ),
    "max_pipelined_requests": _tracker(
        "max_pipelined_requests", _COUNT, "requests answered from one read"
    ),
    "idle_timeout_seconds": _tracker(
        "idle_timeout_seconds", _SECONDS, "a connection without a request is closed after this"
    ),
    "request_timeout_seconds": _tracker(
        "request_timeout_seconds", _SECONDS, "for one whole request to arrive"
    ),
    "close_timeout_seconds": _tracker(
        "close_timeout_seconds", _SECONDS, "how long stopping waits for requests under way"
    ),
}
