import re
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from tests.captured_logs import capture_logs
from tests.policy.policies import FILE, ask, lua, set_by, transaction

from msys_track.errors import PolicyFailedError, SettingsError
from msys_track.policy.chain import CONTINUE, DONE, Verdict
from msys_track.policy.context import MAX_OCTETS, MAX_VALUE, MAX_VARIABLES, Context, Contexts
from msys_track.policy.hooks import Hook, Rejection
from msys_track.policy.lua.host import LuaPolicy

ANSWERS = "return msys.core.VALIDATE_CONT or msys.core.VALIDATE_DONE"


def failure(body: str) -> str:
    with pytest.raises(PolicyFailedError) as caught:
        ask(body)
    return str(caught.value)


def fault(source: str) -> str:
    with pytest.raises(SettingsError) as caught:
        LuaPolicy(FILE, source.encode())
    return str(caught.value)


def test_a_policy_sets_and_deletes_variables_of_both_contexts() -> None:
    contexts = Contexts(connection=Context({"old": "1"}), message=Context({"gone": "1"}))
    given = transaction(contexts=contexts)
    ask(
        "msg:context_set(M, 'smtpapi_open_tracking', '0') vctx:set(C, 'mo_customer_id', 42)"
        " msg:context_delete(M, 'gone') vctx:delete(C, 'old')",
        given,
    )
    assert contexts.message.items() == {"smtpapi_open_tracking": "0"}
    assert contexts.connection.items() == {"mo_customer_id": "42"}


def test_a_policy_reads_what_was_set_before_it() -> None:
    contexts = Contexts(connection=Context({"a": "é"}), message=Context({"b": ""}))
    seen = set_by(
        "msg:context_set(M, 'seen', table.concat({msg:context_get(C, 'a'), vctx:get(C, 'a'),"
        " vctx:exists(M, 'b'), msg:context_exists(M, 'none'), msg:context_get(M, 'none'),"
        " select('#', msg:context_exists_and_get(M, 'b'))}, '|'))",
        transaction(contexts=contexts),
    )
    assert seen["seen"] == "é|é|1|0||2"


def test_numbers_are_written_as_lua_51_writes_them() -> None:
    assert set_by(
        "msg:context_set(M, 'a', 86400 / 2) msg:context_set(M, 'b', 7)"
        " msg:context_set(M, 'c', 0.5) msg:context_set(M, 'd', true)"
    ) == {"a": "43200", "b": "7", "c": "0.5", "d": "true"}


def test_a_context_is_bounded_from_lua_too() -> None:
    assert "at most 1000 variables" in failure("for i = 1, 1001 do vctx:set(M, 'v' .. i, '') end")
    body = f"for i = 1, 20 do vctx:set(C, 'v' .. i, ('x'):rep({MAX_VALUE})) end"
    assert f"one context holds at most {MAX_OCTETS} bytes" in failure(body)


@pytest.mark.parametrize("context", ["M", "C"])
def test_changes_that_fit_in_the_end_are_made_though_they_don_t_fit_halfway(context: str) -> None:
    def full(size: int) -> Contexts:
        values = {f"v{number}": "x" * size for number in range(MAX_OCTETS // MAX_VALUE - 1)}
        values |= {f"v{number}": "" for number in range(len(values), MAX_VARIABLES - 1)}
        return Contexts(connection=Context(values), message=Context(values))

    ask(
        f"vctx:set({context}, 'a', '') vctx:delete({context}, 'a') vctx:set({context}, 'b', '')"
        f" vctx:delete({context}, 'v0') vctx:set({context}, 'a', '')",
        transaction(contexts=(many := full(0))),
    )
    ask(
        f"vctx:set({context}, 'a', '') vctx:set({context}, 'v0', '')"
        f" vctx:set({context}, 'a', ('x'):rep({MAX_VALUE}))",
        transaction(contexts=(long := full(MAX_VALUE - 1))),
    )
    for contexts, size in ((many, 0), (long, MAX_VALUE)):
        context_of = contexts.message if context == "M" else contexts.connection
        assert context_of.get("a") == "x" * size


def test_a_failed_policy_has_set_nothing() -> None:
    given = transaction()
    with pytest.raises(PolicyFailedError):
        ask("msg:context_set(M, 'a', '1') error('late')", given)
    assert given.contexts.message.items() == {}


def test_the_envelope_and_the_connection_are_read_by_momentums_names() -> None:
    seen = set_by(
        "local l, d = msys.core.string_new(), msys.core.string_new()"
        " msg:get_envelope2(msys.core.EC_MSG_ENV_FROM, l, d)"
        " msg:context_set(M, 'seen', table.concat({msg:rcptto(), msg:mailfrom(),"
        " accept.remote_addr, msg:reception_peer('ip'), msg:listener_addr('port'), tostring(l),"
        " tostring(d), msg:get_message_size(), #vctx:recipient_list()}, '|'))"
    )
    assert seen["seen"] == (
        "jo@example.org|news@shop.example|10.0.0.7:51234|10.0.0.7|2525|news|shop.example|49|1"
    )


def test_momentums_predefined_variables_are_there() -> None:
    names = "rcptto_domain rcptto_localpart mailfrom_domain mailfrom_string"
    seen = set_by(
        f"for n in ('{names}'):gmatch('%S+') do msg:context_set(M, 'x_' .. n, vctx:get(M, n)) end"
        " msg:context_set(M, 'x_ehlo', msys.expandMacro('<%{vctx_conn:ehlo_string}>'))"
    )
    assert seen == {
        "x_rcptto_domain": "example.org",
        "x_rcptto_localpart": "jo",
        "x_mailfrom_domain": "shop.example",
        "x_mailfrom_string": "MAIL FROM:<news@shop.example>",
        "x_ehlo": "<EHLO app.shop.example>",
    }


def test_a_header_is_a_table_of_decoded_values() -> None:
    message = b"A: 1\r\na: =?utf-8?q?=C3=A9?=\r\n\r\n"
    seen = set_by(
        "local a = msg:header('a') msg:context_set(M, 'seen', #a .. a[1] .. a[2])"
        " msg:context_set(M, 'none', tostring(msg:header('b')[1]))",
        transaction(message=message),
    )
    assert seen == {"seen": "21é", "none": "nil"}
    many = b"".join(b"A: %d\r\n" % number for number in range(5_000))
    body = "local a = msg:header('A') msg:context_set(M, 'seen', #a .. '|' .. a[5000])"
    assert set_by(body, transaction(message=many)) == {"seen": "5000|4999"}


def test_of_a_very_large_header_the_first_mebibyte_is_handed_in() -> None:
    message = b"A: " + b"x" * 600_000 + b"\r\nA: " + b"y" * 600_000 + b"\r\n\r\n"
    body = "local a = msg:header('A') msg:context_set(M, 'seen', #a .. '|' .. #a[1])"
    assert set_by(body, transaction(message=message)) == {"seen": "1|600000"}


def test_a_name_without_an_address_is_no_address() -> None:
    body = "msg:context_set(M, 'to', table.concat(msg:address_header('To', 'all'), ' '))"
    given = transaction(message=b"To: Jo <>, al@b.example\r\n\r\n")
    assert set_by(body, given) == {"to": "al@b.example"}


def test_addresses_in_headers_are_taken_apart() -> None:
    message = b'To: "Jo, X" <jo+shop@Example.org>, al@b.example\r\n\r\n'
    seen = set_by(
        "for _, c in ipairs({'all', 'localpart', 'user', 'detail', 'domain'}) do"
        " msg:context_set(M, c, table.concat(msg:address_header('To', c), ' ')) end"
        " msg:context_set(M, 'text', msys.parseRFC2822Addresses('x@y.z', 'domain')[1])",
        transaction(message=message),
    )
    assert seen == {
        "all": "jo+shop@Example.org al@b.example",
        "localpart": "jo+shop al",
        "user": "jo al",
        "detail": "shop ",
        "domain": "Example.org b.example",
        "text": "y.z",
    }


@pytest.mark.parametrize(
    ("hook", "check"),
    [
        ("validate_connect", "accept.remote_addr == '10.0.0.7:51234'"),
        ("validate_ehlo", "str == 'EHLO app.shop.example'"),
        ("validate_auth", "str == 'app' and vctx:get(C, 'auth_user') == 'app'"),
        ("validate_mailfrom", "str == 'MAIL FROM:<news@shop.example>'"),
        ("validate_rcptto", "str == 'RCPT TO:<jo@example.org>' and msg:rcptto() ~= nil"),
        ("validate_data_spool", "msg:header('Subject')[1] == 'Hello'"),
        ("validate_data_spool_each_rcpt", "#msg:header('Subject') == 1"),
    ],
)
def test_each_hook_gets_momentums_arguments(hook: str, check: str) -> None:
    policy = lua(f"assert(self.{hook} == mod.{hook}) assert({check})", hook=hook)
    assert policy.hooks == {Hook(hook)}
    assert policy.ask(Hook(hook), transaction(user="app")) == CONTINUE


def test_momentums_data_phase_is_called_at_the_spool() -> None:
    policy = lua("vctx:set_code(550, 'no')", hook="validate_data")
    assert policy.hooks == {Hook.DATA_SPOOL}
    assert policy.ask(Hook.DATA_SPOOL, transaction()).rejection is not None


def reject(code: int, text: str) -> Verdict:
    return Verdict(rejection=Rejection(code=code, text=text), is_done=True)


@pytest.mark.parametrize(
    ("body", "verdict"),
    [
        ("vctx:set_code('550', '5.7.1 no')", reject(550, "5.7.1 no")),
        ("vctx:set_code(550, 'no') do return msys.core.VALIDATE_DONE end", reject(550, "no")),
        ("vctx:set_code(550, 'no') do return end", reject(550, "no")),
        ("vctx:set_code(451)", reject(451, "Refused by policy")),
        ("vctx:set_code(550, 'a\\xc3\\xa9\\r\\n250 ok')", reject(550, "a????250 ok")),
        ("vctx:set_code(550, ('x'):rep(999))", reject(550, "x" * 400)),
        ("msg:code('553', 'Not today')", reject(553, "Not today")),
        ("vctx:set_code(553, 'no') assert(msg:code() == 553)", reject(553, "no")),
        ("assert(msg:code() == nil)", CONTINUE),
        ("vctx:set_code(250, 'ok')", CONTINUE),
        ("do return msys.core.VALIDATE_DONE end", DONE),
    ],
)
def test_a_code_of_refusal_rejects_in_one_printable_line(body: str, verdict: Verdict) -> None:
    assert ask(body) == verdict


@pytest.mark.parametrize(
    ("call", "named"),
    [
        ("msg:body()", "msg:body is not available here"),
        ("require('msys.audit').receptions()", "msys.audit.receptions is not available here"),
        ("vctx:greylist()", "vctx:greylist is not available here"),
        ("msg:header('A b', 'c')", "msg:header: 'A b' is not a field's name"),
        ("msg:header('A', true)", "msg:header: the value must be a string"),
        ("msg:rcptto('a b')", "msg:rcptto: 'a b' can't be a recipient"),
        ("vctx.code = 5", "vctx:code can't be set here"),
        ("return msys.core.VALIDATE_ABORT", "msys.core.VALIDATE_ABORT is not available here"),
        ("return accept.fd", "accept.fd is not available here"),
        ("msys.expandMacro('%{spfv1:p}')", "%{spfv1:p} is not available here"),
        ("gethostname()", "attempt to call global 'gethostname' (a nil value)"),
        ("vctx:set_code(900, 'x')", "vctx:set_code: found code 900, allowed: 200 to 599"),
        ("msg:context_get('message', 'a')", "context_get: the type must be msys.core.ECMESS_CTX"),
        ("msg:context_set(M, 'a', nil)", "a: values are strings, found nil"),
        ("msg:context_set(M, 'a', {})", "a: values are strings, found table"),
        ("msg:context_set(M, 'a', '\\xff')", "a: the value is not valid UTF-8"),
        (f"msg:context_set(M, 'a', ('x'):rep({MAX_VALUE + 1}))", "a: 65537 bytes, at most 65536"),
        ("return 'yes'", f"returned yes; {ANSWERS}"),
        (
            "return msys.core.VALIDATE_AGAIN",
            f"returned VALIDATE_AGAIN, for which nothing here waits; {ANSWERS}",
        ),
    ],
)
def test_what_can_not_be_done_is_named_with_file_and_line(call: str, named: str) -> None:
    text = failure(f"\n{call}")
    assert re.match(rf"{re.escape(str(FILE))}:[345]: validate_data_spool_each_rcpt: ", text)
    assert named in text


def test_a_failure_in_a_function_names_the_innermost_line() -> None:
    text = failure("local function f()\nlocal x = nil\nreturn x.y\nend\nlocal y = f()")
    assert text.startswith(f"{FILE}:6: validate_data_spool_each_rcpt: attempt to index local 'x'")


def test_logs_have_the_policys_name_and_are_bounded_in_length_and_number() -> None:
    with capture_logs() as lines:
        ask(
            "print('to', msg:rcptto(), 7, nil) msys.log(msys.core.LOG_WARNING, ('é'):rep(999))"
            " print('\\xff\\n')"
        )
    assert [line["text"] for line in lines] == ["to jo@example.org 7 nil", "é" * 250 + "…", "? "]
    assert [line["log_level"] for line in lines] == ["info", "warning", "info"]
    assert {line["policy"] for line in lines} == {"policy.lua"}
    with capture_logs() as lines:
        ask("for i = 1, 100 do print(i) end")
    assert len(lines) == 20


@pytest.mark.parametrize("lead", ["", "x"])
@pytest.mark.parametrize("length", [300, 1_500])
def test_a_long_text_in_a_log_is_cut_between_two_characters(lead: str, length: int) -> None:
    with capture_logs() as lines:
        ask(f"print('{lead}' .. ('é'):rep({length}))")
    assert [line["text"] for line in lines] == [f"{lead}{'é' * (250 - len(lead))}…"]


def test_a_state_is_used_again_and_left_after_a_failure() -> None:
    policy = lua("count = (count or 0) + 1 msg:context_set(M, 'n', count) assert(count ~= 3, 'x')")
    seen = []
    for _ in range(4):
        given = transaction()
        with suppress(PolicyFailedError):
            policy.ask(Hook.EACH_RCPT, given)
        seen.append(given.contexts.message.get("n"))
    assert seen == ["1", "2", None, "1"]


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (
            "local m = {}\nfunction m:validate_rcpto() end\nmsys.registerModule('p', m)\n",
            "2: validate_rcpto is not a hook; did you mean validate_rcptto?",
        ),
        ("local mod = {}\n", "1: no hook found"),
        ("msys.registerModule('p', {})\n", "1: no hook found"),
        ("x = 1\ny = = 2\n", "2: unexpected symbol near '='"),
        ("\n\nerror('no')\n", "3: no"),
        ("\nlocal x = nil + 1\n", "2: attempt to perform arithmetic"),
        ("msys.registerModule('p', { init = function() return false end })", "1: init returned"),
    ],
)
def test_a_fault_of_the_file_is_named_with_its_line(source: str, text: str) -> None:
    assert fault(source).startswith(f"{FILE}:{text}")


def test_callouts_that_nothing_here_calls_are_logged_once() -> None:
    source = (
        "local mod = {} function mod:validate_set_binding(msg) end"
        " function mod:core_final_validation() end"
        " function mod:validate_ehlo() return msys.core.VALIDATE_CONT end"
        " msys.registerModule('p', mod)"
    )
    with capture_logs() as lines:
        LuaPolicy(FILE, source.encode())
    assert sorted((line["event"], line["at"], line["why"]) for line in lines) == [
        ("policy.notice", f"{FILE}:1", "core_final_validation is never called here"),
        ("policy.notice", f"{FILE}:1", "validate_set_binding is never called here"),
    ]


def test_a_module_beside_the_file_is_found_and_named_in_errors(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "brand.lua").write_text("return { of = function(x)\nreturn x.y\nend }\n")
    main = tmp_path / "main.lua"
    source = (
        b"local brand = require('lib.brand')\nlocal mod = {}\n"
        b"function mod:validate_ehlo() local x = brand.of(nil) end msys.registerModule('p', mod)"
    )
    with pytest.raises(PolicyFailedError) as caught:
        LuaPolicy(main, source).ask(Hook.EHLO, transaction())
    assert str(caught.value).startswith(f"{tmp_path}/lib/brand.lua:2: validate_ehlo: attempt to")


def test_modules_of_one_name_in_two_folders_are_told_apart_in_errors(tmp_path: Path) -> None:
    for folder, text in (
        ("lib", "return {}"),
        ("shop", "return { of = function(x) return x.y end }"),
    ):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "brand.lua").write_text(text)
    source = (
        b"require('lib.brand') local brand = require('shop.brand') local mod = {}\n"
        b"function mod:validate_ehlo() brand.of(nil) end msys.registerModule('p', mod)"
    )
    with pytest.raises(PolicyFailedError) as caught:
        LuaPolicy(tmp_path / "main.lua", source).ask(Hook.EHLO, transaction())
    assert str(caught.value).startswith(f"{tmp_path}/shop/brand.lua:1: ")


def test_a_module_may_be_named_from_the_folder_above_as_in_momentum(tmp_path: Path) -> None:
    folder = tmp_path / "myscripts"
    folder.mkdir()
    (folder / "brand.lua").write_text("return 'click.example'")
    source = (
        b"local brand = require('myscripts.brand') local mod = {}\n"
        b"function mod:validate_ehlo(s, a, vctx) vctx:set(msys.core.VCTX_CONN, 'brand', brand)"
        b" return msys.core.VALIDATE_CONT end msys.registerModule('p', mod)"
    )
    given = transaction()
    LuaPolicy(folder / "main.lua", source).ask(Hook.EHLO, given)
    assert given.contexts.connection.get("brand") == "click.example"


def test_a_module_is_read_once_though_the_state_is_renewed(tmp_path: Path) -> None:
    module = tmp_path / "brand.lua"
    module.write_text("return 'first'")
    source = (
        b"local brand = require('brand') local mod = {}\n"
        b"function mod:validate_ehlo() error(brand) end msys.registerModule('p', mod)"
    )
    policy = LuaPolicy(tmp_path / "main.lua", source)
    for text in ("second", "third"):
        with pytest.raises(PolicyFailedError, match="first"):
            policy.ask(Hook.EHLO, transaction())
        module.write_text(f"return '{text}'")


def test_without_lupa_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lupa.lua51", None)
    assert "pip install 'msys-track[lua]'" in fault("x = 1")


def test_an_envelope_that_could_fill_the_memory_is_not_handed_in() -> None:
    with pytest.raises(PolicyFailedError, match="an envelope of 65552 bytes"):
        ask("", transaction(helo="", sender="x" * (65_536), recipient="jo@example.org12"))
