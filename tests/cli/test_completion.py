"""Completion, in the shells that are here."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from tests import processes

SHELLS = ("bash", "zsh", "fish")
# What readline does at Tab, without a terminal.
_AT_TAB = """
{script}
COMP_WORDS=({words}) COMP_CWORD={last}
_msys_track_completion msys-track '' ''
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def run(folder: Path, *arguments: str) -> processes.Ended:
    return processes.run(folder, "completion", *arguments)


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_of_a_shell_is_printed_and_is_what_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shell: str
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    printed = run(tmp_path, shell)
    assert (printed.code, printed.errors) == (0, "")
    assert b"_MSYS_TRACK_COMPLETE=" + shell.encode() in printed.output
    installed = run(tmp_path, shell, "--install")
    assert (installed.code, installed.output) == (0, b"")
    [file] = [each for each in tmp_path.rglob("*msys-track*") if each.is_file()]
    assert file.read_bytes() == printed.output
    assert installed.errors.startswith(f"{file}: written. ")


def test_bash_completes_commands_and_options(tmp_path: Path) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("bash was not found")
    script = run(tmp_path, "bash").output.decode()
    command = Path(processes.COMMAND)
    environment = {**os.environ, "PATH": f"{command.parent}:{os.environ['PATH']}"}
    for words, expected in (
        ("msys-track op", {"open-link"}),
        ("msys-track ke", {"keys"}),
        ("msys-track open-link --ke", {"--keys"}),
    ):
        last = len(words.split()) - 1
        done = subprocess.run(  # noqa: S603 - our own script
            [bash, "-c", _AT_TAB.format(script=script, words=words, last=last)],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            timeout=processes.PATIENCE_SECONDS,
            check=True,
            text=True,
        )
        assert {line.split(",")[-1] for line in done.stdout.split()} == expected


def test_another_shell_is_wrong_usage(tmp_path: Path) -> None:
    assert run(tmp_path, "tcsh").code == 2


def test_a_place_that_can_t_be_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "file"))
    ended = run(tmp_path, "bash", "--install")
    assert ended.code == 1
    assert "Not a directory" in ended.errors
