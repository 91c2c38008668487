"""What the TOML reader of the core answers; its faults and places are what a person sees."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msys_track._core import read_toml


def test_values_come_as_python_has_them() -> None:
    text = 's.t = "\\e"\na = 1\r\n[b]\r\nc = "x"\r\nd = [true, 0x10, 1_000.5]\r\ng = {h = inf}\n'
    members, _, faults = read_toml(text)
    assert members == {
        "s": {"t": "\x1b"},
        "a": 1,
        "b": {"c": "x", "d": [True, 16, 1000.5], "g": {"h": math.inf}},
    }
    assert faults == []


def test_every_key_and_item_has_its_line() -> None:
    text = (
        "a.b = 1\n[c]\nd = [\n 1,\n [2],\n]\ne = {f = 1,\n g = 2}\n"
        '[h."x:1"]\n[[i]]\nj = 1\n[[i]]\nj = 2\n[i.k]\n'
    )
    assert read_toml(text)[1] == {
        ("a",): 1,
        ("a", "b"): 1,
        ("c",): 2,
        ("c", "d"): 3,
        ("c", "d", 0): 4,
        ("c", "d", 1): 5,
        ("c", "d", 1, 0): 5,
        ("c", "e"): 7,
        ("c", "e", "f"): 7,
        ("c", "e", "g"): 8,
        ("h",): 9,
        ("h", "x:1"): 9,
        ("i",): 10,
        ("i", 0): 10,
        ("i", 0, "j"): 11,
        ("i", 1): 12,
        ("i", 1, "j"): 13,
        ("i", 1, "k"): 14,
    }


def test_broken_lines_are_left_out_and_the_rest_is_read() -> None:
    members, _, faults = read_toml('a = mail.test\n[b]\nc = "open\nd = 2\nd = 3\ne =\n')
    assert members == {"b": {"d": 2}}
    keys = [(line, ".".join(key)) for line, key, _, _ in faults]
    assert keys == [(1, "a"), (3, "b.c"), (5, "b.d"), (6, "b.e")]
    assert faults[0][2] == "not TOML: column 5: no value; a text needs quotes"


@pytest.mark.parametrize(
    ("text", "lines", "members"),
    [
        ("a = 1\n[b\nc = 2\n[d]\n", [2], {"a": 1, "b": {"c": 2}, "d": {}}),
        ('[b."x:1]\nc = 2\n', [1], {"b": {"x:1": {"c": 2}}}),
        ("[b.x:1]\nc = 2\n", [1], {"b": {"x:1": {"c": 2}}}),
        ("a = 1\nb]\nc = 2\n[[d]]\n", [2], {"a": 1, "b": {"c": 2}, "d": [{}]}),
        ("a = 1\n[b]\nc = 2\n[d]\n[b]\ne = 3\n", [5], {"a": 1, "b": {"c": 2, "e": 3}, "d": {}}),
        ("[b]\nc = 2\n[b]\nc = 3\n", [3, 4], {"b": {"c": 2}}),
        ("a = 1\njust words\nb = 2\n[c]\n", [2], {"a": 1, "b": 2, "c": {}}),
        ('a = 1\nb = """\nc = 2\n[d]\n', [2], {"a": 1, "d": {}}),
        ("a = 1\nb = [1,\nc = 2\n[d]\n", [2], {"a": 1, "d": {}}),
        ("a = 1\nb = {c = 2\n[d]\n", [2], {"a": 1, "d": {}}),
        ("a = 1\nb = [\n 1,\n[c]\nd = 2\n", [2], {"a": 1, "c": {"d": 2}}),
        ("b = [\n 1,\n x,\n 3,\n]\nc = 2\n", [3], {"c": 2}),
        ("b = [\n 1\n 2,\n]\nc = 2\n", [2], {"c": 2}),
        ("b = [1 2]\nc = 2\n", [1], {"c": 2}),
        ("b = [1,\n 2 3]\nc = 2\n", [2], {"c": 2}),
        ("b = [\n1,\n]\nb = [\n2,\n]\nc = 2\n", [4], {"b": [1], "c": 2}),
        ("a = 1\n[[b]]\n[b]\nc = 1\n[d]\n", [3], {"a": 1, "b": {"c": 1}, "d": {}}),
        ("a = 1\n[?]\nb = 2\n[c]\nd = 3\n", [2], {"a": 1, "c": {"d": 3}}),
        ("a = 1 ; words\nb = 'x' 'y'\nc = 2\n", [1, 2], {"c": 2}),
        ("// words\n= 1\na = 08\nb = 2\n", [1, 2, 3], {"b": 2}),
        ("a = 2024-01-01\nb = [{c = 10:00:00}]\nd = 1\n", [1, 2], {"d": 1}),
    ],
)
def test_around_a_fault_the_rest_is_read(
    text: str, lines: list[int], members: dict[str, object]
) -> None:
    read, _, faults = read_toml(text)
    assert [line for line, *_ in faults] == lines
    assert read == members


def test_a_table_that_stands_there_twice_is_one_and_says_where_it_begins_first() -> None:
    members, lines, faults = read_toml("[a]\nb = 1\n[c]\nd = 2\n[a]\ne = 3\n")
    assert members == {"a": {"b": 1, "e": 3}, "c": {"d": 2}}
    assert (lines["a", "b"], lines["a", "e"]) == (2, 6)
    assert faults[0][2].endswith("[a] begins in line 1 too; keep one")


def test_what_could_not_be_read_is_known_by_name() -> None:
    text = 'keys = "x\n[proxy]\nupstream = mta\nlisten "a"\n"?" = \n'
    assert {unread for *_, unread in read_toml(text)[2]} == {
        ("keys",),
        ("proxy", "upstream"),
        ("proxy", "listen"),
        ("proxy", "?"),
    }


toml_like = st.text(st.sampled_from("ab.=[]{}\"'\\#\n ,1"), max_size=80)


@given(toml_like)
def test_any_text_is_read_and_every_key_of_it_has_a_line(text: str) -> None:
    members, lines, faults = read_toml(text)
    last = text.count("\n") + 1
    assert all(1 <= line <= last for line in lines.values())
    assert all(1 <= line <= last for line, *_ in faults)
    assert {path[0] for path in lines} == set(members)
