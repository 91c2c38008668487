"""The files around the code tell the same: versions, workflows, templates."""

import re
import tomllib
from pathlib import Path

import pytest
from tests.packaging.contents import ROOT, read_version

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
USES = re.compile(r"^ *(?:- )?uses: (.*)$", re.MULTILINE)
PINNED = re.compile(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_citation_has_the_version_of_the_package() -> None:
    assert re.findall(r"^version: (.*)$", read("CITATION.cff"), re.MULTILINE) == [read_version()]
    assert f'name = "msys-track"\nversion = "{read_version()}"' in read("Cargo.lock")


def test_the_version_is_stated_in_no_second_place() -> None:
    assert PROJECT["project"]["dynamic"] == ["version"]
    assert "version" not in PROJECT["project"]


def test_a_version_that_was_released_has_a_part_in_the_changelog() -> None:
    headings = re.findall(r"^## \[([^\]]+)\]", read("CHANGELOG.md"), re.MULTILINE)
    is_released = "date-released:" in read("CITATION.cff")
    assert headings[0] == "Unreleased"
    assert (read_version() in headings) == is_released


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_names_each_action_by_commit_and_begins_without_permissions(
    workflow: Path,
) -> None:
    text = workflow.read_text(encoding="utf-8")
    uses = USES.findall(text)
    assert uses
    assert [each for each in uses if not PINNED.fullmatch(each)] == []
    assert re.search(r"^permissions: \{\}$", text, re.MULTILINE)
    assert "secrets." not in text


def test_the_workflows_run_what_is_there() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in WORKFLOWS)
    targets = re.findall(r"\bmake (\w+)(?: |$)", text, re.MULTILINE)
    assert set(targets) == {"test", "workflows"}
    for target in targets:
        assert re.search(rf"^{target}:", read("Makefile"), re.MULTILINE)
    for module in re.findall(r"python -m (tests\.[\w.]+)", text):
        assert (ROOT / f"{module.replace('.', '/')}.py").is_file()
    for file in re.findall(r"(?:run: |-r )((?:scripts|requirements)/[\w.]+)", text):
        assert (ROOT / file).is_file()


def test_what_is_published_is_what_the_page_on_releasing_lists() -> None:
    targets = set(re.findall(r"target: ([\w-]+),", read(".github/workflows/wheels.yml")))
    linux = {f"{cpu}-unknown-linux-{c}" for cpu in ("x86_64", "aarch64") for c in ("gnu", "musl")}
    others = {"x86_64-apple-darwin", "aarch64-apple-darwin", "x86_64-pc-windows-msvc"}
    assert targets == linux | others
    page = read("RELEASING.md")
    for named in (
        "manylinux_2_17_{x86_64,aarch64}",
        "musllinux_1_2_{x86_64,aarch64}",
        "win_amd64",
    ):
        assert named in page
    assert "macosx_…_{x86_64,arm64}" in page


def test_every_python_that_is_supported_and_released_is_tested() -> None:
    [oldest] = re.findall(r">=3\.(\d+)", PROJECT["project"]["requires-python"])
    [tested] = re.findall(r"python: \[(.*)\]", read(".github/workflows/test.yml"))
    minors = [int(each) for each in re.findall(r'"3\.(\d+)"', tested)]
    assert minors == list(range(int(oldest), max(minors) + 1))
