"""`msys-track config check`: every fault with its place, exit code 2, and nothing opened."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.cli.processes import Run

from msys_track.cli import main


def check(file: Path | str) -> Result:
    return CliRunner().invoke(main, ["config", "check", str(file)])


def broken(config: Path, old: str, new: str) -> Result:
    text = config.read_text(encoding="utf-8")
    assert old in text
    config.write_text(text.replace(old, new), encoding="utf-8")
    return check(config)


def test_a_good_configuration_has_no_faults_and_nothing_is_made(config: Path) -> None:
    before = sorted(config.parent.iterdir())
    result = check(config)
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{config}: no faults\n", "")
    assert sorted(config.parent.iterdir()) == before


@pytest.mark.parametrize(
    ("old", "new", "line", "told"),
    [
        ("open_tracking_enabled = true", 'open_tracking_enabled = "yes"', 4,
         'listener.open_tracking_enabled: found "yes", allowed: true or false, without quotes'),
        ("open_tracking_enabled", "open_traking_enabled", 4,
         "listener.open_traking_enabled: unknown; did you mean open_tracking_enabled?"),
        ('"click.example.com"', '"http://click.example.com/"', 6,
         "listener.tracking_domain: found"),
        ('"127.0.0.1:9"', '"localhost"', 9,
         'proxy.upstream: found "localhost", allowed: host:port'),
        ('"127.0.0.1:9"', '"127.0.0.1:0"', 9, "port 1 to 65535"),
        ('upstream = "127.0.0.1:9"\n', "", 7, "proxy.upstream: missing; [proxy] can't do without"),
        ('"events.sqlite"', '"missing/events.sqlite"', 12, "but there is no folder"),
        ('"events.sqlite"', '"."', 12, "a folder, allowed: a file"),
        ('"keys.toml"', '"no.toml"', 2, 'keys: found "no.toml", but there is no such file'),
        ('keys = "keys.toml"', "", 1,
         'keys: missing; [proxy] needs keys = "keys.toml" at the top'),
        ("[tracker]", "[traker]", 10, "traker: unknown; did you mean tracker?"),
        ("[proxy]", "[proxy", 7, "not TOML"),
        ("= true", "= True", 4, "listener.open_tracking_enabled"),
    ],
)  # fmt: skip
def test_a_fault_is_told_with_file_line_key_and_what_is_allowed(
    config: Path, old: str, new: str, line: int, told: str
) -> None:
    result = broken(config, old, new)
    assert (result.exit_code, result.stdout) == (2, "")
    [fault] = [each for each in result.stderr.splitlines() if f":{line}: " in each][:1]
    assert fault.startswith(f"{config}:{line}: ")
    assert told.removeprefix("listener.open_tracking_enabled") in fault


def test_all_faults_are_told_at_once(config: Path) -> None:
    text = config.read_text(encoding="utf-8").replace("true", "1").replace('"127.0.0.1:0"', "25")
    config.write_text(text, encoding="utf-8")
    result = check(config)
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 4


def test_keys_that_can_t_be_used_are_a_fault(config: Path, keys: Path) -> None:
    keys.chmod(0o640)
    result = check(config)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"{config}: keys: {keys}: others than its owner can use it")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\xff\xfe", ":1: not UTF-8, which TOML must be"),
        (b"keys = 'x'\n\xff", ":2: not UTF-8, which TOML must be"),
        (b"\0", ":1: not TOML"),
        (b"= 1", ":1: not TOML"),
        (bytes(range(128, 256)), ":1: not UTF-8"),
        (b"[" * 10_000, ":1: not TOML"),
        (b"a = " + b"[" * 100_000, ":1: a: not TOML"),
        (b"a = " + b"9" * 10_000, ":1: a: not TOML: number too long"),
    ],
)
def test_what_is_no_configuration_at_all_is_told(
    tmp_path: Path, content: bytes, told: str
) -> None:
    file = tmp_path / "file.toml"
    file.write_bytes(content)
    result = check(file)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"{file}{told}")


def test_an_empty_file_is_a_configuration_that_starts_nothing(tmp_path: Path) -> None:
    file = tmp_path / "empty.toml"
    file.touch()
    assert check(file).exit_code == 0
    for server in ("proxy", "tracker"):
        result = CliRunner().invoke(main, [server, "--config", str(file)])
        assert (result.exit_code, result.stderr) == (
            2,
            f"{file}: no [{server}] table: nothing to start\n",
        )


@pytest.mark.parametrize(
    "command", [("config", "check"), ("proxy", "--config"), ("tracker", "--config")]
)
def test_a_file_that_is_missing_or_a_folder_is_told(
    command: tuple[str, str], tmp_path: Path
) -> None:
    for file, told in [
        (tmp_path / "no.toml", "no.toml: can't be read: No such file or directory\n"),
        (tmp_path, f"File '{tmp_path}' is a directory.\n"),
        (tmp_path / "no" / "no.toml", "can't be read: No such file or directory\n"),
    ]:
        result = CliRunner().invoke(main, [*command, str(file)])
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr.endswith(told)


def test_the_default_file_stands_in_the_working_folder(run: Run, config: Path) -> None:
    config.rename(config.with_name("other.toml"))
    ended = run("proxy")
    assert (ended.code, ended.output) == (2, b"")
    assert ended.errors == "msys-track.toml: can't be read: No such file or directory\n"
