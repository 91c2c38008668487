"""What docs/serving.md shows works as it stands."""

import re
from importlib import import_module
from pathlib import Path

import pytest
from tests.shown import read_blocks
from tests.users import CHEAP, PASSWORD

from msys_track.accounts.users import add_user
from msys_track.cli import COMMANDS
from msys_track.config.load import load
from msys_track.keys.file import create
from msys_track.service.probing.finding import Finding, State

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")


def test_its_configuration_has_no_fault(tmp_path: Path) -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    file = tmp_path / "msys-track.toml"
    file.write_text(text, encoding="utf-8")
    create(tmp_path / "keys.toml")
    add_user(tmp_path / "users.toml", "amy", PASSWORD, cost=CHEAP)
    read = load(file)
    assert (read.proxy is not None, read.tracker is not None, read.report is not None) == (
        True,
        True,
        True,
    )
    assert read.notices == ()


def test_its_commands_are_there() -> None:
    named = set(re.findall(r"\bmsys-track (\w+)", PAGE))
    assert named - {"on"} <= COMMANDS.keys()


def test_the_unit_runs_all_servers() -> None:
    unit = (ROOT / "docs/deploy/systemd/msys-track.service").read_text(encoding="utf-8")
    assert "ExecStart=/opt/msys-track/bin/msys-track serve --config " in unit


def test_findings_are_printed_as_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (shown,) = (each.text for each in read_blocks("serving.md") if each.language == "console")
    monkeypatch.setattr("msys_track.cli.streams.columns", lambda: 116)
    # What is found needs a domain whose certificate is too old.
    import_module("msys_track.cli.check")._print_table(  # noqa: SLF001
        [
            Finding(what="configuration msys-track.toml", state=State.OK, found="no faults"),
            Finding(
                what="https://click.example.com",
                state=State.FAULT,
                found="the certificate at 192.0.2.7:443 is not accepted: certificate has expired",
                advice="give it one for click.example.com that is not out of date, with the "
                "certificates between it and its root (fullchain.pem, not cert.pem)",
            ),
            Finding(
                what="upstream 127.0.0.1:25",
                state=State.OK,
                found="would take mail for you@example.com; nothing was sent",
            ),
        ],
        1,
    )
    typed, *wanted = shown.splitlines()
    words = typed.removeprefix("$ msys-track ").split()
    command = COMMANDS[words[0]].load("msys-track")
    command.make_context(words[0], words[1:])  # an option that is not there raises
    found = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert found[: len(wanted)] == wanted
