"""`msys-track api-keys`: what a person sees, and what a script can rely on."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from msys_track.cli import main
from msys_track.report.sparkpost.api_keys import ApiKeys


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "api-keys.toml"


def api_keys(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["api-keys", *map(str, arguments)])


def test_new_prints_the_key_alone_and_says_that_it_is_shown_once(file: Path) -> None:
    result = api_keys("new", file, "billing")
    assert result.exit_code == 0
    assert result.stderr == f"{file}: billing can read now; keep the key, it is not shown again\n"
    assert ApiKeys(file).find(result.stdout.removesuffix("\n")) is not None


def test_list_shows_names_and_scopes_and_no_hash(file: Path) -> None:
    api_keys("new", file, "billing")
    api_keys("new", file, "shop", "--scope", "events")
    assert api_keys("list", file).output == "billing\tevents metrics\nshop\tevents\n"


def test_remove_says_what_was_removed(file: Path) -> None:
    api_keys("new", file, "billing")
    assert api_keys("remove", file, "billing").stderr == f"{file}: key billing was removed\n"
    assert api_keys("list", file).output == ""


def test_a_fault_is_one_line(file: Path) -> None:
    result = api_keys("list", file)
    assert result.exit_code == 1
    assert result.stderr == (
        f"msys-track: {file}: there is no such file; `msys-track api-keys new {file} NAME` makes "
        "one\n"
    )


def test_another_scope_is_refused(file: Path) -> None:
    assert api_keys("new", file, "billing", "--scope", "write").exit_code == 2
