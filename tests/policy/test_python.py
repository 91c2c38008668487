from pathlib import Path

import pytest
from tests.captured_logs import capture_logs
from tests.policy.policies import transaction

from msys_track.errors import PolicyFailedError, SettingsError
from msys_track.policy.chain import CONTINUE
from msys_track.policy.changes import HeaderChange
from msys_track.policy.hooks import Hook, Rejection
from msys_track.policy.python import PythonPolicy

FILE = Path("/etc/msys/policy.py")


def policy(source: str) -> PythonPolicy:
    return PythonPolicy(FILE, source.encode())


def test_functions_named_after_hooks_are_its_hooks() -> None:
    made = policy("def validate_ehlo(t): pass\ndef other(t): pass\nvalidate_auth = print\n")
    assert made.hooks == {Hook.EHLO, Hook.AUTH}


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("validate_ehlo = 5", "1: validate_ehlo is int; a hook is a plain function"),
        ("validate_auth = 'x'", "1: validate_auth is str; a hook is a plain function"),
    ],
)
def test_a_hook_that_is_no_function_is_a_fault(source: str, fault: str) -> None:
    with pytest.raises(SettingsError) as refused:
        policy(source)
    assert str(refused.value).startswith(f"{FILE}:{fault}")


def test_a_file_that_nests_too_deeply_is_a_fault_of_it() -> None:
    with pytest.raises(SettingsError, match=f"{FILE}:1: nests too deeply"):
        policy(f"x = {'-' * 100_000}1")


@pytest.mark.parametrize("bad", ["raise OSError", "def validate_helo(t): pass", "x = 1"])
def test_a_policy_goes_on_as_it_was_if_its_next_version_is_refused(bad: str) -> None:
    source = "import pickle\nclass A: pass\ndef validate_rcptto(t): pickle.dumps(A())\n"
    made = policy(source)
    with pytest.raises(SettingsError):
        policy(bad)
    assert made.ask(Hook.RCPTTO, transaction()) == CONTINUE


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


@pytest.mark.parametrize(
    ("source", "failure"),
    [
        (
            "def validate_rcptto(t):\n    int('seven')\n",
            "2: validate_rcptto: ValueError: invalid literal",
        ),
        (  # the line that called the library
            "import json\n\ndef validate_rcptto(t):\n    json.loads('{')\n",
            "4: validate_rcptto: JSONDecodeError",
        ),
        (
            "def validate_rcptto(t):\n    t.contexts.message.set('smtpapi_tags', ['a'])\n",
            "2: validate_rcptto: TypeError: smtpapi_tags: values are strings",
        ),
        (
            "import sys\ndef validate_rcptto(t):\n    sys.exit(1)\n",
            "3: validate_rcptto: SystemExit",
        ),
        *(
            (f"\ndef validate_rcptto(t):\n    return {answer}\n", "2: validate_rcptto: returned ")
            for answer in ("True", "550", "'no'", "(550, 'no')")
        ),
    ],
)
def test_a_failure_names_the_policys_own_line_and_the_cause(source: str, failure: str) -> None:
    with pytest.raises(PolicyFailedError) as caught:
        policy(source).ask(Hook.RCPTTO, transaction())
    assert str(caught.value).startswith(f"{FILE}:{failure}")


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        (
            "\n\ndef validate_rcpto(t): pass\n",
            "3: validate_rcpto is not a hook; did you mean validate_rcptto?",
        ),
        ("def validate_data(t): pass\n", "1: validate_data is not a hook; did you mean"),
        ("x = 1\n", "1: no hook found; the hooks are validate_connect,"),
        ("x = 1\ndef f(:\n", "2: "),
        ("\nimport no_such_module_at_all\n", "2: ModuleNotFoundError"),
        ("x = '\0'\n", ""),
        (
            "async def validate_rcptto(t): pass\n",
            "1: validate_rcptto is async; a hook is a plain function",
        ),
    ],
)
def test_a_fault_of_the_file_has_its_line(source: str, fault: str) -> None:
    with pytest.raises(SettingsError) as caught:
        policy(source)
    assert str(caught.value).startswith(f"{FILE}:{fault}")


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


def test_a_file_with_momentums_own_hooks_alone_starts_with_a_notice() -> None:
    with capture_logs() as lines:
        made = policy("def helper(): pass\ndef validate_set_binding(t): pass\n")
    assert made.hooks == frozenset()
    assert made.notices == (f"{FILE}:2: validate_set_binding is never called here",)
    assert [(line["event"], line["at"]) for line in lines] == [("policy.notice", f"{FILE}:2")]


def test_a_policy_changes_headers_and_envelope() -> None:
    given = transaction()
    policy(
        "def validate_data_spool_each_rcpt(t):\n"
        "    t.headers.set('X-Campaign', 'spring')\n"
        "    t.headers.remove('X-Class')\n"
        "    assert t.headers.get('X-Campaign') == ['spring']\n"
        "    t.set_recipient('al@shop.example')\n"
        "    t.set_sender('')\n"
        "    t.discard('550 not wanted')\n"
    ).ask(Hook.EACH_RCPT, given)
    changes = given.changes
    assert changes.headers == [HeaderChange("X-Campaign", "spring"), HeaderChange("X-Class", None)]
    assert (changes.recipient, changes.sender) == ("al@shop.example", "")
    assert (changes.is_discarded, changes.discard_reason) == (True, "550 not wanted")


def test_what_cant_be_changed_is_a_failure_with_its_line() -> None:
    made = policy("def validate_rcptto(t):\n    t.headers.set('X-A', '1')\n")
    with pytest.raises(PolicyFailedError, match=r"policy\.py:2: validate_rcptto: ValueError: X-A"):
        made.ask(Hook.RCPTTO, transaction(message=None))
