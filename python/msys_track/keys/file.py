"""Key files, and their substitutes.

A key file is TOML that a person can read and edit: the first key seals, all of them open. Those
who can read it can make links, so its permissions are checked. Links in sent mail need the key
that sealed them, so rotation adds a key and removes none.
"""

import base64
import os
import re
import secrets
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from msys_track.errors import KeyRingError, describe_os_error
from msys_track.private_files import (
    create_private_file,
    name_draft,
    read_private_file,
    replace_private_file,
    sync_folder,
    write_durably,
)

SECRET_BYTES = 32
MAX_KEYS = 255  # a token has one byte for the key's number; 0 is not used

_NAMES = ("id", "created", "secret")
_NAME_FORMS: Final = {
    "env": re.compile(r"[A-Za-z_]\w*", re.ASCII),
    "credential": re.compile(r"[\w.-]+", re.ASCII),
}
_LIKE_KEYS: Final = re.compile(r"""\[\[key|\bsecret["']?\s*=\s*["']""")
_PLACE = re.compile(r"\(at (.+)\)\Z")  # "… (at line 7, column 10)", as tomllib ends its messages
_HEADER = """\
# Keys of msys-track. Anyone who has them can read and make tracked links.
# The first key seals new links; every key opens the links that it sealed. Keep each for as long
# as readers may follow links that it sealed. `msys-track keys rotate` puts a new key first.
"""
_TABLE = """
[[key]]
id = {id}
created = {created}
secret = "{secret}"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedSource:
    """Keys in a place that is not a path, with the content of a key file.

    Attributes:
        kind: `env` for an environment variable; `credential` for a file of the folder that
            systemd names in `CREDENTIALS_DIRECTORY` (systemd.exec(5)).
        name: The variable's or the credential's.
    """

    kind: Literal["env", "credential"]
    name: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"


KeySource: TypeAlias = Path | NamedSource


def key_source(text: str) -> KeySource:
    """Read `env:NAME`, `credential:NAME`, or the name of a file; `./env:x` is always a file.

    Raises:
        KeyRingError: NAME is not valid; or the text is the keys themselves, which the error
            does not repeat.
    """
    hint = "give the name of a file, env:NAME or credential:NAME"
    if "\n" in text or _LIKE_KEYS.search(text):
        raise KeyRingError(f"the keys themselves; {hint}")
    match text.split(":", 1):
        case ["env" | "credential" as kind, name]:
            if _NAME_FORMS[kind].fullmatch(name) is None:
                raise KeyRingError(f"{kind}: not followed by a valid name; {hint}")
            return NamedSource(kind=kind, name=name)
        case _:
            return Path(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyEntry:
    """One key of a file, without its secret.

    Attributes:
        id: The number that tokens name it by.
        created: When it was made, as the file says.
    """

    id: int
    created: datetime

    @property
    def created_text(self) -> str:
        """`created` as key files have it: RFC 3339, to the second."""
        return self.created.isoformat(timespec="seconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretKey(KeyEntry):
    """One key of a file with its secret, which it never shows."""

    secret: bytes = field(repr=False)


def create(source: KeySource | str, *, now: datetime | None = None) -> None:
    """Write a key file with one new key, readable by its owner only.

    Args:
        source: Where; there must be no file yet.
        now: The key's date, for people who read the file.

    Raises:
        KeyRingError: there is a file already, it can't be written, or it is not a file.
    """
    path = _require_file(source)
    try:
        with create_private_file(path) as descriptor:
            _write_keys(descriptor, [make_key(1, now or datetime.now(UTC))])
        sync_folder(path.parent)
    except FileExistsError as error:
        hint = f"`msys-track keys rotate {path}` adds a key to it"
        raise KeyRingError(f"{path}: there is a file already; {hint}") from error
    except OSError as error:
        raise KeyRingError(f"{path}: can't be written: {describe_os_error(error)}") from error


def rotate(source: KeySource | str, *, now: datetime | None = None) -> int:
    """Put a new key first in a key file; the others go on opening their links.

    The file is replaced in one step: a reader sees the old one or the new one. Its readers stay
    the same.

    Returns:
        The new key's number.

    Raises:
        KeyRingError: the file can't be used or replaced, has no room for another key, is being
            rotated already, or is not a file.
    """
    path = Path(os.path.realpath(_require_file(source)))
    try:
        with replace_private_file(path) as descriptor:
            keys = read_keys(path)
            # Numbers of removed keys come last: an old link must not look like one of a key we
            # have.
            taken = {key.id for key in keys}
            order = chain(range(max(taken) + 1, MAX_KEYS + 1), range(1, max(taken)))
            number = next((each for each in order if each not in taken), None)
            if number is None:
                what = f"has {MAX_KEYS} keys, the most there can be"
                raise KeyRingError(f"{path}: {what}; remove the oldest")
            new = make_key(number, now or datetime.now(UTC))
            _write_keys(descriptor, [new, *keys])
    except FileExistsError as error:
        draft = name_draft(path)
        hint = f"if no other rotation of {path} is running, remove {draft}"
        raise KeyRingError(f"{draft}: a rotation is under way or was cut off; {hint}") from error
    except OSError as error:
        raise KeyRingError(f"{path}: can't be replaced: {describe_os_error(error)}") from error
    return new.id


def list_keys(source: KeySource | str) -> tuple[KeyEntry, ...]:
    """List the keys of a source in its order: the first seals, all of them open.

    Raises:
        KeyRingError: it can't be used.
    """
    return tuple(KeyEntry(id=key.id, created=key.created) for key in read_keys(source))


def _require_file(given: KeySource | str) -> Path:
    source = key_source(given) if isinstance(given, str) else given
    if isinstance(source, Path):
        return source
    hint = (
        "make or rotate the key file that it comes from, set it to what is in there, and "
        "restart what reads it"
    )
    raise KeyRingError(f"{source}: only a file can be written; {hint}")


def make_key(number: int, created: datetime) -> SecretKey:
    """Make a key of random bytes."""
    return SecretKey(id=number, created=created, secret=secrets.token_bytes(SECRET_BYTES))


def read_keys(source: KeySource | str) -> list[SecretKey]:
    """Read a key file, or its substitute, in its order.

    Raises:
        KeyRingError: missing, readable by others, not TOML, or with something in it that no
            key file has; the text names the source and what to do.
    """
    if isinstance(source, str):
        source = key_source(source)
    hint = f"`msys-track keys new {source}` makes one"
    return parse_keys(source, read_source(source, what="key file", hint=hint))


def read_source(source: KeySource, *, what: str, hint: str) -> bytes:
    """Read a secret: a key file, or another file that must be as private, or its substitute.

    Args:
        source: Where it is.
        what: What such a file is called.
        hint: What to do if there is no such file.

    Raises:
        KeyRingError: missing, or readable by others; the text names the source and what to do.
    """
    if isinstance(source, Path):
        return _read_file(source, source, what, hint)
    if source.kind == "env":
        text = os.environ.get(source.name)
        if text is None:
            hint = f"set it to what a {what} holds, for the process that reads it"
            raise KeyRingError(f"{source}: there is no such environment variable; {hint}")
        return text.encode("utf-8", "surrogateescape")
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if folder is None:
        hint = f"systemd sets it for a unit with LoadCredential={source.name}:FILE"
        raise KeyRingError(f"{source}: CREDENTIALS_DIRECTORY is not set; {hint}")
    hint = f"give the unit LoadCredential={source.name}:FILE"
    return _read_file(source, Path(folder, source.name), what, hint)


def _read_file(source: KeySource, path: Path, what: str, hint: str) -> bytes:
    return read_private_file(
        path,
        KeyRingError,
        missing=f"there is no such {what}; {hint}",
        name=source,
        also_private="; a mounted secret: mode 0440, owned by root",
    )


def parse_keys(source: KeySource | str, content: bytes) -> list[SecretKey]:
    """Read what a key file holds; `source` names it in errors.

    Raises:
        KeyRingError: not TOML, or with something in it that no key file has.
    """
    # No error repeats anything of the file, and none is chained `from error`: whatever is
    # misplaced in it may be a secret.
    try:
        document = tomllib.loads(content.decode())
    except UnicodeDecodeError:
        raise KeyRingError(f"{source}: is not TOML: not UTF-8") from None
    except (ValueError, RecursionError) as error:  # numbers and nesting that no key file has, too
        place = _PLACE.search(str(error))
        where = f"; look at {place[1]}" if place else ""
        raise KeyRingError(f"{source}: is not TOML{where}") from None
    tables = document.pop("key", None)
    if document:
        raise KeyRingError(f"{source}: has something other than [[key]] tables; take it out")
    if not isinstance(tables, list) or not tables:
        hint = (
            f"remove it, and `msys-track keys new {source}` makes a whole file"
            if isinstance(source, Path)
            else "`msys-track keys new FILE` makes what it must hold"
        )
        raise KeyRingError(f"{source}: has no [[key]]; {hint}")
    keys = [
        _parse_key(f"{source}: key {place}", table) for place, table in enumerate(tables, start=1)
    ]
    ids = [key.id for key in keys]
    for number in ids:
        if ids.count(number) > 1:
            raise KeyRingError(f"{source}: two keys have id {number}; each needs its own")
    return keys


def _parse_key(where: str, table: Any) -> SecretKey:
    if not isinstance(table, Mapping):
        raise KeyRingError(f"{where}: is not a [[key]] table")
    for name in _NAMES:
        if name not in table:
            raise KeyRingError(f"{where}: {name} is missing; a key has {', '.join(_NAMES)}")
    if len(table) > len(_NAMES):
        raise KeyRingError(f"{where}: has more than {', '.join(_NAMES)}; take it out")
    number, created, text = (table[name] for name in _NAMES)
    if type(number) is not int or not 1 <= number <= MAX_KEYS:
        raise KeyRingError(f"{where}: id must be a number from 1 to {MAX_KEYS}")
    if not isinstance(created, datetime) or created.tzinfo is None:
        raise KeyRingError(f"{where}: created must be like 2026-11-24T10:00:00Z")
    try:
        secret = base64.b64decode(text, validate=True)
    except (TypeError, ValueError):
        secret = b""
    if len(secret) != SECRET_BYTES:
        raise KeyRingError(f"{where}: secret must be {SECRET_BYTES} bytes as base64 in quotes")
    return SecretKey(id=number, created=created, secret=secret)


def _write_keys(descriptor: int, keys: Sequence[SecretKey]) -> None:
    tables = [
        _TABLE.format(
            id=key.id, created=key.created_text, secret=base64.b64encode(key.secret).decode()
        )
        for key in keys
    ]
    write_durably(descriptor, "".join([_HEADER, *tables]).encode())
