"""What Momentum's Lua can do to a mail, and what it may call here without an effect."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.captured_logs import capture_logs
from tests.policy.policies import FILE, ask, lua, set_by, transaction

from msys_track.errors import PolicyFailedError
from msys_track.policy.changes import DISCARD_REASON, HeaderChange
from msys_track.policy.context import Context, Contexts
from msys_track.policy.hooks import Hook, Transaction
from msys_track.policy.lua.host import LuaPolicy

MESSAGE = b"From: a@shop.example\r\nX-Two: 1\r\nX-Two: 2\r\n\r\nBody\r\n"


def changed(body: str, *, hook: Hook = Hook.EACH_RCPT, **given: Any) -> Transaction:
    transaction_ = transaction(message=MESSAGE, **given)
    lua(body, hook=hook.value).ask(hook, transaction_)
    return transaction_


def failure(body: str, *, hook: Hook = Hook.EACH_RCPT, **given: Any) -> str:
    with pytest.raises(PolicyFailedError) as caught:
        lua(body, hook=hook.value).ask(hook, transaction(**given))
    return str(caught.value)


@pytest.mark.parametrize(
    ("call", "changes"),
    [
        ("'X-A', 'b'", [HeaderChange("X-A", "b")]),
        ("'X-A', 'b', 'replace'", [HeaderChange("X-A", "b")]),
        ("'X-A', 'b', 'append'", [HeaderChange("X-A", "b", "append")]),
        ("'X-A', 'b', 'prepend'", [HeaderChange("X-A", "b", "prepend")]),
        ("'X-A', ''", [HeaderChange("X-A", None)]),
        ("'X-A', 15", [HeaderChange("X-A", "15")]),
        ("'X-A', 'é\\r\\nBcc: x'", [HeaderChange("X-A", "é Bcc: x")]),
        ("'X-A', {'b', 'c'}", [HeaderChange("X-A", "b"), HeaderChange("X-A", "c", "append")]),
        ("'X-A', {}", [HeaderChange("X-A", None)]),
    ],
)
def test_a_header_is_changed_as_momentum_changes_it(
    call: str, changes: list[HeaderChange]
) -> None:
    given = changed(f"assert(msg:header({call}) == true)")
    assert given.changes.headers == changes


def test_a_changed_header_is_seen_at_once_and_by_the_next_file() -> None:
    given = changed(
        "msg:header('X-Two', '3', 'append') assert(table.concat(msg:header('x-two')) == '123')"
        " msg:header('X-Two', '') assert(#msg:header('X-Two') == 0)"
    )
    assert set_by("msg:context_set(M, 'left', #msg:header('X-Two'))", given)["left"] == "0"


def test_no_header_changes_before_there_is_a_message() -> None:
    text = failure("msg:header('X-A', 'b')", hook=Hook.RCPTTO, message=None)
    assert text.startswith(f"{FILE}:4: validate_rcptto: msg:header: X-A: a header can be changed")


def test_a_mode_that_is_none_is_named() -> None:
    assert "the mode is 'replace', 'append' or 'prepend'" in failure(
        "msg:header('X-A', 'b', 'after')"
    )


def test_an_envelope_is_changed_and_then_reads_as_changed() -> None:
    given = changed(
        "assert(msg:rcptto('al@shop.example') == 'al@shop.example')"
        " assert(msg:mailfrom('') == '') assert(msg:rcptto() == 'al@shop.example')"
        " assert(vctx:get(M, 'rcptto_domain') == 'shop.example')"
    )
    assert (given.changes.recipient, given.changes.sender) == ("al@shop.example", "")
    ask("assert(msg:rcptto() == 'al@shop.example' and msg:mailfrom() == '')", given)


def test_a_recipient_changes_only_where_momentum_lets_it() -> None:
    text = failure("msg:rcptto('al@shop.example')", hook=Hook.DATA_SPOOL, recipient=None)
    assert "msg:rcptto: a recipient can be changed in validate_data_spool_each_rcpt" in text


def test_recipients_are_added_until_each_gets_its_copy() -> None:
    given = changed(
        "vctx:add_recipient('a@b.example') vctx:add_recipient({'c@d.example'})"
        " assert(#vctx:recipient_list() == 3)",
        hook=Hook.DATA_SPOOL,
        recipient=None,
    )
    assert given.changes.added_recipients == ["a@b.example", "c@d.example"]
    assert "vctx:add_recipient: a recipient can be added from" in failure(
        "vctx:add_recipient('a@b.example')"
    )
    assert "can't be an added recipient" in failure(
        "vctx:add_recipient('a b')", hook=Hook.DATA_SPOOL, recipient=None
    )


@pytest.mark.parametrize(
    ("reason", "logged"),
    [("", DISCARD_REASON), ("'550 no'", "550 no"), ("'no code'", DISCARD_REASON)],
)
def test_a_mail_is_discarded_and_the_policy_goes_on(reason: str, logged: str) -> None:
    given = changed(f"msg:discard({reason}) msg:header('X-A', 'b')")
    assert (given.changes.is_discarded, given.changes.discard_reason) == (True, logged)
    assert given.changes.headers == [HeaderChange("X-A", "b")]


@pytest.mark.parametrize(
    "call",
    [
        "msg:routing_domain('sink.example')",
        "msg:binding('b')",
        "msg:binding_group('b')",
        "vctx:tarpit(10)",
        "accept:esmtp_capability_remove('DSN')",
        "msys.adaptive.registerRules({}, 'augment')",
    ],
)
def test_what_is_the_upstreams_affair_is_passed_over_with_one_notice(call: str) -> None:
    with capture_logs() as lines:
        policy = lua(f"\n{call}\n{call}")
        for _ in range(2):
            policy.ask(Hook.EACH_RCPT, transaction())
    function = call.partition("(")[0]
    assert [(line["event"], line["at"], line["why"]) for line in lines] == [
        (
            "policy.notice",
            f"{FILE}:5",
            f"{function} has no effect here: it is the upstream's affair",
        )
    ]


def test_a_notice_comes_once_though_a_failure_renews_the_state() -> None:
    with capture_logs() as lines:
        policy = lua("accept:esmtp_capability_remove('DSN') error('no')")
        for _ in range(2):
            with pytest.raises(PolicyFailedError, match=r"no$"):
                policy.ask(Hook.EACH_RCPT, transaction())
    assert [line["event"] for line in lines] == ["policy.notice"]


def test_routes_can_be_read() -> None:
    seen = set_by("msg:context_set(M, 'r', msg:routing_domain() .. '|' .. msg:binding())")
    assert seen["r"] == "example.org|"


def test_what_the_server_knows_of_mail_and_connection_can_be_read() -> None:
    given = transaction(
        id="m1",
        connection_id="c1",
        is_encrypted=True,
        connection_messages=3,
        connection_recipients=7,
    )
    names = ("can_relay", "tls", "connection_message_count", "connection_rcpt_count")
    read = " .. '|' .. ".join(f"vctx:get(C, '{name}')" for name in names)
    seen = set_by(
        f"msg:context_set(M, 'seen', tostring(msg.id) .. '|' .. accept.conn_id .. '|' .. {read})"
        " assert(msg.recv_method == msys.core.P_ESMTP)",
        given,
    )
    assert seen["seen"] == "m1|c1|true|true|3|7"
    ask(
        "assert(vctx:exists(C, 'tls') == 0 and vctx:exists(C, 'can_relay') == 0)",
        replace(given, is_encrypted=False, can_relay=False),
    )


def test_the_message_construct_has_message_and_context() -> None:
    given = transaction(message=None, recipient=None)
    lua(
        "local mc = msys.core.accept_construct_get_message_construct(accept)"
        " assert(mc.message:mailfrom() == 'news@shop.example' and mc.ctx == vctx)",
        hook="validate_mailfrom",
    ).ask(Hook.MAILFROM, given)


def test_a_string_that_c_fills_reads_as_a_string() -> None:
    ask(
        "local l, d = msys.core.string_new(), msys.core.string_new()"
        " msg:get_envelope2(msys.core.EC_MSG_ENV_TO, l, d)"
        " assert(d.buffer == 'example.org' and tostring(l) == 'jo' and #d == 11)"
        " assert(l .. '@' .. d == 'jo@example.org') l:set('al') assert(l.buffer == 'al')"
        " msg:header('X-To', l)"
    )


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("%{i}", "10.0.0.7"),
        ("%{spfv1:i}", "10.0.0.7"),
        ("%{s} %{l} %{o} %{d} %{h}", "news@shop.example news shop.example shop.example "),
        ("%{vctx_mess:rcptto_domain}/%{vctx_conn:none}", "example.org/"),
    ],
)
def test_macros_are_expanded(text: str, expanded: str) -> None:
    given = transaction()
    seen = set_by(f"msg:context_set(M, 'seen', msys.expandMacro('{text}'))", given)["seen"]
    assert seen.startswith(expanded)


def test_an_address_of_a_socket_has_a_family() -> None:
    body = "assert(msys.core.ec_sockaddr_family(accept.remote_addr) == msys.core.{})"
    ask(body.format("AF_INET"))
    ask(body.format("AF_INET6"), transaction(peer="[2001:db8::1]:25"))


def test_a_mutex_locks_nothing() -> None:
    source = (
        "require('thread') local m = thread.mutex(thread.MUTEX_RECURSIVE)"
        " m:lock() assert(m:trylock()) m:unlock() msys.lock('a') msys.unlock('a')"
        " msys.registerModule('p', { validate_ehlo = function() end })"
    )
    LuaPolicy(FILE, source.encode())


def test_the_message_can_be_read_as_it_came() -> None:
    changed("local text, size = msg:raw() assert(size == #text and text:sub(-6) == 'Body\\r\\n')")


def test_a_message_that_is_too_large_for_a_policy_is_not_handed_in() -> None:
    message = b"Subject: x\r\n\r\n" + bytes(4 << 20)
    text = failure("msg:raw()", message=message)
    assert f"the message has {len(message)} bytes, at most {4 << 20}" in text


def test_an_assignment_that_has_no_effect_does_no_harm() -> None:
    ask("msg.priority = 1 vctx.disconnect = 1 vctx:disconnect(421, 'x')")


def test_self_is_a_table_of_the_connection() -> None:
    body = (
        "self.count = (self.count or 0) + 1 msg:context_set(M, 'count', self.count)"
        " for name in pairs(self) do assert(name == 'count') self[name] = self[name] end"
    )
    policy, counts = lua(body), []
    for connection in ("a", "b", "a"):
        given = transaction(connection_id=connection)
        policy.ask(Hook.EACH_RCPT, given)
        counts.append(given.contexts.message.get("count"))
    assert counts == ["1", "1", "2"]


def test_a_policy_that_empties_self_keeps_its_functions() -> None:
    policy = lua("for name in pairs(self) do self[name] = nil end", hook="validate_connect")
    for _ in range(2):
        policy.ask(Hook.CONNECT, transaction())


@pytest.mark.parametrize("name", ["validate_set_binding", "core_log_delivery_v1", "mm7_hook"])
def test_a_file_whose_hooks_are_never_called_starts_with_a_notice(name: str) -> None:
    source = f"local m = {{}}\nfunction m:{name}() end\nmsys.registerModule('p', m)\n"
    policy = LuaPolicy(FILE, source.encode())
    assert policy.hooks == frozenset()
    assert policy.notices == (f"{FILE}:2: {name} is never called here",)


def test_a_call_without_effect_while_the_file_is_read_is_a_notice_too() -> None:
    policy = LuaPolicy(FILE, b"require('msys.adaptive')\nmsys.adaptive.registerRules({})\n")
    assert policy.notices == (
        f"{FILE}:2: msys.adaptive.registerRules has no effect here: it is the upstream's affair",
    )


def test_what_a_failed_call_changed_in_variables_is_not_set() -> None:
    contexts = Contexts(connection=Context(), message=Context())
    failure("vctx:set(M, 'a', '1') msg:header('X-A', 'b') error('no')", contexts=contexts)
    assert len(contexts.message) == 0


def test_a_call_of_what_is_not_here_is_named_when_the_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "lib.lua").write_text("return function() msys.dnsLookup('a', 'mx') end")
    main = tmp_path / "main.lua"
    policy = LuaPolicy(
        main,
        b"require('lib') local own = { db = {} }\n"
        b"-- msys.av.scan()\n"
        b"local m = { text = 'msys.av.scan()' }\n"
        b"function m:validate_data(msg, accept, vctx)\n"
        b"  msys.log('a') own.msys.x() msg:header('a') vctx:set_code(550, 'b') msg:mime()\n"
        b"  msys.db.query('a') msys.pcre.match('a', 'b') msys.core.get_now_ts()\n"
        b"end\n"
        b"msys.registerModule('m', m)\n",
    )
    assert policy.notices == (
        f"{main}:5: msg:mime is not available here: a call of it fails",
        f"{main}:6: msys.db.query is not available here: a call of it fails",
        f"{tmp_path}/lib.lua:1: msys.dnsLookup is not available here: a call of it fails",
    )
