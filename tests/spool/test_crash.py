"""Workers killed between any two statements lose nothing that was acknowledged."""

from pathlib import Path

import pytest
from tests.spool.crashing import COPIES_AT_ONCE, run_rounds
from tests.thoroughness import IS_THOROUGH


@pytest.mark.timeout(600)
def test_workers_killed_at_any_statement_lose_nothing_and_double_only_what_was_under_way(
    tmp_path: Path,
) -> None:
    account = run_rounds(tmp_path, 14 if IS_THOROUGH else 5)
    assert account.kills > 0
    assert len(account.acknowledged) > 0
    assert account.lost == set()
    # A copy is for two recipients at most.
    assert account.doubled <= account.kills * COPIES_AT_ONCE * 2
