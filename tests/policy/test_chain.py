from pathlib import Path

import pytest
from tests.policy.policies import call, lua, transaction

from msys_track.errors import PolicyFailedError
from msys_track.policy.chain import Chain, PolicyFile
from msys_track.policy.changes import HeaderChange
from msys_track.policy.hooks import Hook, Rejection
from msys_track.policy.python import PythonPolicy


def python(name: str, body: str) -> PythonPolicy:
    source = (
        "from msys_track.policy import Rejection\n"
        f"def validate_data_spool_each_rcpt(t):\n    {body}\n"
    )
    return PythonPolicy(Path(name), source.encode())


def test_files_are_called_in_order_and_see_what_was_set_before() -> None:
    first = python("a.py", "t.contexts.message.set('seen', 'a')")
    second = lua("msg:context_set(M, 'seen', msg:context_get(M, 'seen') .. 'b')")
    third = python("c.py", "t.contexts.message.set('seen', t.contexts.lookup('seen') + 'c')")
    chain = Chain([first, second, third])
    given = transaction()
    assert call(chain, Hook.EACH_RCPT, given) is None
    assert given.contexts.message.get("seen") == "abc"


def test_the_first_rejection_wins() -> None:
    chain = Chain([lua("vctx:set_code(550, 'first')"), python("b.py", "raise AssertionError")])
    assert call(chain, Hook.EACH_RCPT, transaction()) == Rejection(code=550, text="first")


def test_done_means_that_no_later_file_is_called_at_this_hook() -> None:
    chain = Chain([lua("do return msys.core.VALIDATE_DONE end"), python("b.py", "raise OSError")])
    assert call(chain, Hook.EACH_RCPT, transaction()) is None


def test_a_failure_is_reported_and_answered_in_its_file_s_place() -> None:
    chain = Chain([python("a.py", "raise OSError('down')"), lua("vctx:set_code(550, 'no')")])
    later = Rejection(code=451, text="later")
    failures: list[str] = []

    def refuse(failure: PolicyFailedError) -> Rejection:
        failures.append(str(failure))
        return later

    def go_on(failure: PolicyFailedError) -> None:
        failures.append(str(failure))

    assert chain.call(Hook.EACH_RCPT, transaction(), refuse) == later
    refused = Rejection(code=550, text="no")
    assert chain.call(Hook.EACH_RCPT, transaction(), go_on) == refused
    assert failures == ["a.py:3: validate_data_spool_each_rcpt: OSError: down"] * 2


def test_hooks_are_those_of_all_files_and_any_other_is_not_called() -> None:
    chain = Chain([lua("", hook="validate_ehlo"), python("b.py", "pass")])
    assert chain.hooks == {Hook.EHLO, Hook.EACH_RCPT}
    assert call(chain, Hook.CONNECT, transaction()) is None


def spoiling(language: str, hook: Hook) -> PolicyFile:
    if language == "Lua":
        changes = "msg:header('X-Spoilt', '1') msg:mailfrom('bad@b.c') msg:discard()"
        return lua(f"{changes} error('a defect')", hook=hook)
    changes = "t.headers.set('X-Spoilt', '1'); t.set_sender('bad@b.c'); t.discard()"
    source = f"def {hook}(t):\n    {changes}\n    raise OSError\n"
    return PythonPolicy(Path("bad.py"), source.encode())


@pytest.mark.parametrize("hook", [Hook.DATA_SPOOL, Hook.EACH_RCPT])
@pytest.mark.parametrize("language", ["Lua", "Python"])
@pytest.mark.parametrize("is_first", [True, False], ids=["fails first", "fails last"])
def test_what_a_file_changes_in_the_mail_holds_though_another_fails(
    hook: Hook, language: str, *, is_first: bool
) -> None:
    good = lua("msg:header('X-Good', '1') msg:mailfrom('good@b.c')", hook=hook)
    files = [spoiling(language, hook), good]
    given = transaction(recipient="jo@example.org" if hook is Hook.EACH_RCPT else None)
    Chain(files if is_first else files[::-1]).call(hook, given, lambda _: None)
    assert given.changes.headers == [HeaderChange("X-Good", "1")]
    assert (given.changes.sender, given.changes.is_discarded) == ("good@b.c", False)


SEES = "msg:header('X-Class')[1] .. ' ' .. msg:mailfrom() .. ' ' .. msg:rcptto()"
PYTHON_SEES = "*t.headers.get('X-Class'), t.changes.sender, t.changes.recipient"


@pytest.mark.parametrize(
    "second",
    [
        lua(f"msg:context_set(M, 'seen', {SEES})"),
        python("b.py", f"t.contexts.message.set('seen', ' '.join(({PYTHON_SEES})))"),
    ],
    ids=["Lua", "Python"],
)
def test_a_later_file_sees_the_mail_as_an_earlier_one_has_changed_it(second: PolicyFile) -> None:
    first = lua("msg:header('X-Class', 'new') msg:mailfrom('a@b.c') msg:rcptto('d@e.f')")
    given = transaction()
    call(Chain([first, second]), Hook.EACH_RCPT, given)
    assert given.contexts.message.get("seen") == "new a@b.c d@e.f"
