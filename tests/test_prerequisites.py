"""What a newcomer without the right tools reads: what is missing and how to get it, and no more.

Each case has a PATH of its own with just the tools that it has.
"""

import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAKE = shutil.which("make") or ""
needs_make = pytest.mark.skipif(not MAKE, reason="make is not on PATH")
SHELL_TOOLS = ("sh", "sed", "head", "cat", "find", "mkdir", "touch", "rm", "echo", "printf")

GOOD = {
    "python3": "exit 0",
    "rustc": "echo 'rustc 1.99.0 (0123abcd 2026-01-01)'",
    "cargo": "echo 'cargo 1.99.0'",
    "cc": "echo 'cc 14'",
}
OLD_PYTHON = "case $1 in --version) echo Python 3.9.2 ;; *) exit 3 ;; esac"
NO_TOOLCHAIN = "echo 'error: rustup could not choose a version of rustc to run' >&2; exit 1"
RUST_VERSION = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]["rust-version"]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The files that are needed before anything is built, and no `.venv`."""
    for name in ("Makefile", "Cargo.toml", "Cargo.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    for name in ("scripts", "requirements"):
        shutil.copytree(ROOT / name, tmp_path / name)
    (tmp_path / "rust").mkdir()
    return tmp_path


def call(
    checkout: Path, *command: str | Path, tools: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a command with the shell's tools and these scripts on PATH, and nothing else."""
    folder = checkout / "path"
    folder.mkdir()
    for name in SHELL_TOOLS:
        found = shutil.which(name)
        assert found is not None
        (folder / name).symlink_to(found)
    for name, script in tools.items():
        tool = folder / name
        tool.write_text(f"#!{shutil.which('sh')}\n{script}\n")
        tool.chmod(0o755)
    return subprocess.run(  # noqa: S603
        command,
        cwd=checkout,
        env={"PATH": str(folder), "HOME": os.environ.get("HOME", "/")},
        capture_output=True,
        text=True,
        check=False,
    )


def without(*names: str) -> dict[str, str]:
    return {name: script for name, script in GOOD.items() if name not in names}


@pytest.mark.parametrize("kind", ["build", "lint"])
def test_where_all_is_there_nothing_is_said(kind: str, checkout: Path) -> None:
    done = call(checkout, "scripts/prerequisites", kind, tools=GOOD)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("kind", "tools", "error", "hint"),
    [
        ("build", without("python3"), "no Python was found", "apt-get install"),
        ("build", {**GOOD, "python3": OLD_PYTHON}, "python3 is Python 3.9.2; CPython 3.11",
         "make PYTHON=/path/to/python3.12"),
        ("build", {**GOOD, "python3": "exit 1"}, "python3 has no venv or no ensurepip",
         "apt-get install python3-venv"),
        ("build", without("rustc"), "rustc was not found; Rust ", "rustup"),
        ("build", without("cargo"), "cargo was not found; Rust ", "rustup"),
        ("build", {**GOOD, "rustc": "echo 'rustc 1.63.0 (Debian)'"},
         "rustc is too old: rustc 1.63.0", "rustup update stable"),
        ("build", {**GOOD, "rustc": "echo nonsense"}, "rustc is too old: nonsense",
         "rustup update"),
        ("build", {**GOOD, "rustc": NO_TOOLCHAIN}, "rustc does not run: error: rustup could not",
         "rustup default stable"),
        ("build", {**GOOD, "cargo": NO_TOOLCHAIN}, "cargo does not run", "'cargo --version'"),
        ("build", without("cc"), "no C compiler named 'cc' runs", "apt-get install gcc"),
        ("lint", {**GOOD, "cargo": "case $1 in fmt) exit 1 ;; esac"}, "cargo has no rustfmt",
         "rustup component add rustfmt"),
        ("lint", {**GOOD, "cargo": "case $1 in clippy) exit 1 ;; esac"}, "cargo has no clippy",
         "rustup component add clippy"),
        ("nonsense", GOOD, "usage: scripts/prerequisites build|lint", "run make"),
    ],
)  # fmt: skip
def test_what_is_missing_is_named_with_what_to_do(
    kind: str, tools: Mapping[str, str], error: str, hint: str, checkout: Path
) -> None:
    done = call(checkout, "scripts/prerequisites", kind, tools=tools)
    assert (done.returncode, done.stdout) == (1, "")
    told = done.stderr.splitlines()
    assert told[0].startswith(f"error: {error}")
    assert told[1].startswith("  hint: ")
    assert hint in done.stderr
    assert len(told) <= 3


def test_the_wanted_rust_is_the_one_that_cargo_wants(checkout: Path) -> None:
    tools = {**GOOD, "rustc": "echo 'rustc 1.2.3'"}
    done = call(checkout, "scripts/prerequisites", "build", tools=tools)
    assert f"{RUST_VERSION} or newer is needed (rust-version in Cargo.toml)" in done.stderr


@pytest.mark.parametrize("version", ["{0}.0", "{0}.0-nightly (abc)", "1.100.0", "2.0.0"])
def test_a_rust_that_is_new_enough_is_taken(version: str, checkout: Path) -> None:
    tools = {**GOOD, "rustc": f"echo 'rustc {version.format(RUST_VERSION)}'"}
    assert call(checkout, "scripts/prerequisites", "build", tools=tools).returncode == 0


@pytest.mark.parametrize(
    ("named", "tools", "found"),
    [
        (["mine"], {**GOOD, "python3.12": "exit 0", "mine": "exit 0"}, "mine\n"),
        # The newest that is whole.
        ([], {**GOOD, "python3.14": "exit 1", "python3.13": "exit 127", "python3.12": "exit 0"},
         "python3.12\n"),
    ],
)  # fmt: skip
def test_the_interpreter_that_was_named_or_else_the_newest_is_taken(
    named: list[str], tools: Mapping[str, str], found: str, checkout: Path
) -> None:
    done = call(checkout, "scripts/find-python", *named, tools=tools)
    assert (done.returncode, done.stdout) == (0, found)


def test_an_interpreter_that_was_named_and_is_none_is_told(checkout: Path) -> None:
    done = call(checkout, "scripts/find-python", "/no/python", tools=GOOD)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: PYTHON=/no/python is not an interpreter that can be run")


def test_a_venv_whose_interpreter_was_removed_is_told(checkout: Path) -> None:
    (checkout / ".venv" / "bin").mkdir(parents=True)
    (checkout / ".venv" / "bin" / "python").symlink_to("/no/python")
    done = call(checkout, "scripts/prerequisites", "build", tools=GOOD)
    assert (done.returncode, done.stdout) == (1, "")
    assert ".venv holds no Python that runs" in done.stderr
    assert "rm -rf .venv" in done.stderr


@needs_make
def test_make_alone_lists_what_there_is_and_needs_nothing_for_it(checkout: Path) -> None:
    done = call(checkout, MAKE, tools={})
    assert (done.returncode, done.stderr) == (0, "")
    for target in ("demo", "test", "bench", "build", "lint", "types", "fmt", "lock", "clean"):
        assert re.search(rf"^  make {target} +\w", done.stdout, re.MULTILINE), target


@needs_make
@pytest.mark.parametrize(
    "target", ["build", "demo", "test", "lint", "types", "test-rust", "bench"]
)
def test_make_stops_at_the_first_missing_tool_before_it_makes_anything(
    target: str, checkout: Path
) -> None:
    done = call(checkout, MAKE, target, tools=without("cargo"))
    assert done.returncode == 2
    assert done.stderr.startswith("error: cargo was not found; Rust ")
    assert "Traceback" not in done.stderr
    assert not (checkout / ".venv").exists()
    assert not (checkout / "target").exists()
