"""A file that fails loses what it set in that call, and nothing else is lost."""

from itertools import product
from pathlib import Path
from typing import Final

import pytest
from tests.captured_logs import capture_logs
from tests.policy.policies import FILE, lua, transaction
from tests.thoroughness import some_of

from msys_track.policy.chain import Chain, PolicyFile
from msys_track.policy.context import Context, Contexts
from msys_track.policy.guard import Guard, OnFailure
from msys_track.policy.hooks import Hook, Rejection, Transaction
from msys_track.policy.python import PythonPolicy

REFUSED: Final = Rejection(code=451, text="4.3.0 Policy failed; try again later")
NO: Final = Rejection(code=550, text="no")
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
PYTHON_SETS: Final = (
    "m.set('smtpapi_open_tracking', '0'); m.set('smtpapi_click_tracking', '0');"
    "c.set('seen', 'off')"
)
PYTHON_SPOILS: Final = (
    "m.set('smtpapi_open_tracking', '1'); m.set('smtpapi_campaign_id', 'spoilt');"
    "m.delete('smtpapi_click_tracking'); m.delete('kept');"
    "c.set('seen', 'spoilt'); c.delete('kept'); c.set('more', 'spoilt')"
)
FAILS: Final = {
    "Lua, an error": "error('a defect')",
    "Lua, a call that is not there": "msys.db.query('select 1')",
    "Lua, a loop": "while true do end",
    "Lua, a loop that catches errors": "while true do pcall(error) end",
    "Lua, memory": "local s = 'x' while true do s = s .. s end",
    "Lua, another answer": "do return 7 end",
    "Lua, an answer that nothing waits for": "do return msys.core.VALIDATE_AGAIN end",
    "Lua, a variable that is too long": "vctx:set(M, 'x', ('x'):rep(70000))",
    "Lua, a code and an error": "vctx:set_code(550, 'no') error('a defect')",
    "Python, an error": "raise ValueError('a defect')",
    "Python, a time-out": "raise TimeoutError",
    "Python, leaving the process": "raise SystemExit(1)",
    "Python, another answer": "return True",
    "Python, a variable that is too long": "m.set('x', 'x' * 70_000)",
}


HOOKS: Final = [each for each in Hook if each is not Hook.AUTH]


def python(hook: Hook, body: str) -> PythonPolicy:
    source = f"def {hook}(t):\n    m, c = t.contexts.message, t.contexts.connection\n    {body}\n"
    return PythonPolicy(Path("/etc/msys/other.py"), source.encode())


def setting(language: str, hook: Hook) -> PolicyFile:
    return lua(LUA_SETS, hook=hook) if language == "Lua" else python(hook, PYTHON_SETS)


def failing(name: str, hook: Hook) -> PolicyFile:
    if name.startswith("Python"):
        return python(hook, f"{PYTHON_SPOILS}; {FAILS[name]}")
    body = f"{LUA_SPOILS} {FAILS[name]}"
    return lua(body, hook=hook, timeout_seconds=0.02, max_memory_bytes=4 << 20)


def make_transaction() -> Transaction:
    contexts = Contexts(connection=Context(CONNECTION), message=Context(MESSAGE))
    return transaction(contexts=contexts, user="app")


def call(
    hook: Hook, *files: PolicyFile, on_failure: OnFailure = "continue"
) -> tuple[Rejection | None, Contexts, list[str]]:
    """Return the answer, the contexts after the call, and what was counted."""
    counted: list[str] = []
    subject = make_transaction()
    answer = Guard(Chain(files), on_failure, counted.append).call(hook, subject)
    return answer, subject.contexts, counted


@pytest.mark.parametrize(
    ("name", "hook", "language", "is_first"),
    # By default each failure beside each language, first and last, at some of the hooks.
    some_of(product(FAILS, HOOKS, ("Lua", "Python"), (True, False)), 5),
)
def test_what_the_others_set_holds(
    hook: Hook, language: str, name: str, *, is_first: bool
) -> None:
    files = [failing(name, hook), setting(language, hook)]
    with capture_logs() as lines:
        answer, contexts, counted = call(hook, *(files if is_first else files[::-1]))
    assert (answer, counted) == (None, ["policy.continued"])
    off = {"smtpapi_open_tracking": "0", "smtpapi_click_tracking": "0"}
    assert contexts.message.items() == {**MESSAGE, **off}
    assert contexts.connection.items() == {**CONNECTION, "seen": "off"}
    assert [(line["event"], line["hook"]) for line in lines] == [("policy.failed", hook.value)]


@pytest.mark.parametrize("name", FAILS)
def test_alone_it_leaves_everything_as_it_was(name: str) -> None:
    answer, contexts, _ = call(Hook.EHLO, failing(name, Hook.EHLO))
    assert answer is None
    assert (contexts.message.items(), contexts.connection.items()) == (MESSAGE, CONNECTION)


def test_what_it_set_at_an_earlier_hook_holds() -> None:
    source = (
        b"def validate_mailfrom(t):\n    t.contexts.message.set('smtpapi_open_tracking', '0')\n"
        b"def validate_rcptto(t):\n    t.contexts.message.set('smtpapi_open_tracking', '1')\n"
        b"    raise OSError\n"
    )
    guard = Guard(Chain([PythonPolicy(Path("/etc/msys/policy.py"), source)]))
    subject = transaction()
    assert guard.call(Hook.MAILFROM, subject) is None
    assert guard.call(Hook.RCPTTO, subject) is None
    assert subject.contexts.message.items() == {"smtpapi_open_tracking": "0"}


def test_each_failure_in_a_row_is_counted_and_what_stands_between_them_holds() -> None:
    hook = Hook.RCPTTO
    answer, contexts, counted = call(
        hook,
        failing("Python, an error", hook),
        setting("Lua", hook),
        failing("Lua, an error", hook),
        setting("Python", hook),
        failing("Python, another answer", hook),
    )
    assert (answer, counted) == (None, ["policy.continued"] * 3)
    assert contexts.lookup("smtpapi_click_tracking") == "0"
    assert contexts.message.get("smtpapi_campaign_id") is None


@pytest.mark.parametrize("name", FAILS)
def test_nobody_gets_in_because_a_policy_fails_at_auth(name: str) -> None:
    answer, _, counted = call(Hook.AUTH, failing(name, Hook.AUTH), on_failure="continue")
    assert (answer, counted) == (REFUSED, ["policy.refused"])


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("name", FAILS)
def test_where_failures_refuse_the_mail_gets_451_in_both_orders(
    name: str, *, is_first: bool
) -> None:
    files = [failing(name, Hook.RCPTTO), setting("Python", Hook.RCPTTO)]
    files = files if is_first else files[::-1]
    answer, _, counted = call(Hook.RCPTTO, *files, on_failure="refuse")
    assert (answer, counted) == (REFUSED, ["policy.refused"])


def test_where_failures_refuse_the_first_rejection_still_wins() -> None:
    refusing = lua("vctx:set_code(550, 'no')", hook=Hook.RCPTTO)
    fails = failing("Python, an error", Hook.RCPTTO)
    assert call(Hook.RCPTTO, refusing, fails, on_failure="refuse")[0] == NO
    assert call(Hook.RCPTTO, fails, refusing, on_failure="refuse")[0] == REFUSED


@pytest.mark.parametrize("hook", Hook)
def test_a_hook_of_lua_that_returns_nothing_goes_on_and_its_settings_hold(hook: Hook) -> None:
    files = lua(f"{LUA_SETS} do return end", hook=hook), python(hook, "return None")
    answer, contexts, counted = call(hook, *files, on_failure="refuse")
    assert (answer, counted) == (None, [])
    assert contexts.message.get("smtpapi_open_tracking") == "0"
    assert contexts.connection.get("seen") == "off"


def test_returning_nothing_is_warned_of_once_for_each_file() -> None:
    guard = Guard(Chain([lua("do return nil end"), lua("do return end"), lua("")]))
    with capture_logs() as lines:
        for _ in range(5):
            guard.call(Hook.EACH_RCPT, make_transaction())
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


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("is_first", [True, False], ids=["fails first", "fails last"])
@pytest.mark.parametrize("name", ["Lua, an error", "Lua, a code and an error", "Python, an error"])
def test_a_rejection_holds_whichever_other_file_fails(
    hook: Hook, name: str, *, is_first: bool
) -> None:
    rejecting = lua("vctx:set(C, 'seen', 'no') vctx:set_code(550, 'no')", hook=hook)
    files = [failing(name, hook), rejecting]
    answer, contexts, counted = call(hook, *(files if is_first else files[::-1]))
    assert (answer, counted) == (NO, ["policy.continued"] * is_first)
    assert contexts.message.items() == MESSAGE
    assert contexts.connection.items() == {**CONNECTION, "seen": "no"}


@pytest.mark.parametrize("is_first", [True, False], ids=["fails first", "fails last"])
def test_a_file_that_rejects_and_one_that_fails_both_keep_a_user_out(*, is_first: bool) -> None:
    rejecting = lua("vctx:set_code(550, 'no')", hook=Hook.AUTH)
    files = [failing("Lua, an error", Hook.AUTH), rejecting]
    answer, _, _ = call(Hook.AUTH, *(files if is_first else files[::-1]))
    assert answer == (REFUSED if is_first else NO)


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("is_first", [True, False], ids=["ends first", "ends last"])
def test_a_file_that_ends_the_chain_keeps_its_settings_and_those_before_it(
    hook: Hook, *, is_first: bool
) -> None:
    ending = lua("vctx:set(C, 'seen', 'off') do return msys.core.VALIDATE_DONE end", hook=hook)
    files = [ending, failing("Lua, an error", hook)]
    answer, contexts, counted = call(hook, *(files if is_first else files[::-1]))
    assert (answer, counted) == (None, [] if is_first else ["policy.continued"])
    assert contexts.connection.items() == {**CONNECTION, "seen": "off"}
