"""The page about the command line is what the commands say of themselves."""

import runpy
from pathlib import Path

import pytest

from msys_track.cli import COMMANDS, reference

PAGE = Path(__file__).parents[2] / "docs" / "command-line.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference.write_markdown(), "write: make pages"


def test_every_command_is_on_the_page() -> None:
    page = reference.write_markdown()
    for name in COMMANDS:
        assert f"\n## msys-track {name}\n" in page or f"\n### msys-track {name}\n" in page


def test_every_option_but_help_and_version_has_an_environment_variable() -> None:
    for name in COMMANDS:
        command = COMMANDS[name].load(name)
        for parameter in command.params:
            if parameter.param_type_name == "option":
                assert str(parameter.envvar).startswith("MSYS_TRACK_"), (name, parameter.name)


@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
def test_the_module_writes_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_module("msys_track.cli.reference", run_name="__main__")
    assert capsys.readouterr().out == PAGE.read_text(encoding="utf-8")
