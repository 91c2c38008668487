"""kill -9 at any instant under load: nothing that was accepted is lost, and nothing is mixed up.

`make soak` does the same for minutes.
"""

import asyncio
from pathlib import Path
from random import Random

import pytest
from tests.faults.stage import Stage

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]

_KILLS = 3
_MAILS_BETWEEN = 40


async def test_a_proxy_that_is_killed_loses_and_crosses_nothing(tmp_path: Path) -> None:
    instants = Random(1)  # noqa: S311 - the same instants every time is the point
    async with Stage(tmp_path, seed=1) as stage:
        await stage.start()
        for _ in range(_KILLS):
            await stage.until_accepted(_MAILS_BETWEEN)
            await asyncio.sleep(instants.random() / 50)
            await stage.proxy.kill()
            await stage.proxy.start()
        account = await stage.settle()
    assert not account.faults, account.faults
    assert account.accepted + account.refused == account.sent >= _KILLS * _MAILS_BETWEEN
    assert account.given_up == 0


async def test_an_upstream_that_is_killed_loses_and_crosses_nothing(tmp_path: Path) -> None:
    instants = Random(2)  # noqa: S311 - the same instants every time is the point
    async with Stage(tmp_path, seed=2) as stage:
        await stage.start()
        for _ in range(_KILLS):
            await stage.until_accepted(_MAILS_BETWEEN)
            await asyncio.sleep(instants.random() / 50)
            await stage.upstream.kill()
            await stage.upstream.start()
        account = await stage.settle()
    assert not account.faults, account.faults
    assert account.accepted + account.refused == account.sent >= _KILLS * _MAILS_BETWEEN
