"""Which of Momentum's stanzas and options mean something here, and where each goes in our file.

`docs/ecelerity.md` says the same in words.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from msys_track.config.document import KeyPath
from msys_track.config.momentum.stanzas import Array, Text, Value

Reader: TypeAlias = Callable[[Value], object]
"""Makes a member's value; what it can't make anything of it passes on for the check to find."""

_TRUE: Final = frozenset({"true", "yes", "on", "enabled", "1"})
_FALSE: Final = frozenset({"false", "no", "off", "disabled", "0"})
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,18}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """A kind of stanza: where its options go, and what may stand in it."""

    name: str
    table: KeyPath
    """Its table, below the one of the stanza around it."""
    is_top: bool = False
    """Whether its table stands at the top although the stanza does not."""
    instance: str = ""
    """What its instance is, such as `address:port`; the table's last name. Empty: it has none."""
    options: Mapping[str, tuple[KeyPath, Reader]] = field(default_factory=dict)
    """By name: the path below the table, and what reads the value."""
    inner: Mapping[str, "Scope"] = field(default_factory=dict)
    is_ours: bool = False
    """Whether Momentum does not know it, so that an unknown option is a mistake."""


def plain(value: Value) -> object:
    """Read a value as text, list or dictionary of texts."""
    if isinstance(value, Text):
        return value.text
    if isinstance(value, Array):
        return [plain(each) for each in value.values]
    return {option.written: plain(option.value) for option in value.options}


def boolean(value: Value) -> object:
    """Read a boolean in any of the forms that Momentum's own files have."""
    text = value.text.lower() if isinstance(value, Text) else ""
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    return plain(value)


def integer(value: Value) -> object:
    """Read a whole number, with quotes or without."""
    given = plain(value)
    return int(given) if isinstance(given, str) and _INTEGER.fullmatch(given) else given


def _same(names: Mapping[str, Reader]) -> dict[str, tuple[KeyPath, Reader]]:
    return {name: ((name,), reader) for name, reader in names.items()}


_ENABLED: Final = dict.fromkeys(("enable", "enabled"), (("enabled",), boolean))

TRACKING: Final = _same(
    {
        "open_tracking_enabled": boolean,
        "click_tracking_enabled": boolean,
        "open_tracking_scheme": plain,
        "click_tracking_scheme": plain,
        "tracking_domain": plain,
        "tracking_link_expiry": integer,
    }
)
TRACKING_SCOPES: Final = "ESMTP_Listener, Listen, Peer, pathway or pathway_group"

ENGAGEMENT: Final = {
    **_same({"click_tracking_include_metadata": boolean, "max_metadata_len": integer}),
    # The manual's page calls it so once.
    "click_track_include_metadata": (("click_tracking_include_metadata",), boolean),
}

OURS: Final = _same(
    {
        "initial_open_pixel_tracking": boolean,
        "click_tracking_text": boolean,
        "outlook_links": boolean,
        "keep_link_attributes": boolean,
        "keep_x_msys_api": boolean,
        "signed_mail": plain,
        "never_wrap": plain,
    }
)
"""Options of a scope that Momentum lacks."""

_PATHWAY_OPTIONS: Final = {**TRACKING, **OURS, **_same({"context": plain})}
CONNECTION_OPTIONS: Final = {**_PATHWAY_OPTIONS, **_same({"pathway": plain})}
"""What a listener, a `Listen` or a `Peer` may say."""

_PEER: Final = Scope(name="peer", table=("peer",), instance="network", options=CONNECTION_OPTIONS)
_LISTEN: Final = Scope(
    name="listen",
    table=("listen",),
    is_top=True,
    instance="address:port",
    options={**CONNECTION_OPTIONS, **_ENABLED},
    inner={"peer": _PEER},
)
_PATHWAY: Final = Scope(
    name="pathway", table=("pathway",), instance="name", options=_PATHWAY_OPTIONS
)
_SCRIPT: Final = Scope(
    name="script", table=("script",), instance="name", options=_same({"source": plain})
)

_STANZAS: Final = (
    Scope(
        name="esmtp_listener",
        table=("listener",),
        options={**CONNECTION_OPTIONS, **_ENABLED},
        inner={
            "listen": _LISTEN,
            "peer": Scope(
                name="peer",
                table=("peer",),
                is_top=True,
                instance="network",
                options=CONNECTION_OPTIONS,
            ),
        },
    ),
    _PATHWAY,
    Scope(
        name="pathway_group",
        table=("pathway_group",),
        instance="name",
        options=_PATHWAY_OPTIONS,
        inner={"pathway": _PATHWAY},
    ),
    Scope(name="engagement_tracker", table=("engagement_tracker",), options=ENGAGEMENT),
    Scope(name="smtpapi", table=("smtpapi",), options=_ENABLED),
    Scope(name="scriptlet", table=("scriptlet",), options=_ENABLED, inner={"script": _SCRIPT}),
    Scope(
        name="msys_track",
        table=(),
        is_ours=True,
        options={
            "keys": (("keys",), plain),
            "upstream": (("proxy", "upstream"), plain),
            "store": (("tracker", "store"), plain),
            "tracker_listen": (("tracker", "listen"), plain),
            "unprotected": (("proxy", "unprotected"), boolean),
        },
    ),
)

GLOBAL: Final = Scope(
    name="",
    table=(),
    options={**_same({"gateway": plain, "remote_smtp_port": integer})},
    inner={scope.name: scope for scope in _STANZAS},
)

HOMES: Final[Mapping[str, str]] = {
    **dict.fromkeys(GLOBAL.inner, "the global scope"),
    "listen": "ESMTP_Listener",
    "peer": "ESMTP_Listener or Listen",
    "pathway": "the global scope or pathway_group",
    "script": "scriptlet",
}
"""Where each stanza stands that means something here."""

HINTS: Final[Mapping[KeyPath, str]] = {
    ("proxy", "upstream"): 'mail that is taken must go on: write Gateway = "host" or '
    'msys_track { upstream = "host:port" }, or give --upstream host:port',
    ("tracker", "store"): 'write msys_track { store = "events.sqlite" }',
}
"""What to write where a key of ours is missing."""

LOADED_BY_ITSELF: Final = frozenset(
    {"cassandra_client", "substitution_engine", "httpsrv", "alerting"}
)
"""Stanzas of what `smtpapi` and `scriptlet` need in Momentum; we need none of it."""

EVERY_MODULE: Final = frozenset({"enabled", "debug_level"})
"""Options that each of Momentum's modules has."""
