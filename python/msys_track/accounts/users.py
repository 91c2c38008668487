"""The file of users, and the check of a name and a password against it.

The file is TOML that a person can read: a name, the hash of a password, and what mail of this user
counts for. It is as private as a key file. The proxy asks it who may inject mail, the report who
may look.
"""

import asyncio
import hashlib
import json
import re
import secrets
import tomllib
import unicodedata
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from msys_track.accounts.passwords import MIN_PASSWORD_CHARACTERS, Cost, PasswordHash
from msys_track.errors import UsersError
from msys_track.private_files import change_private_file, read_private_file
from msys_track.smtp.auth import MAX_CREDENTIAL_BYTES

MAX_NAME_BYTES: Final = 255  # RFC 4616 section 2
MAX_SUBACCOUNT: Final = 2**32 - 1

_HEADER: Final = """\
# Users of msys-track, who may inject mail after AUTH. `msys-track users` adds and removes them.
# A password is kept as its scrypt hash alone.
"""
_NAMES: Final = ("name", "password", "subaccount_id")
# SparkPost and Bird write what the mail counts for behind the user's name.
_SUBACCOUNT: Final = re.compile(r"x-msys-subaccount=([0-9]{1,10})", re.IGNORECASE | re.ASCII)
_WORKSPACE: Final = re.compile(r"x-bird-workspace-id=([A-Za-z0-9-]{1,64})", re.IGNORECASE)
_PLACE: Final = re.compile(r"\(at (.+)\)\Z")

_VERIFIED_PAIRS: Final = 1000
_THREADS: Final = 2
# Each waits its turn for a quarter of a second: more would wait longer than a client does.
_MAX_WAITING: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """One user of a file."""

    name: str
    password: PasswordHash = field(repr=False)
    subaccount_id: int | None = None
    """What all of the user's mail counts for; None: what each login says, if it says anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """Who authenticated, and what their mail counts for."""

    user: str
    """The name as the file has it."""
    subaccount_id: int | None = None
    workspace_id: str | None = None
    """Bird's; only policy and the log see it."""


def read_login(name: str) -> Login:
    """Read who logs in, and what their mail counts for, of a name that somebody else checks."""
    bare, _, behind = name.partition(":")
    subaccount, workspace = _SUBACCOUNT.fullmatch(behind), _WORKSPACE.fullmatch(behind)
    subaccount_id = int(subaccount[1]) if subaccount else None
    if subaccount_id is not None and subaccount_id > MAX_SUBACCOUNT:
        subaccount_id = None
    return Login(
        user=bare if subaccount or workspace else name,
        subaccount_id=subaccount_id,
        workspace_id=workspace[1] if workspace else None,
    )


class UsersBusyError(Exception):
    """Too many logins wait to be checked."""


def read_users(path: Path) -> Sequence[User]:
    """Read a file of users, in its order.

    Raises:
        UsersError: missing, readable by others, not TOML, or with something in it that no such
            file has; the text names the place and what to do.
    """
    hint = f"`msys-track users add {path} NAME` makes one"
    content = read_private_file(path, UsersError, missing=f"there is no such file; {hint}")
    return _parse_users(path, content)


def add_user(  # noqa: PLR0913 - each is a column of the file
    path: Path,
    name: str,
    password: str,
    *,
    subaccount_id: int | None = None,
    replaces: bool = False,
    cost: Cost | None = None,
) -> None:
    """Add a user to a file, or replace the user of that name; make the file if there is none.

    Raises:
        UsersError: the name or the password can't be one, the user is there and is not to be
            replaced, or the file can't be used or written.
    """
    _check_name(name)
    if len(password) < MIN_PASSWORD_CHARACTERS:
        raise UsersError(f"the password is shorter than {MIN_PASSWORD_CHARACTERS} characters")
    if "\0" in password or len(password.encode()) > MAX_CREDENTIAL_BYTES:
        raise UsersError(
            f"the password is longer than {MAX_CREDENTIAL_BYTES} bytes, or holds a NUL"
        )
    hashed = PasswordHash.make(password, cost=cost)
    user = User(name=name, password=hashed, subaccount_id=subaccount_id)

    def change(users: Sequence[User]) -> Iterable[User]:
        others = [each for each in users if fold_name(each.name) != fold_name(name)]
        if len(others) < len(users) and not replaces:
            raise UsersError(f"{path}: there is a user {name} already; --replace replaces it")
        return (*others, user)

    _change_file(path, change, is_new_allowed=True)


def remove_user(path: Path, name: str) -> None:
    """Remove a user from a file; the last one leaves a file in which nobody is.

    Raises:
        UsersError: there is no such user, or the file can't be used or written.
    """

    def change(users: Sequence[User]) -> Iterable[User]:
        others = [each for each in users if fold_name(each.name) != fold_name(name)]
        if len(others) == len(users):
            raise UsersError(
                f"{path}: there is no user {name}; `msys-track users list` lists them"
            )
        return others

    _change_file(path, change, is_new_allowed=False)


def fold_name(name: str) -> str:
    """Return a name as names are compared: without regard to case, however it was composed."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


class Users:
    """Checks logins, in threads of its own, so that a hash stops nobody else.

    A pair that was right is remembered until the users change: by a hash with a key that only this
    process has, never by the password.
    """

    __slots__ = ("_by_name", "_key", "_nobody", "_pending", "_threads", "_verified")

    def __init__(self, users: Sequence[User]) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="msys-track-auth")
        self._pending: dict[bytes, asyncio.Future[bool]] = {}
        self.replace(users)

    def replace(self, users: Sequence[User]) -> None:
        """Take other users from now on, and forget who was right."""
        self._by_name = {fold_name(user.name): user for user in users}
        self._key = secrets.token_bytes(32)
        self._verified: OrderedDict[bytes, None] = OrderedDict()
        # An unknown name costs what a known one does, so that time does not tell them apart.
        cost = max(
            (user.password.cost for user in users),
            key=lambda cost: cost.memory_bytes * cost.parallelism,
            default=Cost(),
        )
        digest = secrets.token_bytes(32)
        self._nobody = PasswordHash(cost=cost, salt=secrets.token_bytes(16), digest=digest)

    def __bool__(self) -> bool:
        """Whether anybody can log in."""
        return bool(self._by_name)

    async def check(self, name: str, password: str) -> Login | None:
        """Return who logs in; None if the name or the password is wrong.

        The name may end in `:X-MSYS-SUBACCOUNT=n` or `:x-bird-workspace-id=ID`.

        Raises:
            UsersBusyError: too many others wait.
        """
        bare, _, behind = name.partition(":")
        user = self._by_name.get(fold_name(bare))
        login = None if user is None else _read_login(user, behind)
        stored = self._nobody if user is None else user.password
        pair = self._hash_pair(bare, password)
        if pair in self._verified:
            self._verified.move_to_end(pair)
            return login
        is_right = await self._verify(pair, stored, password)
        if not is_right or user is None or self._by_name.get(fold_name(bare)) != user:
            return None
        self._verified[pair] = None
        if len(self._verified) > _VERIFIED_PAIRS:
            self._verified.popitem(last=False)
        return login

    def find(self, name: str) -> User | None:
        """Find who has a name now, whoever asks."""
        return self._by_name.get(fold_name(name))

    def is_verified(self, name: str, password: str) -> bool:
        """Whether this pair was right before, so that `check` hashes nothing."""
        return self._hash_pair(name.partition(":")[0], password) in self._verified

    def close(self) -> None:
        """Check nobody any more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _hash_pair(self, name: str, password: str) -> bytes:
        folded = fold_name(name).encode()
        pair = b"%d:%b%b" % (len(folded), folded, password.encode())
        return hashlib.blake2b(pair, key=self._key, digest_size=32).digest()

    async def _verify(self, pair: bytes, stored: PasswordHash, password: str) -> bool:
        """Hash once, however many connections bring the same pair at the same time."""
        pending = self._pending.get(pair)
        if pending is None:
            if len(self._pending) >= _MAX_WAITING:
                raise UsersBusyError
            loop = asyncio.get_running_loop()
            pending = loop.run_in_executor(self._threads, stored.verify, password)
            self._pending[pair] = pending
            pending.add_done_callback(lambda _: self._pending.pop(pair, None))
        return await asyncio.shield(pending)


def _read_login(user: User, behind: str) -> Login | None:
    """Read what stands behind the name; None if it is neither form, or not the user's."""
    subaccount_id, workspace_id = user.subaccount_id, None
    if found := _SUBACCOUNT.fullmatch(behind):
        subaccount_id = int(found[1])
        if subaccount_id > MAX_SUBACCOUNT or user.subaccount_id not in (None, subaccount_id):
            return None
    elif found := _WORKSPACE.fullmatch(behind):
        workspace_id = found[1]
    elif behind:
        return None
    return Login(user=user.name, subaccount_id=subaccount_id, workspace_id=workspace_id)


def _check_name(name: str) -> None:
    is_short = 0 < len(name.encode("utf-8", "surrogatepass")) <= MAX_NAME_BYTES
    if not (is_short and name.isprintable() and name == name.strip() and ":" not in name):
        raise UsersError(
            f"{name[:100]!r} can't be a user's name: printable, without a colon, at most "
            f"{MAX_NAME_BYTES} bytes"
        )


def _parse_users(path: Path, content: bytes) -> Sequence[User]:
    # As with keys: nothing of the file is repeated, since a secret may stand in the wrong place.
    try:
        document = tomllib.loads(content.decode())
    except UnicodeDecodeError:
        raise UsersError(f"{path}: is not TOML: not UTF-8") from None
    except (ValueError, RecursionError) as error:
        place = _PLACE.search(str(error))
        raise UsersError(
            f"{path}: is not TOML{f'; look at {place[1]}' if place else ''}"
        ) from None
    tables = document.pop("user", [])
    if document or not isinstance(tables, list):
        raise UsersError(f"{path}: has something other than [[user]] tables; take it out")
    users = [
        _parse_user(f"{path}: user {place}", table) for place, table in enumerate(tables, start=1)
    ]
    seen: set[str] = set()
    for user in users:
        if fold_name(user.name) in seen:
            raise UsersError(f"{path}: two users are called {user.name}; remove one")
        seen.add(fold_name(user.name))
    return users


def _parse_user(where: str, table: Any) -> User:
    if not isinstance(table, Mapping):
        raise UsersError(f"{where}: is not a [[user]] table")
    if not {"name", "password"} <= table.keys() <= set(_NAMES):
        raise UsersError(f"{where}: has name and password, and may have subaccount_id; no more")
    name, password = table["name"], table["password"]
    if not isinstance(name, str):
        raise UsersError(f"{where}: name must be in quotes")
    try:
        _check_name(name)
    except UsersError as error:
        raise UsersError(f"{where}: {error}") from None
    subaccount_id = table.get("subaccount_id")
    if subaccount_id is not None and not (
        type(subaccount_id) is int and 0 <= subaccount_id <= MAX_SUBACCOUNT
    ):
        raise UsersError(f"{where}: subaccount_id must be a number from 0 to {MAX_SUBACCOUNT}")
    try:
        hashed = PasswordHash.parse(password if isinstance(password, str) else "")
    except ValueError as error:
        hint = "`msys-track users add --replace` writes it"
        raise UsersError(f"{where}: password must be a hash: {error}; {hint}") from None
    return User(name=name, password=hashed, subaccount_id=subaccount_id)


def _change_file(
    path: Path, change: Callable[[Sequence[User]], Iterable[User]], *, is_new_allowed: bool
) -> None:
    def make_content(file: Path) -> str:
        is_new = is_new_allowed and not file.exists()
        users = change([] if is_new else read_users(file))
        return "\n".join([_HEADER, *map(_write_user, users)])

    change_private_file(path, make_content, UsersError)


def _write_user(user: User) -> str:
    # A printable text is written the same in JSON and in TOML.
    lines = [
        "[[user]]",
        f"name = {json.dumps(user.name, ensure_ascii=False)}",
        f'password = "{user.password}"',
    ]
    if user.subaccount_id is not None:
        lines.append(f"subaccount_id = {user.subaccount_id}")
    return "\n".join((*lines, ""))
