"""The file of API keys: who may read events and metrics, and the check of a request's key.

A key is 256 random bits, so its SHA-256 is enough: there is nothing to guess that a slow hash
would protect. The file can't show a key again.
"""

import base64
import binascii
import hashlib
import json
import re
import secrets
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from msys_track.errors import ApiKeysError
from msys_track.private_files import change_private_file, read_private_file

KEY_BYTES: Final = 32
MAX_NAME_BYTES: Final = 255

_HEADER: Final = """\
# API keys of msys-track's report. `msys-track api-keys` makes and removes them.
# A key is kept as its SHA-256 alone; whoever lost one gets a new one.
"""
_NAMES: Final = {"name", "scopes", "sha256"}
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


class Scope(StrEnum):
    """What a key may read."""

    EVENTS = "events"
    METRICS = "metrics"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """One key of a file.

    Attributes:
        name: What a person calls it; it is in no request.
        scopes: What it may read.
        digest: Of the key, 64 hexadecimal digits.
    """

    name: str
    scopes: frozenset[Scope]
    digest: str = field(repr=False)


def read_api_keys(path: Path) -> Sequence[ApiKey]:
    """Read a file of API keys, in its order.

    Raises:
        ApiKeysError: missing, readable by others, not TOML, or with something in it that no such
            file has; the text names the place and what to do.
    """
    hint = f"`msys-track api-keys new {path} NAME` makes one"
    content = read_private_file(path, ApiKeysError, missing=f"there is no such file; {hint}")
    return _parse_keys(path, content)


def make_api_key(path: Path, name: str, scopes: Iterable[Scope]) -> str:
    """Add a key to a file, which is made if there is none; return the key, which no file has.

    Raises:
        ApiKeysError: the name can't be one or is taken, there is no scope, or the file can't be
            used or written.
    """
    _check_name(name)
    secret = secrets.token_hex(KEY_BYTES)
    key = ApiKey(name=name, scopes=frozenset(scopes), digest=_digest(secret))
    if not key.scopes:
        raise ApiKeysError("a key without a scope reads nothing; give events, metrics or both")

    def change(keys: Sequence[ApiKey]) -> Iterable[ApiKey]:
        if any(each.name == name for each in keys):
            raise ApiKeysError(
                f"{path}: there is a key {name} already; remove it, or choose another name"
            )
        return (*keys, key)

    _change_file(path, change, is_new_allowed=True)
    return secret


def remove_api_key(path: Path, name: str) -> None:
    """Remove a key from a file; the last one leaves a file without keys.

    Raises:
        ApiKeysError: there is no such key, or the file can't be used or written.
    """

    def change(keys: Sequence[ApiKey]) -> Iterable[ApiKey]:
        others = [each for each in keys if each.name != name]
        if len(others) == len(keys):
            raise ApiKeysError(
                f"{path}: there is no key {name}; `msys-track api-keys list` lists them"
            )
        return others

    _change_file(path, change, is_new_allowed=False)


class ApiKeys:
    """Finds the key of a request, in a file that may change meanwhile.

    Args:
        path: The file; None: nobody has a key.
    """

    __slots__ = ("_by_digest", "_path", "_seen")

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._seen: tuple[int, ...] | None = None
        self._by_digest: Mapping[str, ApiKey] = {}

    def find(self, authorization: str | None) -> ApiKey | None:
        """Return the key that a header `Authorization` has; None for none and a wrong one.

        Raises:
            ApiKeysError: the file can't be used; nobody may read then.
        """
        self._refresh()
        secret = read_secret(authorization or "")
        return self._by_digest.get(_digest(secret)) if secret else None

    def _refresh(self) -> None:
        if self._path is None:
            return
        try:
            status = self._path.stat()
        except OSError:
            # What was removed opens nothing any more; reading says what is wrong.
            self._seen = None
        else:
            seen = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_mode)
            if seen == self._seen:
                return
            self._by_digest = {}
            self._by_digest = {each.digest: each for each in read_api_keys(self._path)}
            self._seen = seen
            return
        self._by_digest = {}
        read_api_keys(self._path)


def read_secret(authorization: str) -> str:
    """Return the key of a header: itself, or the user of HTTP Basic (RFC 7617); empty without."""
    scheme, _, encoded = authorization.strip().partition(" ")
    if scheme.lower() != "basic":
        return authorization.strip()
    try:
        user, _, _ = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return ""
    return user


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def _check_name(name: str) -> None:
    is_short = 0 < len(name.encode("utf-8", "surrogatepass")) <= MAX_NAME_BYTES
    if not (is_short and name.isprintable() and name == name.strip()):
        raise ApiKeysError(
            f"{name[:100]!r} can't be a key's name: printable, at most {MAX_NAME_BYTES} bytes"
        )


def _parse_keys(path: Path, content: bytes) -> Sequence[ApiKey]:
    # Nothing of the file is repeated, since a secret may stand in the wrong place.
    try:
        document = tomllib.loads(content.decode())
    except (ValueError, RecursionError):
        raise ApiKeysError(f"{path}: is not TOML in UTF-8") from None
    tables = document.pop("key", [])
    if document or not isinstance(tables, list):
        raise ApiKeysError(f"{path}: has something other than [[key]] tables; take it out")
    keys = [
        _parse_key(f"{path}: key {place}", table) for place, table in enumerate(tables, start=1)
    ]
    if len({each.name for each in keys}) < len(keys):
        raise ApiKeysError(f"{path}: two keys have the same name; remove one")
    return keys


def _parse_key(where: str, table: Any) -> ApiKey:
    if not isinstance(table, Mapping) or table.keys() != _NAMES:
        raise ApiKeysError(f"{where}: has name, scopes and sha256; no more and no less")
    name, scopes, digest = table["name"], table["scopes"], table["sha256"]
    if not isinstance(name, str):
        raise ApiKeysError(f"{where}: name must be in quotes")
    try:
        _check_name(name)
        known = frozenset(map(Scope, scopes))
    except ApiKeysError as error:
        raise ApiKeysError(f"{where}: {error}") from None
    except (TypeError, ValueError):
        raise ApiKeysError(f'{where}: scopes is a list of "events" and "metrics"') from None
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise ApiKeysError(f"{where}: sha256 must be 64 hexadecimal digits in lower case")
    return ApiKey(name=name, scopes=known, digest=digest)


def _change_file(
    path: Path, change: Callable[[Sequence[ApiKey]], Iterable[ApiKey]], *, is_new_allowed: bool
) -> None:
    def make_content(file: Path) -> str:
        is_new = is_new_allowed and not file.exists()
        keys = change([] if is_new else read_api_keys(file))
        return "\n".join([_HEADER, *map(_write_key, keys)])

    change_private_file(path, make_content, ApiKeysError)


def _write_key(key: ApiKey) -> str:
    # A printable text is written the same in JSON and in TOML.
    return "\n".join(
        (
            "[[key]]",
            f"name = {json.dumps(key.name, ensure_ascii=False)}",
            f"scopes = {json.dumps(sorted(key.scopes))}",
            f'sha256 = "{key.digest}"',
            "",
        )
    )
