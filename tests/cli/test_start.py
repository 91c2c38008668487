"""How little is loaded before a command begins: what is loaded is counted, not timed."""

import subprocess
import sys

import pytest
from tests.processes import environment

# What a name or a command may load of ours. Python's own modules are what these need.
FACE = {"msys_track"}
COMMAND_LINE = FACE | {
    "msys_track.cli",
    "msys_track.cli.commands",
    "msys_track.cli.exits",
    "msys_track.errors",
    "msys_track.extras",
}
# Each costs a start more than all that the command line has of its own.
COSTLY = {"asyncio", "email", "json", "logging", "sqlite3", "ssl", "tomllib"}


def find_loaded(program: str) -> tuple[set[str], set[str]]:
    """Return the modules of ours that a program loads, and the packages of others."""
    shown = f"""
import sys
before = set(sys.modules)
{program}
print(*set(sys.modules) - before)
"""
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", shown],
        capture_output=True,
        text=True,
        check=True,
        env=environment(),
    )
    loaded = done.stdout.splitlines()[-1].split()
    ours = {name for name in loaded if name.partition(".")[0] == "msys_track"}
    return ours, {name.partition(".")[0] for name in loaded} - {"msys_track"}


def find_strangers(packages: set[str]) -> set[str]:
    """Return those that are not Python's own."""
    return {name for name in packages if name not in sys.stdlib_module_names}


def test_importing_the_package_loads_nothing_of_it() -> None:
    ours, others = find_loaded("import msys_track")
    assert ours == FACE
    assert find_strangers(others) == set()
    assert others.isdisjoint(COSTLY | {"dataclasses", "inspect"})


@pytest.mark.parametrize(
    ("names", "lacks"),
    [
        ("SettingsError", {"msys_track.keys", "msys_track._core"}),
        ("KeyRing, open_link", {"msys_track.rewriting", "msys_track.dispatch"}),
        ("HtmlRewriter, KeyRing, TrackingOptions", {"msys_track.policy", "msys_track.dispatch"}),
    ],
)
def test_a_name_loads_the_rooms_that_it_needs(names: str, lacks: set[str]) -> None:
    ours, others = find_loaded(f"from msys_track import {names}")
    assert ours & lacks == set()
    assert find_strangers(others) <= {"idna"}


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_version_and_help_load_no_command(option: str) -> None:
    ours, others = find_loaded(f"""
from msys_track.cli import main
main([{option!r}], standalone_mode=False)
""")
    assert ours == COMMAND_LINE
    assert find_strangers(others) == {"click"}
    # importlib.metadata knows the version, and reads it by `email`.
    assert others.isdisjoint(COSTLY - ({"email", "json"} if option == "--version" else set()))


def test_a_filter_starts_without_what_servers_need() -> None:
    ours, others = find_loaded("import msys_track.cli.rewrite")
    assert find_strangers(others) == {"click", "idna"}
    assert "asyncio" not in others
    assert not {name for name in ours if name.startswith("msys_track.service")}
