"""`msys-track users`: what a person sees, and what a script can rely on."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from msys_track.accounts.users import read_users
from msys_track.cli import main

NEXT = "  next: SIGHUP the server, or wait: it looks at the file every few seconds\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where a file of users can be made."""
    return tmp_path / "users.toml"


def users(*arguments: str | Path, stdin: str | bytes = "correct horse\n") -> Result:
    return CliRunner().invoke(main, ["users", *map(str, arguments)], input=stdin)


def test_add_takes_the_password_from_standard_input_and_says_what_comes_next(file: Path) -> None:
    result = users("add", file, "shop")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == f"{file}: user shop can log in now\n{NEXT}"
    assert read_users(file)[0].password.verify("correct horse")


def test_the_password_is_the_first_line_without_its_end(file: Path) -> None:
    users("add", file, "shop", stdin=" two words \r\nmore\n")
    assert read_users(file)[0].password.verify(" two words ")


def test_a_password_that_is_not_utf_8_is_refused(file: Path) -> None:
    result = users("add", file, "shop", stdin=b"correct h\xf6rse\n")
    assert (result.exit_code, file.exists()) == (1, False)
    assert result.stderr == "msys-track: standard input: the password is not UTF-8\n"


def test_no_password_is_refused(file: Path) -> None:
    result = users("add", file, "shop", stdin="")
    assert (result.exit_code, file.exists()) == (1, False)
    assert result.stderr == "msys-track: the password is shorter than 8 characters\n"


def test_list_shows_names_and_subaccounts_and_no_hash(file: Path) -> None:
    users("add", file, "shop")
    users("add", file, "blog", "--subaccount", "7")
    result = users("list", file)
    assert (result.exit_code, result.output) == (0, "shop\nblog\tsubaccount 7\n")


def test_a_user_is_replaced_only_if_that_is_meant(file: Path) -> None:
    users("add", file, "shop")
    refused = users("add", file, "SHOP", stdin="another one\n")
    assert refused.exit_code == 1
    assert refused.stderr == (
        f"msys-track: {file}: there is a user SHOP already; --replace replaces it\n"
    )
    assert users("add", file, "SHOP", "--replace", stdin="another one\n").exit_code == 0
    assert read_users(file)[0].password.verify("another one")


def test_remove_takes_a_user_out(file: Path) -> None:
    users("add", file, "shop")
    result = users("remove", file, "shop")
    assert (result.exit_code, result.stderr) == (0, f"{file}: user shop was removed\n{NEXT}")
    assert read_users(file) == []


def test_a_file_that_is_missing_is_reported_with_the_command_that_makes_it(file: Path) -> None:
    result = users("list", file)
    assert result.exit_code == 1
    assert result.stderr == (
        f"msys-track: {file}: there is no such file; "
        f"`msys-track users add {file} NAME` makes one\n"
    )
