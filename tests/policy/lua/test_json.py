import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.policy.asked import lua, set_by, transaction

from msys_track.policy.hooks import Hook
from msys_track.policy.lua.host import LuaPolicy

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
SCALARS = st.one_of(
    TEXT, st.booleans(), st.integers(-(2**53), 2**53), st.floats(-1e3, 1e3, width=16)
)
MEMBERS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=8,
)
VALUES = st.dictionaries(TEXT, MEMBERS, max_size=4)
ECHO = lua("msg:context_set(M, 'out', json.decode(vctx:get(C, 'in')))")
FAULT = lua(
    "local v, code, why = json.decode(vctx:get(C, 'in')) vctx:set(M, 'out', why or 'none')"
)


def pass_through(policy: LuaPolicy, text: str) -> str:
    given = transaction()
    given.contexts.connection.set("in", text)
    policy.ask(Hook.EACH_RCPT, given)
    return given.contexts.message.get("out") or ""


@given(VALUES)
def test_what_is_read_is_written_again(value: dict[str, object]) -> None:
    assert json.loads(pass_through(ECHO, json.dumps(value))) == value
    assert json.loads(pass_through(ECHO, json.dumps(value, ensure_ascii=False))) == value


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[1,]", '{"a" 1}', "{'a':1}", "nul", "01", "1e999", '"\\x"', '"\\ud800"'),
        *('"a\nb"', "1 2", "[" * 65 + "]" * 65, "NaN", "+1", "1.", "--1"),
    ],
)
def test_what_is_not_json_has_its_place_in_the_fault(text: str) -> None:
    assert " at character " in pass_through(FAULT, text)


@given(st.text(st.sampled_from('{}[]",:\\u0041 1e+-.truefalsn'), max_size=20))
def test_the_same_texts_are_json_as_for_python(text: str) -> None:
    try:
        json.loads(text, parse_constant=lambda _: 1 / 0)
        is_json = True
    except (ValueError, ZeroDivisionError):
        is_json = False
    assert (pass_through(FAULT, text) == "none") is is_json


def test_objects_are_changed_and_built_as_in_momentum() -> None:
    seen = set_by(
        'local o = json.decode(\'{"foo":"bar","list":[]}\') o.int = 4 o.num = 3.5'
        " o.arr = json.encode({ 0, 1, 3 }) o.word = json.encode('x') o[7] = false"
        " msg:context_set(M, 'smtpapi_metadata', tostring(o))"
        " local n = json.new() n.a = { b = {} } msg:context_set(M, 'new', n)"
        " msg:context_set(M, 'tags', json.encode({ 'a', 'b' }))"
    )
    assert seen == {
        "smtpapi_metadata": (
            '{"7":false,"arr":[0,1,3],"foo":"bar","int":4,"list":[],"num":3.5,"word":"x"}'
        ),
        "new": '{"a":{"b":{}}}',
        "tags": '["a","b"]',
    }


@pytest.mark.parametrize("value", ["print", "0/0", "'\\xff'", "1/0"])
def test_what_json_can_not_hold_is_an_error(value: str) -> None:
    seen = set_by(f"msg:context_set(M, 'ok', (pcall(json.encode, {{ {value} }})))")
    assert seen["ok"] == "false"
