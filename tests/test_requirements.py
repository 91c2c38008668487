"""What is installed is what is needed: the ranges, the locks, and what the documents say to
run."""

import re
import tomllib
from pathlib import Path

import pytest

from msys_track.policy.lua import host

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
TOLD = [
    *ROOT.glob("*.md"),
    *ROOT.glob("docs/*.md"),
    *ROOT.glob("python/**/*.py"),
    *(file for file in ROOT.glob("scripts/*") if file.is_file()),
    *ROOT.glob("scripts/**/*.py"),
    ROOT / "Makefile",
]
INSTALLS = re.compile(r"pip install +['\"]?([^\s'\"`]+)")


def read_versions(name: str) -> dict[str, str]:
    text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
    return dict(re.findall(r"^([\w.-]+)==([\w.]+)", text, re.MULTILINE))


@pytest.mark.parametrize(
    "wanted", [*PROJECT["dependencies"], *EXTRAS["lua"], *EXTRAS["reference"]]
)
def test_make_build_installs_what_the_examples_need(wanted: str) -> None:
    name = re.match(r"[\w-]+", wanted)
    assert name is not None
    assert name[0] in read_versions("runtime.txt")


def test_a_minor_version_of_aiosmtpd_is_not_taken_unseen() -> None:
    [wanted] = [each for each in PROJECT["dependencies"] if each.startswith("aiosmtpd")]
    major, minor, *_ = map(int, read_versions("runtime.txt")["aiosmtpd"].split("."))
    assert wanted.endswith(f"<{major}.{minor + 1}")


@pytest.mark.parametrize("file", TOLD, ids=lambda file: str(file.relative_to(ROOT)))
def test_nobody_is_told_to_install_this_project_by_its_name(file: Path) -> None:
    # A checkout is not the package of that name on an index, which may be another's.
    installs = INSTALLS.findall(file.read_text(encoding="utf-8"))
    assert not [each for each in installs if each.startswith("msys")]


def test_what_a_policy_in_lua_and_the_pages_say_to_install_is_the_extra_s_range() -> None:
    [lua] = EXTRAS["lua"]
    files = [Path(host.__file__), ROOT / "docs/policy.md", ROOT / "docs/dependencies.md"]
    for file in files:
        assert f"pip install '{lua}'" in file.read_text(encoding="utf-8"), file
