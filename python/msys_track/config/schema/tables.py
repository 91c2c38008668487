"""The tables of a configuration file: which keys each has, and what it is for.

The check, `docs/configuration.md`, the starter file and the JSON Schema are made from these.
"""

from collections.abc import Mapping
from typing import Final

from msys_track.config.document import KeyPath
from msys_track.config.schema.key import Key, TopLevel
from msys_track.config.schema.kinds import KEYS, SWITCH
from msys_track.config.schema.scope_keys import ENGAGEMENT_TRACKER, SCOPE
from msys_track.config.schema.server_keys import POLICY, PROXY, TRACKER

__all__ = ["NESTED", "SCOPE", "TABLES", "TEXTS", "TOP", "TOP_LEVEL", "Key", "known_key"]

TOP: Final[Mapping[str, Key]] = {
    "keys": Key(
        settings=TopLevel,
        fields=("keys",),
        kind=KEYS,
        text="where the keys to seal and open links are; needed by `[proxy]` and `[tracker]`",
        example="keys.toml",
        unset="none",
        is_required=True,
    ),
    "smtpapi": Key(
        settings=TopLevel,
        fields=("smtpapi",),
        kind=SWITCH,
        text="whether X-MSYS-API means anything and anything is tracked",
    ),
}
"""Keys above all tables; `keys` is required where there is a server."""

TABLES: Final[Mapping[str, Mapping[str, Key]]] = {
    "listener": SCOPE,
    "engagement_tracker": ENGAGEMENT_TRACKER,
    "policy": POLICY,
    "proxy": PROXY,
    "tracker": TRACKER,
}

NESTED: Final[Mapping[str, tuple[str, ...]]] = {
    "listen": ("peer",),
    "peer": (),
    "pathway": (),
    "pathway_group": ("pathway",),
}
"""Tables of tables, one for each scope, and what such a table may hold beside `SCOPE`'s keys."""

TEXTS: Final[Mapping[str, str]] = {
    "listener": "What holds for every mail, whichever way it came in.",
    "engagement_tracker": "What links carry, from the moment that a mail is sent.",
    "policy": "Code of your own that is asked about each mail.",
    "proxy": "Takes mail over SMTP and hands it on: `msys-track proxy`.",
    "tracker": "Answers the links over HTTP: `msys-track tracker`.",
    "listen": "An address that mail comes in at.",
    "peer": "Clients of one network.",
    "pathway": "Mail that a scope or policy puts on this pathway.",
    "pathway_group": "What the pathways in it have in common.",
}
"""What each table is for."""

TOP_LEVEL: Final = (*TOP, *TABLES, *NESTED)


def known_key(path: KeyPath) -> Key | None:
    """Find the key that a path from the root down names."""
    *tables, name = path
    if not tables:
        return TOP.get(str(name))
    keys = SCOPE if tables[0] in NESTED else TABLES.get(str(tables[0]), {})
    return keys.get(str(name))
