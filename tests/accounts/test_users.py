"""The file of users: strict, private, replaced in one step; and the check of logins against it."""

import asyncio
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from msys_track.accounts import users as users_file
from msys_track.accounts.passwords import Cost, PasswordHash
from msys_track.accounts.users import (
    MAX_SUBACCOUNT,
    Login,
    User,
    Users,
    UsersBusyError,
    add_user,
    fold_name,
    read_login,
    read_users,
    remove_user,
)
from msys_track.errors import UsersError

CHEAP = Cost(log_n=10, block_size=1, parallelism=1)
PASSWORD = "correct horse"  # noqa: S105 - of no real user


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a file of users can be made."""
    return tmp_path / "users.toml"


def make_user(name: str, password: str = PASSWORD, subaccount_id: int | None = None) -> User:
    hashed = PasswordHash.make(password, cost=CHEAP)
    return User(name=name, password=hashed, subaccount_id=subaccount_id)


@pytest.fixture
def users() -> Iterator[Users]:
    """Users that can log in: SparkPost's, and one whose mail counts for one subaccount."""
    made = Users([make_user("SMTP_Injection"), make_user("shop", subaccount_id=7)])
    yield made
    made.close()


def check(users: Users, name: str, password: str = PASSWORD) -> Login | None:
    return asyncio.run(users.check(name, password))


# The file


def test_the_first_user_makes_a_private_file(path: Path) -> None:
    add_user(path, "shop", PASSWORD, cost=CHEAP)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [user.name for user in read_users(path)] == ["shop"]
    assert PASSWORD not in path.read_text()


def test_users_are_added_replaced_and_removed(path: Path) -> None:
    add_user(path, "shop", PASSWORD, cost=CHEAP)
    add_user(path, 'Bücher "24"', PASSWORD, subaccount_id=7, cost=CHEAP)
    add_user(path, "SHOP", "another one", replaces=True, cost=CHEAP)
    assert [(user.name, user.subaccount_id) for user in read_users(path)] == [
        ('Bücher "24"', 7),
        ("SHOP", None),
    ]
    assert read_users(path)[1].password.verify("another one")
    remove_user(path, "shop")
    remove_user(path, 'BÜCHER "24"')
    assert read_users(path) == []


def test_a_user_is_not_replaced_by_accident(path: Path) -> None:
    add_user(path, "shop", PASSWORD, cost=CHEAP)
    before = path.read_bytes()
    with pytest.raises(UsersError, match="there is a user Shop already; --replace"):
        add_user(path, "Shop", PASSWORD, cost=CHEAP)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_user_who_is_not_there_can_not_be_removed(path: Path) -> None:
    add_user(path, "shop", PASSWORD, cost=CHEAP)
    with pytest.raises(UsersError, match="there is no user shpo"):
        remove_user(path, "shpo")


def test_removing_does_not_make_a_file(path: Path) -> None:
    with pytest.raises(UsersError, match="there is no such file"):
        remove_user(path, "shop")
    assert list(path.parent.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_the_readers_of_a_file_stay_the_same(path: Path) -> None:
    add_user(path, "shop", PASSWORD, cost=CHEAP)
    path.chmod(0o640)
    os.chown(path, 0, 12345)
    add_user(path, "blog", PASSWORD, cost=CHEAP)
    assert (stat.S_IMODE(path.stat().st_mode), path.stat().st_gid) == (0o640, 12345)


def test_two_changes_at_one_time_are_refused(path: Path) -> None:
    add_user(path, "shop", PASSWORD, cost=CHEAP)
    (path.parent / ".users.toml.new").touch()
    with pytest.raises(UsersError, match="a change is under way or was cut off"):
        add_user(path, "blog", PASSWORD, cost=CHEAP)


@pytest.mark.parametrize(
    "name",
    ["", " ", " shop", "shop ", "a:b", "a\0b", "a\nb", "a\x1b[1m", "x" * 256, "x" * 100_000],
)
def test_a_name_that_no_user_can_have_is_refused(path: Path, name: str) -> None:
    with pytest.raises(UsersError, match="can't be a user's name") as refused:
        add_user(path, name, PASSWORD, cost=CHEAP)
    assert len(str(refused.value)) < 1000
    assert "\x1b" not in str(refused.value)


@pytest.mark.parametrize("password", ["", "a few", "with a \0 NUL", "x" * 2000])
def test_a_password_that_is_none_is_refused_and_not_shown(path: Path, password: str) -> None:
    with pytest.raises(UsersError, match="the password is") as refused:
        add_user(path, "shop", password, cost=CHEAP)
    assert not password or password not in str(refused.value)


@pytest.mark.parametrize("mode", [0o644, 0o666, 0o604, 0o660])
def test_a_file_that_others_can_use_is_refused(path: Path, mode: int) -> None:
    add_user(path, "shop", PASSWORD, cost=CHEAP)
    path.chmod(mode)
    with pytest.raises(UsersError, match=f"mode {mode:04o}.*chmod 600"):
        read_users(path)


HASH = str(PasswordHash.make(PASSWORD, cost=CHEAP))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[[user]", "is not TOML; look at line 1"),
        ("\udcff", "not UTF-8"),
        ("x = 1", r"other than \[\[user\]\]"),
        ("user = 1", r"other than \[\[user\]\]"),
        ("user = [1]", r"user 1: is not a \[\[user\]\] table"),
        ('[[user]]\nname = "a"', "user 1: has name and password"),
        (f'[[user]]\nname = "a"\npassword = "{HASH}"\nuid = 1', "user 1: has name and password"),
        (f'[[user]]\nname = 1\npassword = "{HASH}"', "name must be in quotes"),
        (f'[[user]]\nname = "a:b"\npassword = "{HASH}"', "user 1: 'a:b' can't be"),
        ('[[user]]\nname = "a"\npassword = "tr0ub4dor"', "user 1: password must be a hash"),
        ('[[user]]\nname = "a"\npassword = 5', "user 1: password must be a hash"),
        (f'[[user]]\nname = "a"\npassword = "{HASH}"\nsubaccount_id = -1', "from 0 to"),
        (f'[[user]]\nname = "a"\npassword = "{HASH}"\nsubaccount_id = true', "from 0 to"),
        (
            "".join(f'[[user]]\nname = "{name}"\npassword = "{HASH}"\n' for name in "aA"),
            "two users are called A",
        ),
    ],
)
def test_what_no_file_of_users_has_is_refused_without_a_word_of_it(
    path: Path, text: str, why: str
) -> None:
    path.touch(0o600)
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(UsersError, match=why) as refused:
        read_users(path)
    assert "tr0ub4dor" not in str(refused.value)
    assert HASH not in str(refused.value)


# Logins


@pytest.mark.parametrize("name", ["SMTP_Injection", "smtp_injection", "SMTP_INJECTION"])
def test_names_are_compared_without_regard_to_case(users: Users, name: str) -> None:
    assert check(users, name) == Login(user="SMTP_Injection")


def test_a_wrong_password_an_unknown_name_and_an_empty_file_let_nobody_in(users: Users) -> None:
    assert check(users, "shop", "wrong") is None
    assert check(users, "nobody") is None
    assert check(Users([]), "shop") is None


@pytest.mark.parametrize(
    ("name", "login"),
    [
        ("SMTP_Injection:X-MSYS-SUBACCOUNT=123", Login(user="SMTP_Injection", subaccount_id=123)),
        ("smtp_injection:x-msys-subaccount=0", Login(user="SMTP_Injection", subaccount_id=0)),
        (
            "SMTP_Injection:x-bird-workspace-id=3c-9",
            Login(user="SMTP_Injection", workspace_id="3c-9"),
        ),
        ("shop", Login(user="shop", subaccount_id=7)),
        ("shop:X-MSYS-SUBACCOUNT=7", Login(user="shop", subaccount_id=7)),
        ("shop:X-MSYS-SUBACCOUNT=8", None),
        ("SMTP_Injection:X-MSYS-SUBACCOUNT=4294967296", None),
        ("SMTP_Injection:X-MSYS-SUBACCOUNT=", None),
        ("SMTP_Injection:X-MSYS-SUBACCOUNT=-1", None),
        ("SMTP_Injection:X-MSYS-SUBACCOUNT=1:x-bird-workspace-id=2", None),
        ("SMTP_Injection:x-bird-workspace-id=a b", None),
        ("SMTP_Injection:anything=1", None),
        (":X-MSYS-SUBACCOUNT=1", None),
    ],
)
def test_what_mail_counts_for_stands_behind_the_name(
    users: Users, name: str, login: Login | None
) -> None:
    assert check(users, name) == login


@pytest.mark.parametrize(
    ("name", "login"),
    [
        ("shop:X-MSYS-Subaccount=7", Login(user="shop", subaccount_id=7)),
        (
            f"shop:x-msys-subaccount={MAX_SUBACCOUNT}",
            Login(user="shop", subaccount_id=MAX_SUBACCOUNT),
        ),
        (f"shop:x-msys-subaccount={MAX_SUBACCOUNT + 1}", Login(user="shop")),
        ("shop:x y", Login(user="shop:x y")),
    ],
)
def test_a_name_that_the_upstream_checks_says_what_mail_counts_for(
    name: str, login: Login
) -> None:
    assert read_login(name) == login


def test_a_pair_that_was_right_is_not_hashed_again(
    users: Users, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed = count_hashes(monkeypatch)
    for name in ("shop", "SHOP", "shop:X-MSYS-SUBACCOUNT=7"):
        assert check(users, name)
    assert hashed == [PASSWORD]


def test_a_pair_that_was_wrong_is_hashed_each_time(
    users: Users, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed = count_hashes(monkeypatch)
    for _ in range(2):
        assert check(users, "shop", "wrong") is None
    assert hashed == ["wrong", "wrong"]


def test_an_unknown_name_costs_a_hash_too(users: Users, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed = count_hashes(monkeypatch)
    check(users, "nobody")
    check(users, "shop:unknown=1")
    assert len(hashed) == 2


def count_hashes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note each password that is hashed from now on."""
    hashed: list[str] = []
    verify = PasswordHash.verify

    def note(self: PasswordHash, password: str) -> bool:
        hashed.append(password)
        return verify(self, password)

    monkeypatch.setattr(PasswordHash, "verify", note)
    return hashed


def test_a_name_and_a_password_are_not_mistaken_for_another_pair() -> None:
    users = Users([make_user("a", "1:secret"), make_user("a1", "secret")])
    assert check(users, "a", "1:secret")
    assert check(users, "a1", "1:secret") is None
    assert check(users, "a", "secret") is None


def test_users_that_were_replaced_are_checked_anew(users: Users) -> None:
    assert check(users, "shop")
    users.replace([make_user("shop", "another one")])
    assert check(users, "shop") is None
    assert check(users, "shop", "another one")


def test_the_memory_of_right_pairs_is_bounded(
    users: Users, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(users_file, "_VERIFIED_PAIRS", 1)
    hashed = count_hashes(monkeypatch)
    for name in ("shop", "SMTP_Injection", "shop"):
        assert check(users, name)
    assert len(hashed) == 3


def test_no_password_is_kept(users: Users) -> None:
    assert check(users, "shop")
    assert PASSWORD not in repr([getattr(users, name) for name in Users.__slots__])


class _Held:
    """Holds back every hash until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.opened = threading.Event()
        self.count = 0

        def wait(_: PasswordHash, password: str) -> bool:
            self.count += 1
            return self.opened.wait(10) and password == PASSWORD

        monkeypatch.setattr(PasswordHash, "verify", wait)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Held]:
    """Hashes that take until the test opens them."""
    made = _Held(monkeypatch)
    yield made
    made.opened.set()


def test_connections_that_bring_the_same_pair_at_once_cost_one_hash(
    users: Users, held: _Held
) -> None:
    async def log_in() -> list[Login | None]:
        logins = [asyncio.ensure_future(users.check("shop", PASSWORD)) for _ in range(50)]
        await asyncio.sleep(0)
        held.opened.set()
        return await asyncio.gather(*logins)

    assert asyncio.run(log_in()) == [Login(user="shop", subaccount_id=7)] * 50
    assert held.count == 1


def test_the_loop_goes_on_while_a_password_is_hashed(users: Users, held: _Held) -> None:
    async def log_in() -> Any:
        login = asyncio.ensure_future(users.check("shop", PASSWORD))
        for _ in range(100):
            await asyncio.sleep(0)
        assert not login.done()
        held.opened.set()
        return await login

    assert asyncio.run(log_in()) == Login(user="shop", subaccount_id=7)


def test_a_crowd_of_guesses_is_told_to_come_later(
    users: Users, held: _Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(users_file, "_MAX_WAITING", 3)

    async def guess() -> None:
        guesses = [asyncio.ensure_future(users.check("shop", str(each))) for each in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(UsersBusyError):
            await users.check("shop", "one more")
        held.opened.set()
        assert await asyncio.gather(*guesses) == [None] * 3
        assert await users.check("shop", PASSWORD)

    asyncio.run(guess())


def test_a_login_that_nobody_waits_for_any_more_does_not_stop_another(
    users: Users, held: _Held
) -> None:
    async def log_in() -> Login | None:
        first = asyncio.ensure_future(users.check("shop", PASSWORD))
        second = asyncio.ensure_future(users.check("shop", PASSWORD))
        await asyncio.sleep(0)
        first.cancel()
        held.opened.set()
        return await second

    assert asyncio.run(log_in())


def test_a_name_is_the_same_however_it_was_composed() -> None:
    assert fold_name("Mu\u0308ller") == fold_name("M\u00dcLLER".replace("\u00dc", "U\u0308"))
