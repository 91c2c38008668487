"""Clients that do what no client should, beside others whose mail goes on."""

from pathlib import Path

import pytest
from tests import process_tree
from tests.faults.nuisances import NUISANCES, Nuisance, annoy
from tests.faults.stage import Stage

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]

_MAILS = 30
_MOST_GROWTH = 100 << 20
"""More than any limit lets one client take; far less than what it sends."""


@pytest.mark.parametrize("nuisance", NUISANCES, ids=lambda each: each.__name__)
async def test_one_bad_client_costs_the_others_nothing(nuisance: Nuisance, tmp_path: Path) -> None:
    async with Stage(tmp_path, connections=4) as stage:
        await stage.start()
        await stage.until_accepted(_MAILS)
        process_tree.forget_peak(stage.proxy.pid)
        before = process_tree.resident_bytes(stage.proxy.pid)
        await annoy(nuisance, stage.proxy.port)
        await stage.until_accepted(_MAILS)
        peak = process_tree.peak_resident_bytes(stage.proxy.pid)
        account = await stage.settle()
    assert not account.faults, account.faults
    assert account.accepted == account.sent
    assert peak - before < _MOST_GROWTH
    assert "Traceback" not in stage.proxy.log.read_text(encoding="utf-8")
