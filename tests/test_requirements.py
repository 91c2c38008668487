"""What is installed is what is needed: the ranges, the locks, and what the documents say to
run."""

import re
import tomllib
from itertools import chain
from pathlib import Path

import pytest

from msys_track.cli import COMMANDS
from msys_track.errors import MissingExtraError

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
TOLD = [
    *ROOT.glob("*.md"),
    *ROOT.glob("docs/**/*.md"),
    *ROOT.glob("python/**/*.py"),
    *(file for file in ROOT.glob("scripts/*") if file.is_file()),
    *ROOT.glob("scripts/**/*.py"),
    ROOT / "Makefile",
]
INSTALLS = re.compile(r"pip install +['\"]?msys-track\[([^\]]+)\]")
NEEDS = re.compile(r"needed_extra\(\"(\w+)\"")


def read_versions(name: str) -> dict[str, str]:
    text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
    return dict(re.findall(r"^([\w.-]+)==([\w.]+)", text, re.MULTILINE))


RUNNING = sorted(EXTRAS.keys() - {"all", "bench"})


@pytest.mark.parametrize("extra", ["", *RUNNING])
def test_make_build_installs_all_that_runs(extra: str) -> None:
    for wanted in EXTRAS[extra] if extra else PROJECT["dependencies"]:
        name = re.match(r"[\w-]+", wanted)
        assert name is not None
        assert name[0] in read_versions("runtime.txt")


def test_all_is_every_extra_that_runs() -> None:
    [wanted] = EXTRAS["all"]
    assert sorted(wanted.removeprefix("msys-track[").removesuffix("]").split(",")) == RUNNING


def test_a_package_has_one_range_in_all_extras() -> None:
    ranges: dict[str, set[str]] = {}
    for wanted in (*PROJECT["dependencies"], *chain.from_iterable(EXTRAS.values())):
        name = re.match(r"[\w-]+", wanted)
        assert name is not None
        ranges.setdefault(name[0], set()).add(wanted)
    assert [each for each in ranges.values() if len(each) > 1] == []


def test_a_minor_version_of_aiosmtpd_is_not_taken_unseen() -> None:
    [wanted] = [each for each in EXTRAS["proxy"] if each.startswith("aiosmtpd")]
    major, minor, *_ = map(int, read_versions("runtime.txt")["aiosmtpd"].split("."))
    assert wanted.endswith(f"<{major}.{minor + 1}")


def find_told_extras(file: Path) -> set[str]:
    text = file.read_text(encoding="utf-8")
    told = [*INSTALLS.findall(text), *NEEDS.findall(text)]
    return set(chain.from_iterable(each.split(",") for each in told))


def test_an_extra_that_a_page_or_an_error_tells_to_install_is_there() -> None:
    told = {str(file.relative_to(ROOT)): find_told_extras(file) for file in TOLD}
    assert set().union(*told.values()) & EXTRAS.keys()
    there = EXTRAS.keys() | {"{extra}"}
    assert {file: names - there for file, names in told.items() if names - there} == {}


@pytest.mark.parametrize("extra", EXTRAS)
def test_the_page_of_the_library_has_the_line_that_the_error_has(extra: str) -> None:
    line = str(MissingExtraError("it", extra)).partition(": ")[2]
    page = (ROOT / "docs/library.md").read_text(encoding="utf-8")
    assert page.count(f"`{line}`") == 1


def test_every_extra_is_in_the_list_of_dependencies() -> None:
    page = (ROOT / "docs/dependencies.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `\[(\w+)\]` \|", page, re.MULTILINE)) == EXTRAS.keys()


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_what_a_command_needs_is_an_extra(name: str) -> None:
    extra = COMMANDS[name].extra
    assert extra is None or set(extra.split(",")) <= EXTRAS.keys()
