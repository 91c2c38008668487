"""What docs/serving.md shows works as it stands."""

import re
from pathlib import Path

from msys_track.accounts.users import add_user
from msys_track.cli import COMMANDS
from msys_track.config.load import load
from msys_track.keys.file import create

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")


def test_its_configuration_has_no_fault(tmp_path: Path) -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    file = tmp_path / "msys-track.toml"
    file.write_text(text, encoding="utf-8")
    create(tmp_path / "keys.toml")
    add_user(tmp_path / "users.toml", "amy", "correct horse battery staple")
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
