"""Wrong usage of each command ends with 2; the error names the option and says what to do."""

import ast
import re
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click
import pytest
from tests.cli.test_examples import COMMANDS
from tests.processes import Run

import msys_track
from msys_track.cli.exits import ExitCode
from msys_track.cli.parameters import Moment

_PACKAGE: Final = Path(msys_track.__file__).parent
# No command: `make fidelity` runs it, and its page says how it ends.
_OWN_CODES: Final = _PACKAGE / "comparison/fidelity/__main__.py"
_LEAVES: Final = {
    path: command for path, command in COMMANDS.items() if not isinstance(command, click.Group)
}
# A file in place of a folder, a folder in place of a file, and what nothing else allows.
_FILE: Final = "file"
_FOLDER: Final = "."
_NONSENSE: Final = "no such thing"


def list_judged() -> Iterator[tuple[str, str, str]]:
    """List the options whose values are judged as they are read, each with a fault."""
    for path, command in _LEAVES.items():
        for each in command.params:
            if not isinstance(each, click.Option) or each.is_flag:
                continue
            if isinstance(each.type, click.Path):
                yield path, each.opts[-1], _FOLDER if each.type.file_okay else _FILE
            elif not isinstance(each.type, click.types.StringParamType):
                yield path, each.opts[-1], _NONSENSE


def take_example(path: str) -> list[str]:
    """Return the words of an example, without the program's name and the shell's own."""
    found = re.match(r"msys-track ([^<>|&]*)", COMMANDS[path].examples[0].replace("\\\n", " "))
    assert found is not None
    return shlex.split(found[1])


def find_hint(path: str) -> str:
    return f"Try '{' '.join(['msys-track', *path.split()])} --help' for help."


@pytest.mark.parametrize("path", COMMANDS)
def test_an_option_that_is_not_there_is_named(path: str, run: Run) -> None:
    ended = run(*path.split(), "--nope")
    assert (ended.code, ended.output) == (ExitCode.MISUSED, b"")
    assert "No such option '--nope'." in ended.errors
    assert find_hint(path) in ended.errors


@pytest.mark.parametrize(
    "path", [path for path, each in _LEAVES.items() if any(each.required for each in each.params)]
)
def test_what_is_missing_is_named(path: str, run: Run) -> None:
    ended = run(*path.split())
    assert (ended.code, ended.output) == (ExitCode.MISUSED, b"")
    first = next(each for each in _LEAVES[path].params if each.required)
    assert f"Missing {first.param_type_name} " in ended.errors
    assert (first.opts[-1] if isinstance(first, click.Option) else "'") in ended.errors
    assert find_hint(path) in ended.errors


@pytest.mark.parametrize(("path", "option", "value"), list(list_judged()))
def test_a_wrong_value_is_shown_with_its_option(
    path: str, option: str, value: str, run: Run, tmp_path: Path
) -> None:
    (tmp_path / _FILE).write_bytes(b"")
    ended = run(*take_example(path), option, value)
    assert (ended.code, ended.output) == (ExitCode.MISUSED, b"")
    assert re.search(rf"Invalid value for .*'{option}'.*: .*'{value}'", ended.errors)
    assert " range." not in ended.errors
    assert find_hint(path) in ended.errors


def test_a_time_is_one_of_a_clock_or_ago() -> None:
    moment = Moment()
    seven = moment.convert("2026-11-28T20:00:00", None, None)
    assert seven == moment.convert("2026-11-28T21:00:00+01:00", None, None)
    assert moment.convert(seven, None, None) == seven
    ago = moment.convert("2h", None, None)
    assert abs(datetime.now(UTC).timestamp() - 7_200 - ago) < 60
    with pytest.raises(click.BadParameter, match="or 2h"):
        moment.convert("2 h", None, None)


def list_exits(source: str) -> Iterator[ast.expr]:
    """List what a module ends the process with, or a command."""
    for each in ast.walk(ast.parse(source)):
        if not isinstance(each, ast.Call):
            continue
        called = ast.unparse(each.func)
        if called.rpartition(".")[2] in {"exit", "Exit", "SystemExit"}:
            yield each.args[0] if each.args else each
        yield from (word.value for word in each.keywords if word.arg == "exit_code")


def test_every_exit_of_the_package_is_one_of_the_codes() -> None:
    found = {
        ast.unparse(code)
        for file in _PACKAGE.rglob("*.py")
        if file != _OWN_CODES
        for code in list_exits(file.read_text(encoding="utf-8"))
    }
    names = "|".join(f"ExitCode.{each.name}" for each in ExitCode)
    wrong = {
        each for each in found if not re.fullmatch(rf"({names})( if \w+ else ({names}))?", each)
    }
    assert found
    assert wrong == set()


@pytest.mark.parametrize(
    "spoiled",
    ["sys.exit(3)", "context.exit(1)", "raise click.exceptions.Exit(code)", "sys.exit()"],
)
def test_a_bare_number_is_found(spoiled: str) -> None:
    assert not any("ExitCode" in ast.unparse(each) for each in list_exits(spoiled))
    assert list(list_exits(spoiled))
