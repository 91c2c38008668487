"""docs/policy.md is obeyed: its two files are called, and decide as the page says."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.shown import read_blocks

from msys_track.cli import main
from msys_track.keys.file import create

pytest.importorskip("lupa")

BLOCKS = {each.role or each.language: each.text for each in read_blocks("policy.md")}
FILES = ("policy/engagement.lua", "policy/gate.py")
START = """\
keys = "keys.toml"
[listener]
click_tracking_enabled = true
tracking_domain = "click.example.com"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    create(tmp_path / "keys.toml")
    (tmp_path / "msys-track.toml").write_text(START + BLOCKS["toml"], encoding="utf-8")
    (tmp_path / "policy").mkdir()
    for name in FILES:
        (tmp_path / name).write_text(BLOCKS[name], encoding="utf-8")
    return tmp_path


def explain(class_: str, recipient: str = "jo@example.com") -> Result:
    mail = f"Subject: x\r\nX-Class: {class_}\r\n\r\nhttps://shop.example/\r\n"
    Path("mail.eml").write_text(mail, newline="")
    return CliRunner().invoke(main, ["explain", "mail.eml", "--to", recipient, "--json"])


@pytest.mark.parametrize("alone", FILES)
def test_either_file_switches_clicks_off_for_a_password_reset(folder: Path, alone: str) -> None:
    text = START + f'[policy]\nfiles = ["{alone}"]\n'
    (folder / "msys-track.toml").write_text(text, encoding="utf-8")
    assert find_click_tracking(explain("password-reset")) == (False, "policy")
    assert find_click_tracking(explain("newsletter"))[0] is True


@pytest.mark.usefixtures("folder")
def test_the_gate_refuses_a_recipient_as_the_page_says() -> None:
    refused = explain("newsletter", "jo@blocked.example")
    assert refused.exit_code == 1
    assert json.loads(refused.stdout)["refused"] == {
        "code": 550,
        "text": "5.7.1 This domain wants no mail",
    }


def find_click_tracking(result: Result) -> tuple[bool, str]:
    """Find whether clicks are tracked, and who decided it."""
    (decided,) = json.loads(result.stdout)["decided"]
    option = next(each for each in decided["options"] if each["name"] == "click_tracking")
    return option["value"], option["source"].partition(" ")[0]
