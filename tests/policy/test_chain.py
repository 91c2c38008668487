from pathlib import Path

from tests.policy.asked import call, lua, transaction

from msys_track.errors import PolicyFailedError
from msys_track.policy.chain import Chain
from msys_track.policy.hooks import Hook, Rejection
from msys_track.policy.python import PythonPolicy


def python(name: str, body: str) -> PythonPolicy:
    source = (
        "from msys_track.policy import Rejection\n"
        f"def validate_data_spool_each_rcpt(t):\n    {body}\n"
    )
    return PythonPolicy(Path(name), source.encode())


def test_files_are_asked_in_order_and_see_what_was_set_before() -> None:
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


def test_done_means_that_no_later_file_is_asked_at_this_hook() -> None:
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
