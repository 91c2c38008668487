"""Written TOML is read back as it was, and is what a person would write."""

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msys_track.config.document import KeyPath
from msys_track.config.toml.writing import toml_text

MEMBERS: dict[str, object] = {
    "smtpapi": True,
    "listener": {
        "tracking_domain": "click.example.com",
        "context": {"class": 'a "b"\\\n'},
        "tracking_link_expiry": 86_400,
    },
    "listen": {":2525": {"peer": {"10.0.0.0/8": {"open_tracking_enabled": False}}}, ":25": {}},
    "policy": {"files": ["policy.lua", "lua/more.lua"], "timeout_seconds": 0.5},
    "keys": "keys.toml",
}
COMMENTS: dict[KeyPath, str] = {
    ("smtpapi",): "from ecelerity.conf:1",
    ("listener",): "from ecelerity.conf:2",
    ("listener", "tracking_domain"): "from ecelerity.conf:3",
    ("listen",): "a table of tables has no line of its own",
    ("policy", "files"): "in order",
    ("policy", "files", 1): "from conf.d/policy.conf:7",
}
WRITTEN = """\
smtpapi = true  # from ecelerity.conf:1
keys = "keys.toml"

[listener]  # from ecelerity.conf:2
tracking_domain = "click.example.com"  # from ecelerity.conf:3
tracking_link_expiry = 86400

[listener.context]
class = "a \\"b\\"\\\\\\n"

[listen.":2525".peer."10.0.0.0/8"]
open_tracking_enabled = false

[listen.":25"]

[policy]
files = [  # in order
    "policy.lua",
    "lua/more.lua",  # from conf.d/policy.conf:7
]
timeout_seconds = 0.5
"""


def test_a_configuration_is_written_as_a_person_would() -> None:
    assert toml_text(MEMBERS, COMMENTS) == WRITTEN
    assert tomllib.loads(WRITTEN) == MEMBERS


def test_without_comments_there_are_none() -> None:
    assert "#" not in toml_text(MEMBERS)


def test_nothing_is_an_empty_text() -> None:
    assert toml_text({}) == ""


def test_an_array_that_is_too_long_for_a_line_gets_a_line_for_each_item() -> None:
    text = toml_text({"never_wrap": ["https://example.com/" + "x" * 30] * 3})
    assert max(map(len, text.splitlines())) < 99
    assert text.count("\n") == 5


def test_an_array_of_tables_stays_on_its_line() -> None:
    assert toml_text({"a": [{"b c": [1, {}]}, "d"]}) == 'a = [{ "b c" = [1, {}] }, "d"]\n'


def test_a_comment_can_not_end_its_line() -> None:
    text = toml_text({"a": 1}, {("a",): "one\nb = 2\x00\x7f"})
    assert tomllib.loads(text) == {"a": 1}


@pytest.mark.parametrize("value", [None, b"x", {1}, object()])
def test_what_toml_can_not_hold_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="TOML has no form"):
        toml_text({"a": value})


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
scalars = (
    texts | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.sampled_from(["#", ""])
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)
tables = st.dictionaries(texts, values, max_size=5)


def paths(value: object, path: KeyPath = ()) -> list[KeyPath]:
    pairs: list[tuple[Any, object]] = []
    if isinstance(value, dict):
        pairs = list(value.items())
    elif isinstance(value, list):
        pairs = list(enumerate(value))
    return [path, *(each for key, inner in pairs for each in paths(inner, (*path, key)))]


@given(tables, st.data())
def test_what_is_written_is_read_back_whatever_the_comments(
    members: dict[str, object], data: st.DataObject
) -> None:
    remarks = st.dictionaries(st.sampled_from(paths(members)), texts, max_size=6)
    assert tomllib.loads(toml_text(members, data.draw(remarks))) == members
