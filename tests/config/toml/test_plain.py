"""TOML without the compiled core: the same values, and a line for the one fault that it tells."""

import pytest

from msys_track._core import read_toml as read_by_core
from msys_track.config.toml.plain import read_toml

TEXT = """\
smtpapi = true
[listener]
never_wrap = ["https://a.example/", { b = 1 }]
[listen.":25".peer."10.0.0.0/8"]
pathway = "bulk"
"""


def test_values_and_paths_are_those_of_the_core() -> None:
    members, places, faults = read_toml(TEXT)
    by_core, places_of_core, _ = read_by_core(TEXT)
    assert (members, faults) == (by_core, [])
    assert set(places_of_core) <= set(places)
    assert places["listener", "never_wrap", 1, "b"] == 1


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("a = 1\nb = \nc = 3\n", 2, "not TOML: invalid value"),
        ("a = 1\nb = [\n", 3, "not TOML: "),
    ],
)
def test_a_fault_is_told_with_its_line(text: str, line: int, what: str) -> None:
    members, places, [(at, key, told, _)] = read_toml(text)
    assert (members, places, at, key) == ({}, {}, line, ())
    assert told.startswith(what)
