"""`msys-track keys`: what a person sees, and what a script can rely on."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.processes import Run

from msys_track.cli import main
from msys_track.keys.ring import KeyRing

DATE = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where a key file can be made."""
    return tmp_path / "keys.toml"


def keys(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["keys", *map(str, arguments)])


def secrets_in(file: Path) -> list[str]:
    return re.findall(r'secret = "(.+)"', file.read_text(encoding="utf-8"))


def test_new_makes_a_file_and_says_so_beside_the_output(file: Path) -> None:
    result = keys("new", file)
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == f"{file}: made, with one key\n"
    assert KeyRing.load(file).ids == (1,)


def test_new_never_writes_over_a_file_and_names_the_command_that_was_meant(file: Path) -> None:
    keys("new", file)
    before = file.read_bytes()
    result = keys("new", file)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        f"msys-track: {file}: there is a file already; "
        f"`msys-track keys rotate {file}` adds a key to it\n"
    )
    assert file.read_bytes() == before


def test_rotate_puts_a_key_first_and_says_whom_to_reload_in_which_order(file: Path) -> None:
    keys("new", file)
    result = keys("rotate", file)
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == (
        f"{file}: key 2 seals now, the others still open their links\n"
        "  next: give this file to every tracker and reload it (SIGHUP), then the proxies; "
        "a tracker without key 2 can't open its links\n"
    )
    assert KeyRing.load(file).ids == (2, 1)


def test_rotate_of_a_missing_file_names_the_command_that_makes_one(file: Path) -> None:
    result = keys("rotate", file)
    assert result.exit_code == 1
    assert result.stderr == (
        f"msys-track: {file}: there is no such key file; `msys-track keys new {file}` makes one\n"
    )
    assert not file.exists()


def test_list_has_a_line_for_each_key_and_the_first_seals(file: Path) -> None:
    keys("new", file)
    keys("rotate", file)
    keys("rotate", file)
    result = keys("list", file)
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert len(lines) == 3
    assert re.fullmatch(rf"  3  {DATE}  seals, opens", lines[0])
    assert re.fullmatch(rf"  2  {DATE}  opens", lines[1])
    assert re.fullmatch(rf"  1  {DATE}  opens", lines[2])


def test_the_keys_of_a_variable_can_be_listed_and_not_rotated(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys("new", file)
    monkeypatch.setenv("TRACKING_KEYS", file.read_text(encoding="utf-8"))
    monkeypatch.chdir(file.parent)
    assert keys("list", "env:TRACKING_KEYS").stdout == keys("list", file).stdout
    for verb in ("rotate", "new"):
        result = keys(verb, "env:TRACKING_KEYS")
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.startswith(
            "msys-track: env:TRACKING_KEYS: only a file can be written"
        )
    assert list(file.parent.iterdir()) == [file]


def test_keys_in_the_place_of_their_name_are_wrong_usage_and_not_shown(file: Path) -> None:
    keys("new", file)
    result = keys("list", file.read_text(encoding="utf-8"))
    assert result.exit_code == 2
    assert "give the name of a file, env:NAME or credential:NAME" in result.stderr
    assert secrets_in(file)[0][:8] not in result.output


def test_no_command_shows_a_secret(file: Path) -> None:
    output = [keys("new", file), keys("rotate", file), keys("list", file), keys("new", file)]
    shown = "".join(result.output for result in output)
    assert len(secrets_in(file)) == 2
    assert not any(secret[:8] in shown for secret in secrets_in(file))


def test_a_file_that_others_can_read_is_refused_with_the_command_that_helps(file: Path) -> None:
    keys("new", file)
    file.parent.chmod(0o755)
    file.chmod(0o644)
    for command in ("list", "rotate"):
        result = keys(command, file)
        assert (result.exit_code, result.stdout) == (1, "")
        assert f"(mode 0644); run `chmod 600 {file}`" in result.stderr


@pytest.mark.parametrize("command", ["new", "rotate", "list"])
def test_a_folder_and_no_file_are_wrong_usage(tmp_path: Path, command: str) -> None:
    for arguments, wording in (([tmp_path], "is a directory"), ([], "Missing argument 'FILE'")):
        result = keys(command, *arguments)
        assert result.exit_code == 2
        assert wording in result.stderr


def test_the_installed_command_makes_rotates_and_lists(file: Path, run: Run) -> None:
    assert [run("keys", verb, file).code for verb in ("new", "rotate")] == [0, 0]
    listed = run("keys", "list", file)
    assert (listed.code, listed.errors) == (0, "")
    lines = rf"  2  {DATE}  seals, opens\n  1  {DATE}  opens\n"
    assert re.fullmatch(lines, listed.output.decode())
