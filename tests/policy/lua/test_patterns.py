"""The interruptible matcher against the one in C, which it stands in for."""

import importlib
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.policy.policies import set_by

from msys_track.policy import lua

LUPA: Final = importlib.import_module("lupa.lua51")
C: Final = LUPA.LuaRuntime(unpack_returned_tuples=True)
# No step of C is affordable, so that the matcher gets every pattern.
PIECES: Final = Path(lua.__file__).parent
MATCHER: Final = C.execute(
    (PIECES / "patterns.lua").read_text(), C.execute((PIECES / "compat.lua").read_text()), -1.0
)

PROBE = """
local f, text, pattern, third = ...
local function tried(...)
  local r = { n = select('#', pcall(f, ...)), pcall(f, ...) }
  for i = 1, r.n do r[i] = tostring(r[i]) end
  if r[1] == 'false' then return 'error' end
  return table.concat(r, '|', 1, r.n)
end
return tried(text, pattern, third)
"""
ALL = """
local gmatch, text, pattern = ...
local ok, found = pcall(function()
  local list = {}
  for a, b in gmatch(text, pattern) do list[#list + 1] = tostring(a) .. ',' .. tostring(b) end
  return table.concat(list, '|')
end)
return ok and found or 'error'
"""

CLASSES = st.sampled_from(
    ["a", "b", ".", "%a", "%d", "%s", "%.", "[ab]", "[^a]", "[a-c%d]", "[]]", "[^]%s]", "%(", "%-"]
)
ITEMS = st.one_of(
    st.builds(str.__add__, CLASSES, st.sampled_from(["", "", "*", "+", "-", "?"])),
    st.sampled_from(
        ["()", "%b()", "%f[%a]", "%f[^ab]", "(a*)", "(.-)", "(%a+)", "$", "(", ")", "%1"]
    ),
)
PATTERNS = st.builds(
    str.__add__, st.sampled_from(["", "^"]), st.lists(ITEMS, max_size=5).map("".join)
)
TEXTS = st.text("ab(). 1-]\x00", max_size=12)


def check_agreement(program: str, name: str, *arguments: object) -> None:
    """Check that the matcher answers as C does, or that both find a fault in the pattern."""
    ours = str(C.execute(program, MATCHER[name], *arguments))
    theirs = str(C.execute(program, C.eval(f"string.{name}"), *arguments))
    assert ours == theirs or ("error" in (ours, theirs) and is_malformed(str(arguments[1])))


@given(text=TEXTS, pattern=PATTERNS, init=st.integers(-14, 14))
@pytest.mark.parametrize("name", ["find", "match"])
def test_finding_and_matching_agree(name: str, text: str, pattern: str, init: int) -> None:
    check_agreement(PROBE, name, text, pattern, init)


@given(text=TEXTS, pattern=PATTERNS)
def test_iterating_agrees(text: str, pattern: str) -> None:
    check_agreement(ALL, "gmatch", text, pattern)


@given(
    text=TEXTS,
    pattern=PATTERNS,
    replacement=st.sampled_from(["", "x", "%0%0", "<%1>", "%%", "%2", "%", "%x"]),
)
def test_replacing_agrees(text: str, pattern: str, replacement: str) -> None:
    check_agreement(PROBE, "gsub", text, pattern, replacement)


def is_malformed(pattern: str) -> bool:
    """Whether the text decides when C finds the fault; ours may find it sooner or later."""
    return any(bracket in pattern for bracket in ("(", ")", "%1"))


def test_a_long_text_gets_the_answer_that_c_would_give() -> None:
    seen = set_by(
        "local text = ('ab '):rep(4000) .. '<jo@example.org>'"
        " local a, b = text:match('<(.-)@(.-)>') msg:context_set(M, 'a', a .. '|' .. b)"
        " local s, n = text:gsub('(%a)(%a)%s*', '%2%1') msg:context_set(M, 'n', n .. s:sub(1, 4))"
        " local c = 0 for w in text:gmatch('%a+%s-') do c = c + 1 end msg:context_set(M, 'c', c)"
        " msg:context_set(M, 'f', select('#', text:find('()<(.-)@', 5)))"
        " msg:context_set(M, 't', (text:gsub('(%a)(%a)%s*', { a = 'x' })):sub(1, 3))"
    )
    assert seen == {"a": "jo|example.org", "n": "4005baba", "c": "4003", "f": "4", "t": "xxx"}


@pytest.mark.parametrize("pattern", ["[a", "%", "%b", "%f", "(a", "a)"])
def test_a_malformed_pattern_is_an_error_of_the_policy(pattern: str) -> None:
    ok = set_by(f"msg:context_set(M, 'ok', (pcall(string.match, 'a', '{pattern}')))")["ok"]
    assert ok == "false"
