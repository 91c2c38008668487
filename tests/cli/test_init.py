"""`msys-track init`: what it prints can be typed, and a fault leaves nothing behind."""

import os
import subprocess
from pathlib import Path

import pytest
from tests.processes import COMMAND, PATIENCE_SECONDS, Run, environment, shell


def test_the_printed_folder_can_be_typed_whatever_its_name(run: Run, tmp_path: Path) -> None:
    ended = run("init", "my mail's", "--user", "jo")
    assert ended.code == 0
    [line] = [each for each in ended.output.decode().splitlines() if "&& msys-track serve" in each]
    checked = shell(tmp_path, line.replace("serve", "config check"))
    assert (checked.code, checked.output) == (0, b"msys-track.toml: no faults\n")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--upstream", "nonsense"),
        ("--tracking-domain", "http://x/"),
        ("--report-listen", "127.0.0.1:99999"),
    ],
)
def test_a_wrong_option_is_named_and_leaves_nothing_behind(
    run: Run, tmp_path: Path, option: str, value: str
) -> None:
    ended = run("init", "mail", option, value)
    assert ended.code == 2
    assert f"Invalid value for '{option}'" in ended.errors
    assert f"'{value}'; allowed: " in ended.errors
    assert list(tmp_path.iterdir()) == []


def test_what_only_the_whole_configuration_forbids_leaves_nothing_behind(
    run: Run, tmp_path: Path
) -> None:
    ended = run("init", "mail", "--listen", "0.0.0.0:2525", "--tracker-listen", "0.0.0.0:2525")
    assert ended.code == 2
    assert ended.errors.endswith("nothing was made; see `msys-track init --help`\n")
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_stays(run: Run, tmp_path: Path) -> None:
    (tmp_path / "other").write_text("mine", encoding="utf-8")
    assert run("init", ".", "--upstream", "nonsense").code == 2
    assert run("init", ".", "--user", "jo").code == 0
    keys = (tmp_path / "keys.toml").read_bytes()
    ended = run("init", ".", "--user", "jo")
    assert ended.code == 2
    assert "is there already, and is left as it is; name another folder" in ended.errors
    assert (tmp_path / "keys.toml").read_bytes() == keys
    assert (tmp_path / "other").read_text(encoding="utf-8") == "mine"


def test_a_wrong_answer_is_asked_for_again(tmp_path: Path) -> None:
    own, terminal = os.openpty()
    answers = ["http://x/", "click.example.com", "y", "nowhere", "127.0.0.1:25", "jo"]
    os.write(own, "".join(f"{each}\n" for each in answers).encode())
    made = subprocess.run(  # noqa: S603 - our own command
        [COMMAND, "init", "shop"],
        cwd=tmp_path,
        stdin=terminal,
        capture_output=True,
        text=True,
        env=environment(),
        timeout=PATIENCE_SECONDS,
        check=True,
    )
    os.close(terminal)
    os.close(own)
    assert "Error: 'http://x/'; allowed: host or host:port" in made.stdout + made.stderr
    assert "Error: 'nowhere'; allowed: host:port" in made.stdout + made.stderr
    text = (tmp_path / "shop" / "msys-track.toml").read_text(encoding="utf-8")
    assert 'tracking_domain = "click.example.com"' in text
