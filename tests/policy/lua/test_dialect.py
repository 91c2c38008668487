import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.policy.policies import set_by

from msys_track.policy.lua.dialect import ForbiddenSourceError, translate_source


def translate_sandboxed(source: bytes) -> bytes:
    return translate_source(source, is_sandboxed=True)


def test_momentums_operators_become_luas() -> None:
    assert translate_sandboxed(b"if a != b and !c then") == b"if a ~= b and  not c then"
    assert set_by("if 1 != 2 and !nil then msg:context_set(M, 'a', '1') end") == {"a": "1"}


@pytest.mark.parametrize(
    "source",
    [
        b"x = 'a != b'",
        b'x = "a \\" != b"',
        b"x = [[ != ' ]]",
        b"x = [==[ ]] != ]==]",
        b"-- a != b",
        b"--[[ a != b\n! ]] x = 1",
    ],
)
def test_strings_and_comments_stay(source: bytes) -> None:
    assert translate_sandboxed(source) == source


def test_a_closing_variable_is_found_and_its_name_in_a_string_is_not() -> None:
    assert translate_sandboxed(b"x = '<close>' -- <close>") == b"x = '<close>' -- <close>"
    with pytest.raises(ForbiddenSourceError) as caught:
        translate_sandboxed(b"\nlocal x < close > = y")
    assert caught.value.line == 2
    assert translate_source(b"local x <close> = y", is_sandboxed=False) == b"local x <close> = y"


def test_a_mark_and_a_shebang_are_no_lua() -> None:
    assert translate_sandboxed(b"\xef\xbb\xbf#!/usr/bin/lua\nx = 1") == b"--#!/usr/bin/lua\nx = 1"


@given(st.text("!='\"[]-\\\n x<>close", max_size=40))
def test_lines_stay_where_they_are(source: str) -> None:
    text = translate_source(source.encode(), is_sandboxed=False)
    assert text.count(b"\n") == source.count("\n")
