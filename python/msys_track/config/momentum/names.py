"""Which of Momentum's stanzas and options mean something here, and where each goes in our file.

`docs/ecelerity.md` says the same in words.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

from msys_track.config.document import KeyPath
from msys_track.config.momentum.stanzas import Array, Text, Value

ValueReader: TypeAlias = Callable[[Value], object]
"""Makes a member's value; it passes on what it can't read, for the check to report."""

_BOOLEANS: Final = {
    **dict.fromkeys(("true", "yes", "on", "enabled", "1"), True),
    **dict.fromkeys(("false", "no", "off", "disabled", "0"), False),
}
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,18}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StanzaKind:
    """A kind of stanza: where its options go, and what may stand in it."""

    name: str
    table: KeyPath
    """Its table, below the one of the stanza around it."""
    is_top: bool = False
    """Whether its table is at the top of our file although the stanza is not."""
    instance: str = ""
    """The meaning of its instance, such as `address:port`; the table's last name. Empty: it has
    none."""
    options: Mapping[str, tuple[KeyPath, ValueReader]] = field(default_factory=dict)
    """By name: the path below the table, and what reads the value."""
    inner: Mapping[str, "StanzaKind"] = field(default_factory=dict)
    is_ours: bool = False
    """Whether Momentum does not know it, so that an unknown option is a mistake."""


def read_text(value: Value) -> object:
    """Read a value as a text, or a list or dictionary of texts."""
    if isinstance(value, Text):
        return value.text
    if isinstance(value, Array):
        return [read_text(each) for each in value.values]
    return {option.written: read_text(option.value) for option in value.options}


def read_texts(value: Value) -> object:
    """Read a value as a list of texts; a text alone is a list of one."""
    given = read_text(value)
    return [given] if isinstance(given, str) else given


def read_boolean(value: Value) -> object:
    """Read a boolean in any of the forms that Momentum's own files have."""
    given = read_text(value)
    return _BOOLEANS.get(given.lower(), given) if isinstance(given, str) else given


def read_integer(value: Value) -> object:
    """Read a whole number, with quotes or without."""
    given = read_text(value)
    return int(given) if isinstance(given, str) and _INTEGER.fullmatch(given) else given


def _read_as(reader: ValueReader, *names: str) -> dict[str, tuple[KeyPath, ValueReader]]:
    return {name: ((name,), reader) for name in names}


_ENABLED: Final = dict.fromkeys(("enable", "enabled"), (("enabled",), read_boolean))

TRACKING: Final = {
    **_read_as(read_boolean, "open_tracking_enabled", "click_tracking_enabled"),
    **_read_as(read_text, "open_tracking_scheme", "click_tracking_scheme", "tracking_domain"),
    **_read_as(read_integer, "tracking_link_expiry"),
}
TRACKING_SCOPES: Final = "ESMTP_Listener, Listen, Peer, pathway or pathway_group"

ENGAGEMENT: Final = {
    **_read_as(read_boolean, "click_tracking_include_metadata"),
    **_read_as(read_integer, "max_metadata_len"),
    # The manual uses this name once.
    "click_track_include_metadata": (("click_tracking_include_metadata",), read_boolean),
}

OURS: Final = {
    **_read_as(read_boolean, "initial_open_pixel_tracking", "click_tracking_text"),
    **_read_as(read_boolean, "outlook_links", "keep_link_attributes", "keep_x_msys_api"),
    **_read_as(read_boolean, "fold_long_lines", "foreign_opt_outs", "spare_url_text"),
    **_read_as(read_boolean, "strip_text_options", "allow_downgrade"),
    **_read_as(read_boolean, "unescape_curly_macros", "add_message_id", "keep_messages"),
    **_read_as(read_text, "signed_mail", "never_wrap", "pixel_placeholder", "privacy"),
    **_read_as(read_text, "list_unsubscribe", "list_unsubscribe_mailto"),
}
"""Options of a scope that Momentum lacks."""

_OF_PATHWAYS: Final = {**TRACKING, **OURS, **_read_as(read_text, "context")}
CONNECTION_OPTIONS: Final = {**_OF_PATHWAYS, **_read_as(read_text, "pathway")}
"""The options of a listener, a `Listen` or a `Peer`."""

_PEER: Final = StanzaKind(
    name="peer", table=("peer",), instance="network", options=CONNECTION_OPTIONS
)
_LISTEN: Final = StanzaKind(
    name="listen",
    table=("listen",),
    is_top=True,
    instance="address:port",
    options={**CONNECTION_OPTIONS, **_ENABLED},
    inner={"peer": _PEER},
)
_PATHWAY: Final = StanzaKind(
    name="pathway", table=("pathway",), instance="name", options=_OF_PATHWAYS
)
_SCRIPT: Final = StanzaKind(
    name="script", table=("script",), instance="name", options=_read_as(read_text, "source")
)

_OF_PROXY: Final[Mapping[str, ValueReader]] = {
    "networks": read_texts,
    "auth_users": read_text,
    "auth_passthrough": read_boolean,
    "tls_certificate": read_text,
    "tls_key": read_text,
    "tls_required": read_boolean,
    "proxy_protocol_from": read_texts,
    "xclient_from": read_texts,
    "received_header": read_boolean,
    "upstream_tls": read_text,
    "upstream_tls_verify": read_boolean,
    "upstream_tls_ca_file": read_text,
}
"""Options of our own stanza that have the same names in `[proxy]`."""

_STANZAS: Final = (
    StanzaKind(
        name="esmtp_listener",
        table=("listener",),
        options={**CONNECTION_OPTIONS, **_ENABLED},
        inner={"listen": _LISTEN, "peer": replace(_PEER, is_top=True)},
    ),
    _PATHWAY,
    StanzaKind(
        name="pathway_group",
        table=("pathway_group",),
        instance="name",
        options=_OF_PATHWAYS,
        inner={"pathway": _PATHWAY},
    ),
    StanzaKind(name="engagement_tracker", table=("engagement_tracker",), options=ENGAGEMENT),
    StanzaKind(name="smtpapi", table=("smtpapi",), options=_ENABLED),
    StanzaKind(
        name="scriptlet", table=("scriptlet",), options=_ENABLED, inner={"script": _SCRIPT}
    ),
    StanzaKind(
        name="msys_track",
        table=(),
        is_ours=True,
        options={
            "keys": (("keys",), read_text),
            "upstream": (("proxy", "upstream"), read_text),
            "store": (("tracker", "store"), read_text),
            "tracker_listen": (("tracker", "listen"), read_text),
            "open_relay": (("proxy", "open_relay"), read_boolean),
            "unknown_links": (("tracker", "unknown_links"), read_text),
            "policy_on_failure": (("policy", "on_failure"), read_text),
            **{name: (("proxy", name), reader) for name, reader in _OF_PROXY.items()},
        },
    ),
)

OF_DELIVERY: Final[Mapping[str, tuple[str, Mapping[str, object]]]] = {
    "tls": (
        "upstream_tls",
        {"no": "none", "false": "none", "ifavailable": "opportunistic", "required": "require"},
    ),
    "tls_verify": (
        "upstream_tls_verify",
        {"no": False, "optional": False, "ca": True, "host": True},
    ),
    "tls_ca": ("upstream_tls_ca_file", {}),
}
"""Global options about TLS to the next hop: the key of `[proxy]`, and what becomes of a value."""

GLOBAL: Final = StanzaKind(
    name="",
    table=(),
    options=_read_as(read_text, "gateway", *OF_DELIVERY)
    | _read_as(read_integer, "remote_smtp_port"),
    inner={scope.name: scope for scope in _STANZAS},
)

HOMES: Final[Mapping[str, str]] = {
    **dict.fromkeys(GLOBAL.inner, "the global scope"),
    "listen": "ESMTP_Listener",
    "peer": "ESMTP_Listener or Listen",
    "pathway": "the global scope or pathway_group",
    "script": "scriptlet",
}
"""Where each stanza that has a meaning here belongs."""

HINTS: Final[Mapping[KeyPath, str]] = {
    ("proxy", "upstream"): 'an upstream is needed: write Gateway = "host" or '
    'msys_track { upstream = "host:port" }, or give --upstream host:port',
    ("tracker", "store"): 'write msys_track { store = "events.sqlite" }',
}
"""What to write for a key of ours that is missing."""

LOADED_BY_ITSELF: Final = ("cassandra_client", "substitution_engine", "httpsrv", "alerting")
"""Stanzas that `smtpapi` and `scriptlet` need in Momentum, but not here."""

EVERY_MODULE: Final = ("enabled", "debug_level")
"""Options that each of Momentum's modules has."""
