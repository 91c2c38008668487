import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msys_track.smtpapi.json import JsonError, compact, parse_object

numbers = st.integers(-(10**300), 10**300) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), values))
def test_an_object_comes_back_from_compact_text(members: dict[str, object]) -> None:
    text = compact(members)
    text.encode("utf-8")
    assert parse_object(text) == members
    assert parse_object(json.dumps(members, indent=1)) == members


@pytest.mark.parametrize(
    ("text", "line", "column", "what"),
    [
        ("[1]", 1, 1, "expected an object, found an array"),
        (" null", 1, 2, "expected an object, found null"),
        ('"x"', 1, 1, "expected an object, found a string"),
        ("true", 1, 1, "expected an object, found a boolean"),
        ("7", 1, 1, "expected an object, found a number"),
        ('{"NaN": NaN}', 1, 9, "NaN is not JSON"),
        ('{"a": "-Infinity",\n "b": -Infinity}', 2, 7, "-Infinity is not JSON"),
        ('{"a": 1e400}', 1, 7, "number out of range"),
        ('{"a": ' + "9" * 5000 + "}", 1, 7, "number out of range"),
        ('{"a": "\\ud83d"}', 1, 8, "\\ud83d is half of a surrogate pair"),
        ('{"a": "\\\\ud83d \\uDE00"}', 1, 16, "\\uDE00 is half of a surrogate pair"),
        ('{"a": ' * 65, 1, 385, "nested deeper than 64 levels"),
    ],
)
def test_what_only_lenient_parsers_read_is_refused(
    text: str, line: int, column: int, what: str
) -> None:
    with pytest.raises(JsonError) as caught:
        parse_object(text)
    assert (caught.value.line, caught.value.column, caught.value.what) == (line, column, what)


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("", 1, 1),
        ("nonsense", 1, 1),
        ('{"tags": ["a",]}', 1, 15),
        ('{"a": 1 "b": 2}', 1, 9),
        ("{'a': 1}", 1, 2),
        ('{"a": 1} {}', 1, 10),
        ('{"a": "tab\there"}', 1, 11),
        ('{"a":\n 01}', 2, 3),
        ("\ufeff{}", 1, 1),
    ],
)
def test_a_syntax_fault_has_line_and_column(text: str, line: int, column: int) -> None:
    with pytest.raises(JsonError) as caught:
        parse_object(text)
    assert caught.value.line == line
    # Python 3.13 points at the comma of a trailing comma, 3.11 behind it.
    assert abs(caught.value.column - column) <= 1


@pytest.mark.parametrize(
    ("text", "members"),
    [
        ('{"a": "\\ud83d\\ude00"}', {"a": "😀"}),
        ('{"a": 1, "a": 2}', {"a": 2}),
        ('{"a": "' + "[{" * 500 + '"}', {"a": "[{" * 500}),
    ],
    ids=["a surrogate pair", "equal keys", "brackets in a string"],
)
def test_what_looks_like_a_fault_is_read(text: str, members: dict[str, object]) -> None:
    assert parse_object(text) == members


@pytest.mark.parametrize("text", ["[" * 200_000, '{"a":' * 200_000, "{" + '"' * 100_001])
def test_hostile_depth_is_a_fault_and_no_recursion(text: str) -> None:
    with pytest.raises(JsonError):
        parse_object(text)
