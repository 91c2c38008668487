"""Upstreams that fail under load, as real processes: nobody loses mail by it."""

from pathlib import Path

import pytest
from tests.faults.stage import Stage

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]

_MAILS = 60


@pytest.mark.parametrize(
    "fault",
    [
        ("--refuse-recipient-every", "3"),
        ("--close-in-data-every", "5"),
        ("--close-after-data-every", "5"),
        ("--seconds-a-byte", "0.002"),
    ],
    ids=lambda fault: fault[0].strip("-"),
)
async def test_an_upstream_that_fails_now_and_then_costs_no_mail(
    fault: tuple[str, str], tmp_path: Path
) -> None:
    async with Stage(tmp_path) as stage:
        await stage.start(*fault)
        await stage.until_accepted(_MAILS)
        account = await stage.settle()
    assert not account.faults, account.faults
    assert account.given_up == 0
    assert account.accepted + account.refused == account.sent >= _MAILS


async def test_all_faults_of_an_upstream_at_once_cost_no_mail(tmp_path: Path) -> None:
    faults = ("--refuse-recipient-every=7", "--close-in-data-every=11", "--defer-every=13")
    async with Stage(tmp_path) as stage:
        await stage.start(*faults, "--close-after-data-every=17")
        await stage.until_accepted(_MAILS)
        account = await stage.settle()
    assert not account.faults, account.faults
    assert account.given_up == 0
