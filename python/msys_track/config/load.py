"""A configuration of either form, our TOML or Momentum's `ecelerity.conf`, ready to be checked."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from msys_track.config.configuration import Configuration, judge_document
from msys_track.config.document import (
    COMMAND_LINE,
    MOMENTUM_DEFAULT,
    Document,
    KeyPath,
    Place,
)
from msys_track.config.momentum import document as momentum
from msys_track.config.named_files import Server
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
    if keys is not None:
        file = str(keys.absolute() if isinstance(keys, Path) else keys)
        document = _add_member(document, ("keys",), file, COMMAND_LINE)
    if upstream is not None:
        # It replaces the `[upstream.NAME]` tables as well.
        others = {name: each for name, each in document.members.items() if name != "upstream"}
        document = replace(document, members=others)
        document = _add_member(document, ("proxy", "upstream"), upstream, COMMAND_LINE)
    return _complete_momentum(document) if is_momentum(document.path) else document


def _complete_momentum(document: Document) -> Document:
    """Add what our file says and Momentum's form can't, each as Momentum has it."""
    if "keys" not in document.members:
        document = replace(
            document,
            members={**document.members, "keys": MOMENTUM_KEYS},
            made_at_start=frozenset({("keys",)}),
        )
    listener = document.members.get("listener")
    if isinstance(listener, dict) and "click_tracking_text" not in listener:
        key = ("listener", "click_tracking_text")
        document = _add_member(document, key, value=True, place=MOMENTUM_DEFAULT)
    listens = _find_listener(document)
    if "proxy" not in document.members and (listens or "tracker" not in document.members):
        # A missing upstream is reported at the listener, which needs it.
        document = _add_member(document, ("proxy",), {}, document.place(listens))
    return document


def _add_member(document: Document, path: KeyPath, value: object, place: Place) -> Document:
    """Set a key; unless something else stands where its table should be, which is a fault."""
    members: dict[str, Any] = dict(document.members)
    *tables, name = map(str, path)
    inner = members
    for table in tables:
        around = inner.get(table, {})
        if not isinstance(around, dict):
            return document
        inner[table] = dict(around)
        inner = inner[table]
    inner[name] = value
    return replace(document, members=members, places={**document.places, path: place})


def _find_listener(document: Document) -> KeyPath:
    listens = document.members.get("listen")
    if isinstance(listens, dict) and listens:
        return ("listen", next(iter(listens)))
    return ("listener",) if "listener" in document.members else ()
