"""A file that fails loses what it set in that call, and nothing else is lost."""

from pathlib import Path
from typing import Final

import pytest
from tests.captured_logs import capture_logs
from tests.policy.asked import FILE, lua, transaction

from msys_track.policy.chain import Chain, PolicyFile
from msys_track.policy.context import Context, Contexts
from msys_track.policy.guard import Guard
from msys_track.policy.hooks import Hook, Rejection, Transaction
from msys_track.policy.python import PythonPolicy

REFUSED: Final = Rejection(code=451, text="4.3.0 Policy failed; try again later")
MESSAGE: Final = {"seen": "before", "smtpapi_open_tracking": "1", "kept": "1"}
CONNECTION: Final = {"seen": "before", "kept": "1"}

LUA_SETS: Final = (
    "vctx:set(M, 'smtpapi_open_tracking', '0') vctx:set(M, 'smtpapi_click_tracking', '0')"
    " vctx:set(C, 'seen', 'off')"
)
LUA_SPOILS: Final = (
    "vctx:set(M, 'smtpapi_open_tracking', '1') vctx:set(M, 'smtpapi_campaign_id', 'spoilt')"
    " vctx:delete(M, 'smtpapi_click_tracking') vctx:delete(M, 'kept')"
    " vctx:set(C, 'seen', 'spoilt') vctx:delete(C, 'kept') vctx:set(C, 'more', 'spoilt')"
)
PYTHON_SETS: Final = """
    t.contexts.message.set('smtpapi_open_tracking', '0')
    t.contexts.message.set('smtpapi_click_tracking', '0')
    t.contexts.connection.set('seen', 'off')
"""
PYTHON_SPOILS: Final = """
    t.contexts.message.set('smtpapi_open_tracking', '1')
    t.contexts.message.set('smtpapi_campaign_id', 'spoilt')
    t.contexts.message.delete('smtpapi_click_tracking')
    t.contexts.message.delete('kept')
    t.contexts.connection.set('seen', 'spoilt')
    t.contexts.connection.delete('kept')
    t.contexts.connection.set('more', 'spoilt')
"""
FAILS: Final = {
    "Lua, an error": f"{LUA_SPOILS} error('a defect')",
    "Lua, a call that is not there": f"{LUA_SPOILS} msys.db.query('select 1')",
    "Lua, a loop": f"{LUA_SPOILS} while true do end",
    "Lua, a loop that catches errors": f"{LUA_SPOILS} while true do pcall(error) end",
    "Lua, memory": f"{LUA_SPOILS} local s = 'x' while true do s = s .. s end",
    "Lua, another answer": f"{LUA_SPOILS} do return 7 end",
    "Lua, an answer that nothing waits for": (
        f"{LUA_SPOILS} do return msys.core.VALIDATE_AGAIN end"
    ),
    "Lua, a variable that is too long": f"{LUA_SPOILS} vctx:set(M, 'x', ('x'):rep(70000))",
    "Lua, a code and an error": f"{LUA_SPOILS} vctx:set_code(550, 'no') error('a defect')",
    "Python, an error": f"{PYTHON_SPOILS}    raise ValueError('a defect')",
    "Python, a time-out": f"{PYTHON_SPOILS}    raise TimeoutError",
    "Python, leaving the process": f"{PYTHON_SPOILS}    raise SystemExit(1)",
    "Python, another answer": f"{PYTHON_SPOILS}    return True",
    "Python, a variable that is too long": (
        f"{PYTHON_SPOILS}    t.contexts.message.set('x', 'x' * 70_000)"
    ),
}


def python(hook: Hook, body: str, path: Path = Path("/etc/msys/other.py")) -> PythonPolicy:
    return PythonPolicy(path, f"def {hook}(t):\n    pass\n{body}\n".encode())


def setting(language: str, hook: Hook) -> PolicyFile:
    return lua(LUA_SETS, hook=hook) if language == "Lua" else python(hook, PYTHON_SETS)


def failing(name: str, hook: Hook) -> PolicyFile:
    if name.startswith("Lua"):
        return lua(FAILS[name], hook=hook, timeout_seconds=0.02, max_memory_bytes=4 << 20)
    return python(hook, FAILS[name])


def given() -> Transaction:
    contexts = Contexts(connection=Context(CONNECTION), message=Context(MESSAGE))
    return transaction(contexts=contexts, user="app")


@pytest.mark.parametrize("hook", Hook)
@pytest.mark.parametrize("language", ["Lua", "Python"])
@pytest.mark.parametrize("is_first", [True, False], ids=["fails first", "fails last"])
@pytest.mark.parametrize("name", FAILS)
def test_what_the_others_set_holds(
    hook: Hook, language: str, name: str, *, is_first: bool
) -> None:
    files = [failing(name, hook), setting(language, hook)]
    counted: list[str] = []
    asked = given()
    guard = Guard(Chain(files if is_first else files[::-1]), count=counted.append)
    with capture_logs() as lines:
        assert guard.call(hook, asked) is None
    assert asked.contexts.message.items() == {
        **MESSAGE,
        "smtpapi_open_tracking": "0",
        "smtpapi_click_tracking": "0",
    }
    assert asked.contexts.connection.items() == {**CONNECTION, "seen": "off"}
    assert counted == ["policy.continued"]
    assert [(line["event"], line["hook"]) for line in lines] == [("policy.failed", hook.value)]


@pytest.mark.parametrize("name", FAILS)
def test_alone_it_leaves_everything_as_it_was(name: str) -> None:
    asked = given()
    assert Guard(Chain([failing(name, Hook.EHLO)])).call(Hook.EHLO, asked) is None
    assert asked.contexts.message.items() == MESSAGE
    assert asked.contexts.connection.items() == CONNECTION


def test_what_it_set_at_an_earlier_hook_holds() -> None:
    source = (
        b"def validate_mailfrom(t):\n    t.contexts.message.set('smtpapi_open_tracking', '0')\n"
        b"def validate_rcptto(t):\n    t.contexts.message.set('smtpapi_open_tracking', '1')\n"
        b"    raise OSError\n"
    )
    guard = Guard(Chain([PythonPolicy(Path("/etc/msys/policy.py"), source)]))
    asked = transaction()
    assert guard.call(Hook.MAILFROM, asked) is None
    assert guard.call(Hook.RCPTTO, asked) is None
    assert asked.contexts.message.items() == {"smtpapi_open_tracking": "0"}


def test_each_failure_in_a_row_is_counted_and_what_stands_between_them_holds() -> None:
    hook = Hook.RCPTTO
    counted: list[str] = []
    files = [
        failing("Python, an error", hook),
        setting("Lua", hook),
        failing("Lua, an error", hook),
        setting("Python", hook),
        failing("Python, another answer", hook),
    ]
    asked = given()
    assert Guard(Chain(files), count=counted.append).call(hook, asked) is None
    assert asked.contexts.lookup("smtpapi_click_tracking") == "0"
    assert asked.contexts.message.get("smtpapi_campaign_id") is None
    assert counted == ["policy.continued"] * 3


def test_a_file_after_one_that_failed_can_still_refuse() -> None:
    files = [failing("Lua, an error", Hook.EHLO), lua("vctx:set_code(550, 'no')", hook=Hook.EHLO)]
    assert Guard(Chain(files)).call(Hook.EHLO, given()) == Rejection(code=550, text="no")


def test_a_file_that_failed_does_not_keep_later_ones_from_being_asked() -> None:
    """Its VALIDATE_DONE never came."""
    files = [failing("Lua, another answer", Hook.EHLO), setting("Python", Hook.EHLO)]
    asked = given()
    assert Guard(Chain(files)).call(Hook.EHLO, asked) is None
    assert asked.contexts.message.get("smtpapi_open_tracking") == "0"


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("name", FAILS)
def test_where_failures_refuse_the_mail_gets_451_in_both_orders(
    name: str, *, is_first: bool
) -> None:
    files = [failing(name, Hook.RCPTTO), setting("Python", Hook.RCPTTO)]
    counted: list[str] = []
    guard = Guard(Chain(files if is_first else files[::-1]), "refuse", counted.append)
    assert guard.call(Hook.RCPTTO, given()) == REFUSED
    assert counted == ["policy.refused"]


def test_where_failures_refuse_the_first_no_still_wins() -> None:
    refusing = lua("vctx:set_code(550, 'no')", hook=Hook.RCPTTO)
    fails = failing("Python, an error", Hook.RCPTTO)
    no = Rejection(code=550, text="no")
    assert Guard(Chain([refusing, fails]), "refuse").call(Hook.RCPTTO, given()) == no
    assert Guard(Chain([fails, refusing]), "refuse").call(Hook.RCPTTO, given()) == REFUSED


@pytest.mark.parametrize("hook", Hook)
def test_a_hook_of_lua_that_returns_nothing_goes_on_and_its_settings_hold(hook: Hook) -> None:
    counted: list[str] = []
    guard = Guard(
        Chain([lua(f"{LUA_SETS} do return end", hook=hook), python(hook, "    return None")]),
        "refuse",
        counted.append,
    )
    asked = given()
    assert guard.call(hook, asked) is None
    assert asked.contexts.message.get("smtpapi_open_tracking") == "0"
    assert asked.contexts.connection.get("seen") == "off"
    assert counted == []


def test_returning_nothing_is_warned_of_once_for_each_file() -> None:
    files = [lua("do return nil end"), lua("do return end"), lua("")]
    guard = Guard(Chain(files))
    with capture_logs() as lines:
        for _ in range(5):
            guard.call(Hook.EACH_RCPT, given())
    assert [(line["event"], line["log_level"]) for line in lines] == [
        ("policy.returned_nothing", "warning")
    ] * 2
    assert lines[0]["at"] == f"{FILE}:3"
    assert lines[0]["hook"] == "validate_data_spool_each_rcpt"
    assert lines[0]["taken_as"] == "msys.core.VALIDATE_CONT"


def test_the_warning_does_not_come_again_after_a_failure_has_renewed_the_state() -> None:
    guard = Guard(Chain([lua("if msg:rcptto() == 'bad@b.c' then error('x') end do return end")]))
    with capture_logs() as lines:
        for recipient in ("a@b.c", "bad@b.c", "a@b.c"):
            guard.call(Hook.EACH_RCPT, transaction(recipient=recipient))
    events = [line["event"] for line in lines]
    assert events == ["policy.returned_nothing", "policy.failed"]


def test_a_code_of_refusal_rejects_though_nothing_is_returned() -> None:
    guard = Guard(Chain([lua("vctx:set_code(550, '5.7.1 no') do return end")]))
    rejection = guard.call(Hook.EACH_RCPT, given())
    assert rejection == Rejection(code=550, text="5.7.1 no")
