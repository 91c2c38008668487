"""Lua as Momentum has it: what a policy written for 5.1 relies on."""

from pathlib import Path

import pytest
from tests.policy.policies import ask, set_by, transaction

from msys_track.errors import PolicyFailedError
from msys_track.policy.context import MAX_VARIABLES, Context, Contexts
from msys_track.policy.hooks import Hook
from msys_track.policy.lua.host import LuaPolicy


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        (r"'\.\@'", ".@"),
        (r"(('a.b'):gsub('\.', '%%'))", "%%%"),
        (r"'\x41\u00e9'", "Aé"),
        ("tostring(365*86400/2)", "15768000"),
        ("'n=' .. 10/2", "n=5"),
        ("2^53", "9.007199254741e+15"),
        ("('x'):rep(3, ',')", "xxx"),
        ("math.mod(7, 4) .. math.fmod(7, 4)", "33"),
        ("math.pow(2, 10)", "1024"),
        ("table.getn({ 1, 2 })", "2"),
        ("table.maxn({ 1, [9] = 1 })", "9"),
        ("#{ n = 1, 'a' }", "1"),
        ("select(2, pcall(table.setn, {}, 1))", "'setn' is obsolete"),
        ("string.gfind('ab', 'b')()", "b"),
        ("('abc'):gsub('%w*', 'x')", "xx"),
        ("unpack({ 1, 2 }, 2)", "2"),
        ("loadstring('return ...')(7)", "7"),
        ("loadstring('x != 1 and')", "nil"),
        ("loadstring('return msys.core.VALIDATE_DONE')()", "1"),
        ("select(2, loadstring('x =', '=mine'))", "mine:1: unexpected symbol near '<eof>'"),
        ("(function(...) return arg.n .. arg[2] end)('a', 'b')", "2b"),
        ("setfenv(function() return x end, { x = 'mine' })()", "mine"),
        ("getfenv() == _G and getfenv(1) == _G and getfenv(print) == _G", "true"),
        ("type(debug.traceback('a'))", "string"),
        ("debug.getinfo(1, 'l').currentline", "4"),
        ("require('string').format('%d', 7)", "7"),
        ("_VERSION", "Lua 5.1"),
    ],
)
def test_an_expression_has_the_value_that_it_has_in_51(expression: str, text: str) -> None:
    assert set_by(f"msg:context_set(M, 'a', tostring(({expression})))")["a"] == text


def test_tables_are_walked_by_51s_functions() -> None:
    assert set_by(
        "local seen = {} table.foreachi({ 'a', 'b' }, function(i, v) seen[#seen + 1] = i .. v end)"
        " table.foreach({ c = 'd' }, function(k, v) seen[#seen + 1] = k .. v end)"
        " msg:context_set(M, 'a', table.concat(seen, ' '))"
    ) == {"a": "1a 2b cd"}


def test_code_is_put_together_from_pieces() -> None:
    assert set_by(
        "local pieces, n = { 'return ', '1', ' != 2' }, 0"
        " local f = load(function() n = n + 1 return pieces[n] end)"
        " msg:context_set(M, 'a', tostring(f()))"
    ) == {"a": "true"}


def test_json_is_walked_without_pairs_as_in_momentum() -> None:
    assert set_by(
        """for k, v in json.decode('{"b": [1, 2]}') do"""
        " for i, n in v do msg:context_set(M, k .. i, n) end end"
    ) == {"b1": "1", "b2": "2"}


def test_deleting_a_variable_says_whether_it_was_there() -> None:
    given = transaction(contexts=Contexts(connection=Context({"c": "1"}), message=Context()))
    assert set_by(
        "msg:context_set(M, 'a', msg:context_delete(C, 'c') .. msg:context_delete(C, 'c')"
        " .. vctx:delete(M, 'none'))",
        given,
    ) == {"a": "100"}


def test_as_many_changes_as_there_can_be_are_made() -> None:
    old = {f"old{number}": "1" for number in range(MAX_VARIABLES)}
    contexts = Contexts(connection=Context(old), message=Context(old))
    ask(
        f"for n = 0, {MAX_VARIABLES - 1} do for _, k in ipairs({{ M, C }}) do"
        " vctx:delete(k, 'old' .. n) vctx:set(k, 'new' .. n, n) end end"
        " vctx:delete(M, 'new0') for n = 1, 20000 do vctx:set(M, 'x' .. n, '')"
        " vctx:delete(M, 'x' .. n) end",
        transaction(contexts=contexts),
    )
    new = {f"new{number}": str(number) for number in range(MAX_VARIABLES)}
    assert contexts.connection.items() == new
    del new["new0"]
    assert contexts.message.items() == new


def run_module(folder: Path, module: bytes, body: bytes) -> dict[str, str]:
    (folder / "brand.lua").write_bytes(module)
    source = (
        b"local mod = {}\nfunction mod:validate_ehlo(s, a, vctx)\n"
        b"local C = msys.core.VCTX_CONN\n%b\nreturn msys.core.VALIDATE_CONT end\n"
        b"msys.registerModule('p', mod)" % body
    )
    given = transaction()
    LuaPolicy(folder / "main.lua", source).ask(Hook.EHLO, given)
    return dict(given.contexts.connection.items())


def test_a_module_that_sees_all_keeps_its_globals_in_its_table(tmp_path: Path) -> None:
    assert run_module(
        tmp_path,
        b'module("brand", package.seeall)\nhost = "click.example"\n'
        b"function of(name) return name .. '@' .. host .. tostring(_NAME) end",
        b"require('brand')\nvctx:set(C, 'a', brand.of('x'))\n"
        b"vctx:set(C, 'b', tostring(host) .. tostring(package.loaded.brand == brand)"
        b" .. tostring(require('brand') == brand))",
    ) == {"a": "x@click.examplebrand", "b": "niltruetrue"}


def test_a_module_of_a_dotted_name_is_a_table_in_a_table(tmp_path: Path) -> None:
    assert run_module(
        tmp_path,
        b"local print = print\nmodule('shop.brand')\nhost = 'click.example'\nsees = print and _G",
        b"require('brand')\n"
        b"vctx:set(C, 'a', shop.brand.host .. shop.brand._PACKAGE .. tostring(shop.brand.sees))",
    ) == {"a": "click.exampleshop.nil"}


def test_a_module_in_preload_is_found(tmp_path: Path) -> None:
    assert run_module(
        tmp_path,
        b"",
        b"package.path = package.path .. ';/opt/msys/?.lua'\n"
        b"package.preload.x = function(name) return { name = name } end\n"
        b"vctx:set(C, 'a', require('x').name)",
    ) == {"a": "x"}


@pytest.mark.parametrize("is_sandboxed", [True, False])
def test_the_file_that_policies_are_in_may_be_a_module_itself(
    tmp_path: Path, *, is_sandboxed: bool
) -> None:
    source = (
        b'module("shop", package.seeall)\nrequire("msys.core")\nlocal mod = {}\n'
        b"function mod:validate_ehlo(s, a, vctx) vctx:set(msys.core.VCTX_CONN, 'a', _NAME)\n"
        b"return msys.core.VALIDATE_CONT end\nmsys.registerModule(_NAME, mod)"
    )
    given = transaction()
    LuaPolicy(tmp_path / "main.lua", source, is_sandboxed=is_sandboxed).ask(Hook.EHLO, given)
    assert given.contexts.connection.get("a") == "shop"


def test_a_missing_global_is_named() -> None:
    with pytest.raises(PolicyFailedError, match=r"policy\.lua:4: .*global 'frobnicate'"):
        ask("frobnicate()")
