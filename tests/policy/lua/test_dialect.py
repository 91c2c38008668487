import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.policy.policies import FILE, set_by

from msys_track.errors import SettingsError
from msys_track.policy.lua.dialect import ForbiddenSourceError, translate_source
from msys_track.policy.lua.host import LuaPolicy


def test_momentums_operators_become_luas() -> None:
    assert translate_source(b"if a != b and !c then") == b"if a ~= b and  not c then"
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
    assert translate_source(source) == source


@pytest.mark.parametrize(
    ("source", "translated"),
    [
        (rb'x = "\xa3\\xa3 \u00a3 \u{1F600}"', rb'x = "\163\\xa3 \194\163 \240\159\152\128"'),
        (rb'x = "\." .. [[\xa3]]', rb'x = "\." .. [[\xa3]]'),
        (b"chmod(f, 0660, 10, 0, 0x10, 1.07)", b"chmod(f, 432, 10, 0, 0x10, 1.07)"),
        (b"open(f, O_CREAT | os.O_APPEND)", b"open(f, _bits_or(O_CREAT , os.O_APPEND))"),
        (b"x = A | B |\n 4 -- or", b"x = _bits_or(A , B ,\n 4) -- or"),
        (b"if (flags & 4) != 0 then", b"if (_bits_and(flags , 4)) ~= 0 then"),
        (b"x = a.b('&') .. '|' -- a & b", b"x = a.b('&') .. '|' -- a & b"),
    ],
)
def test_momentums_additions_become_lua(source: bytes, translated: bytes) -> None:
    assert translate_source(source) == translated


def test_bits_are_combined() -> None:
    assert set_by(
        "local a, b = 0x1F0, 0660 msg:context_set(M, 'a', a | b) msg:context_set(M, 'b', (a & b))"
    ) == {"a": str(0x1F0 | 0o660), "b": str(0x1F0 & 0o660)}


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("x = 7 // 2", "// is not in Momentum's Lua, a 5.1; write math.floor(a / b)"),
        ("x = 7 \\ 2", "\\ can't be translated; write math.floor(a / b)"),
        ("x = a + b & c", "& and | are translated between names and whole numbers only"),
        ("x = (a & b | c)", "& and | are translated between names and whole numbers only"),
        ("x = f(a) | g(b)", "& and | are translated between names and whole numbers only"),
        ("x = 1 << 4", "<< can't be translated"),
        ("x = ~a", "~ can't be translated"),
        ("x = a ^^ b", "^^ can't be translated"),
        ("goto done", "goto is not in Momentum's Lua, a 5.1"),
        ("::done::", "labels (::name::) are not in Momentum's Lua, a 5.1"),
        ("local x <const> = 1", "<const> and <close> are not in Momentum's Lua, a 5.1"),
        ("local x < close > = y", "<const> and <close> are not in Momentum's Lua, a 5.1"),
        ("local function f(a, b, c, d, e, --[[)]] f, ...) end", "has 6 named parameters"),
        ("function m.x:f(a, b, c, d, e, ...) end", "has 6 named parameters"),
        ("function --[[ ( ]] m . x : f (a, b, c, d, e, ...) end", "has 6 named parameters"),
    ],
)
def test_what_5_1_can_not_run_is_named_with_file_and_line(line: str, named: str) -> None:
    with pytest.raises(SettingsError) as caught:
        LuaPolicy(FILE, f"x = '//' -- goto x\n\n{line}\n".encode())
    assert str(caught.value).startswith(f"{FILE}:3: {named}") or named in str(caught.value)
    assert f"{FILE}:3: " in str(caught.value)


@pytest.mark.parametrize(
    "source",
    [
        "f(1, 2, 3, 4, 5, 6, 7, ...)",
        "local function f(a, b, c, d, e, f, g) end",
        "local function f(a, b, c, d, e, ...) end",
        "goto = 1 x.goto = goto",
        "x = '<close> // goto x' -- <close> // goto x\n--[[ a & b ]]",
    ],
)
def test_what_5_1_can_run_stays(source: str) -> None:
    assert translate_source(source.encode()) == source.encode()


@pytest.mark.parametrize(
    "source", [b'"' + rb"\"" * 32_000, b"function " * 7_000, b"x = '" * 13_000]
)
def test_what_ends_nowhere_takes_no_time(source: bytes) -> None:
    begin = time.thread_time()
    translate_source(source)
    assert time.thread_time() - begin < 0.5


def test_a_string_without_its_end_is_lua_s_to_refuse() -> None:
    with pytest.raises(SettingsError, match=f"{FILE}:2: unfinished string"):
        LuaPolicy(FILE, b"\nx = 'a // b\n")


@pytest.mark.parametrize("end", [b"\r", b"\r\n", b"\n\r", b"\n"])
def test_each_end_of_a_line_that_lua_knows_is_one(end: bytes) -> None:
    assert translate_source(b"-- '" + end + b"x = 1 != 2" + end) == b"-- '\nx = 1 ~= 2\n"
    with pytest.raises(ForbiddenSourceError, match="has 6 named parameters") as caught:
        translate_source(b"--" + end + b"function f(a, b, c, d, e, g, ...) end")
    assert caught.value.line == 2


def test_a_mark_and_a_shebang_are_no_lua() -> None:
    assert translate_source(b"\xef\xbb\xbf#!/usr/bin/lua\nx = 1") == b"--#!/usr/bin/lua\nx = 1"


@given(st.text("!='\"[]-\\\n x<>close", max_size=40))
def test_lines_stay_where_they_are(source: str) -> None:
    try:
        text = translate_source(source.encode())
    except ForbiddenSourceError as error:
        assert 1 <= error.line <= source.count("\n") + 1  # noqa: PT017 - either is right
        return
    assert text.count(b"\n") == source.count("\n")
