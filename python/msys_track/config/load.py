"""A configuration of either form, our TOML or Momentum's `ecelerity.conf`, ready to be checked."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from msys_track.config.configuration import Configuration, judge_document
from msys_track.config.document import COMMAND_LINE, MOMENTUM_DEFAULT, Document, KeyPath
from msys_track.config.momentum import document as momentum
from msys_track.config.reading import Server
from msys_track.config.toml import document as toml
from msys_track.keys.file import KeySource

MOMENTUM_SUFFIX: Final = ".conf"
MOMENTUM_KEYS: Final = "msys-track-keys.toml"
"""The key file of an `ecelerity.conf` that names none; it stands beside it."""


def load(
    path: Path,
    *,
    keys: KeySource | None = None,
    upstream: str | None = None,
    server: Server | None = None,
) -> Configuration:
    """Read a configuration and check all of it.

    Args:
        path: the file; its suffix says which form it has.
        keys: in place of those that it names.
        upstream: `host:port` in place of those that it names.
        server: the one that is to start; files that only others use are not checked.

    Raises:
        ConfigurationError: a `SettingsError` that lists every fault.
        SettingsError: the file can't be read.
    """
    return judge_document(
        complete_document(read_document(path), keys=keys, upstream=upstream), server
    )


def read_document(path: Path) -> Document:
    """Read a file in the form that its name says: `.conf` is Momentum's, the rest is TOML.

    Raises:
        SettingsError: the file can't be read.
    """
    return momentum.read_document(path) if is_momentum(path) else toml.read_document(path)


def is_momentum(path: Path) -> bool:
    """Whether a file is Momentum's, by its name."""
    return path.suffix == MOMENTUM_SUFFIX


def complete_document(
    document: Document, *, keys: KeySource | None = None, upstream: str | None = None
) -> Document:
    """Add what the command line sets, and what Momentum's form can't say."""
    given: dict[KeyPath, object] = {}
    made: frozenset[KeyPath] = frozenset()
    if keys is not None:
        given["keys",] = str(keys.resolve() if isinstance(keys, Path) else keys)
    elif is_momentum(document.path) and "keys" not in document.members:
        given["keys",] = MOMENTUM_KEYS
        made = frozenset({("keys",)})
    if upstream is not None:
        given["proxy", "upstream"] = upstream
        document = _drop_upstreams(document)
    places = {path: COMMAND_LINE for path in given if path not in made}
    if is_momentum(document.path):
        listener = document.members.get("listener")
        if isinstance(listener, dict) and "click_tracking_text" not in listener:
            given["listener", "click_tracking_text"] = True
            places["listener", "click_tracking_text"] = MOMENTUM_DEFAULT
        listens = _find_listener(document)
        has_proxy = upstream is not None or "proxy" in document.members
        if not has_proxy and (listens or "tracker" not in document.members):
            # A missing upstream is reported at the listener, which needs it.
            given["proxy",] = {}
            places["proxy",] = document.place(listens)
    if not given:
        return document
    members: dict[str, Any] = dict(document.members)
    for path, value in given.items():
        *tables, name = map(str, path)
        inner = members
        for table in tables:
            inner[table] = dict(inner.get(table, {}))
            inner = inner[table]
        inner[name] = value
    return replace(
        document,
        members=members,
        places={**document.places, **places},
        made_at_start=made,
    )


def _drop_upstreams(document: Document) -> Document:
    """Leave out the `[upstream.NAME]` tables: the one on the command line replaces them all."""
    others = {name: each for name, each in document.members.items() if name != "upstream"}
    return replace(document, members=others)


def _find_listener(document: Document) -> KeyPath:
    listens = document.members.get("listen")
    if isinstance(listens, dict) and listens:
        return ("listen", next(iter(listens)))
    return ("listener",) if "listener" in document.members else ()
