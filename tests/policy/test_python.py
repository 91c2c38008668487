from pathlib import Path

import pytest
from tests.policy.asked import transaction

from msys_track.errors import PolicyFailedError, SettingsError
from msys_track.policy.chain import CONTINUE
from msys_track.policy.hooks import Hook, Rejection
from msys_track.policy.python import PythonPolicy

FILE = Path("/etc/msys/policy.py")


def policy(source: str) -> PythonPolicy:
    return PythonPolicy(FILE, source.encode())


def fault(source: str) -> str:
    with pytest.raises(SettingsError) as caught:
        policy(source)
    return str(caught.value)


def failure(source: str, hook: Hook = Hook.RCPTTO) -> str:
    with pytest.raises(PolicyFailedError) as caught:
        policy(source).ask(hook, transaction())
    return str(caught.value)


def test_functions_named_after_hooks_are_its_hooks() -> None:
    made = policy("def validate_ehlo(t): pass\ndef other(t): pass\nvalidate_auth = print\n")
    assert made.hooks == {Hook.EHLO, Hook.AUTH}


def test_none_goes_on_and_a_rejection_rejects() -> None:
    made = policy(
        "from msys_track.policy import Rejection\n"
        "def validate_rcptto(t):\n"
        "    if t.recipient == 'jo@example.org':\n"
        "        return Rejection(code=550, text='5.1.1 Unknown')\n"
    )
    verdict = made.ask(Hook.RCPTTO, transaction())
    assert verdict.rejection == Rejection(code=550, text="5.1.1 Unknown")
    assert made.ask(Hook.RCPTTO, transaction(recipient="al@example.org")) == CONTINUE


def test_a_failure_names_the_policys_own_line_and_the_cause() -> None:
    said = failure("def validate_rcptto(t):\n    int('seven')\n")
    assert said.startswith("/etc/msys/policy.py:2: validate_rcptto: ValueError: invalid literal")


def test_a_failure_in_a_library_names_the_line_that_called_it() -> None:
    said = failure("import json\n\ndef validate_rcptto(t):\n    json.loads('{')\n")
    assert said.startswith("/etc/msys/policy.py:4: validate_rcptto: JSONDecodeError")


def test_a_bad_variable_is_named() -> None:
    said = failure("def validate_rcptto(t):\n    t.contexts.message.set('smtpapi_tags', ['a'])\n")
    assert said.startswith(
        "/etc/msys/policy.py:2: validate_rcptto: TypeError: smtpapi_tags: values are strings"
    )


def test_leaving_the_process_is_a_failure() -> None:
    assert "SystemExit" in failure("import sys\ndef validate_rcptto(t):\n    sys.exit(1)\n")


@pytest.mark.parametrize("answer", ["True", "550", "'no'", "(550, 'no')"])
def test_another_answer_is_a_failure(answer: str) -> None:
    said = failure(f"\ndef validate_rcptto(t):\n    return {answer}\n")
    assert said.startswith("/etc/msys/policy.py:2: validate_rcptto: returned ")


def test_a_misspelt_hook_is_told_with_its_line_and_the_right_name() -> None:
    said = fault("\n\ndef validate_rcpto(t): pass\n")
    assert (
        said
        == "/etc/msys/policy.py:3: validate_rcpto is not a hook; did you mean validate_rcptto?"
    )


def test_a_hook_of_momentums_that_is_not_python_is_told() -> None:
    assert "validate_data is not a hook; did you mean" in fault("def validate_data(t): pass\n")


def test_a_file_without_hooks_is_refused() -> None:
    said = fault("x = 1\n")
    assert said.startswith("/etc/msys/policy.py:1: no hook found; the hooks are validate_connect,")


def test_a_syntax_error_has_its_line() -> None:
    assert fault("x = 1\ndef f(:\n").startswith("/etc/msys/policy.py:2: ")


def test_a_file_that_fails_when_it_is_read_has_its_line() -> None:
    said = fault("\nimport no_such_module_at_all\n")
    assert said.startswith("/etc/msys/policy.py:2: ModuleNotFoundError")


def test_null_bytes_are_no_python() -> None:
    assert fault("x = '\0'\n").startswith("/etc/msys/policy.py:")


def test_an_async_hook_is_refused() -> None:
    assert "is async; a hook is a plain function" in fault("async def validate_rcptto(t): pass\n")


def test_a_policy_can_hold_dataclasses() -> None:
    made = policy(
        "from __future__ import annotations\n"
        "from dataclasses import dataclass\n"
        "@dataclass\n"
        "class Brand:\n"
        "    domain: str\n"
        "def validate_rcptto(t):\n"
        "    t.contexts.message.set('brand', Brand('click.example').domain)\n"
    )
    given = transaction()
    made.ask(Hook.RCPTTO, given)
    assert given.contexts.message.get("brand") == "click.example"
