from pathlib import Path

import pytest
from tests.policy.asked import SAMPLES, call, transaction

from msys_track.errors import PolicyFailedError, SettingsError
from msys_track.policy.hooks import Hook, Rejection
from msys_track.policy.loading import PolicySettings, load_policy


def fault(*files: Path) -> str:
    with pytest.raises(SettingsError) as caught:
        load_policy(PolicySettings(files=files))
    return str(caught.value)


def test_without_files_there_is_no_policy() -> None:
    assert load_policy(PolicySettings()) is None


def test_files_of_both_languages_make_one_policy() -> None:
    policy = load_policy(PolicySettings(files=(SAMPLES / "gate.lua", SAMPLES / "engagement.py")))
    assert policy is not None
    assert policy.hooks == {Hook.CONNECT, Hook.RCPTTO, Hook.DATA_SPOOL, Hook.EACH_RCPT}
    blocked = transaction(recipient="jo@blocked.example")
    refused = Rejection(code=550, text="5.7.1 This domain wants no mail")
    assert call(policy, Hook.RCPTTO, blocked) == refused


def test_a_faulty_file_is_named_also_as_the_second(tmp_path: Path) -> None:
    misspelt = tmp_path / "bad.py"
    misspelt.write_text("def validate_helo(t): pass\n")
    for path, text in (
        (tmp_path / "none.lua", ": can't be read: No such file or directory"),
        (tmp_path / "policy.sieve", ": a policy's file ends in .py or .lua"),
        (misspelt, ":1: validate_helo is not a hook; did you mean validate_ehlo?"),
    ):
        assert fault(path) == fault(SAMPLES / "gate.lua", path) == f"{path}{text}"


def test_the_limits_are_the_settings(tmp_path: Path) -> None:
    path = tmp_path / "slow.lua"
    path.write_text(
        "msys.registerModule('slow', { validate_ehlo = function() while true do end end })"
    )
    policy = load_policy(PolicySettings(files=(path,), timeout_seconds=0.02))
    assert policy is not None
    with pytest.raises(
        PolicyFailedError, match=r"slow\.lua:1: validate_ehlo: ran longer than 0\.02"
    ):
        call(policy, Hook.EHLO, transaction())


def test_the_sandbox_is_a_setting(tmp_path: Path) -> None:
    path = tmp_path / "open.lua"
    path.write_text(
        "local home = os.getenv('HOME')\n"
        "msys.registerModule('open', { validate_ehlo = function() return 0 end })"
    )
    assert load_policy(PolicySettings(files=(path,), lua_sandbox=False)) is not None
    assert fault(path) == f"{path}:1: os.getenv is not available in the sandbox"


@pytest.mark.parametrize(
    "limits", [{"timeout_seconds": 0}, {"timeout_seconds": 61}, {"max_memory_bytes": 1000}]
)
def test_limits_that_no_policy_could_keep_are_refused(limits: dict[str, int]) -> None:
    with pytest.raises(SettingsError, match="allowed"):
        PolicySettings(**limits)  # type: ignore[arg-type]
