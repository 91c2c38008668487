"""The page about the command line is what the commands say of themselves."""

from pathlib import Path

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
