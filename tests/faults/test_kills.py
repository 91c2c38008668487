"""kill -9 at any instant under load: nothing that was accepted is lost, and nothing is mixed up.

`make soak` does the same for minutes.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import TypeAlias

import pytest
from tests.faults.stage import SPOOL, Stage

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]

Kill: TypeAlias = Callable[[Stage, Random], Awaitable[None]]

_KILLS = 3
_MAILS_BETWEEN = 40
_SEED = 1


async def kill_the_supervisor(stage: Stage, random: Random) -> None:
    del random
    await stage.proxy.kill()
    await stage.proxy.start()


async def kill_a_worker(stage: Stage, random: Random) -> None:
    stage.proxy.kill_worker(random)


async def kill_everything(stage: Stage, random: Random) -> None:
    del random
    stage.proxy.clear_away()
    await stage.proxy.start()


async def kill_the_upstream(stage: Stage, random: Random) -> None:
    del random
    await stage.upstream.kill()
    await stage.upstream.start()


@pytest.mark.parametrize("spool", ["", SPOOL], ids=["no spool", "a spool"])
@pytest.mark.parametrize(
    "kill",
    [kill_the_supervisor, kill_a_worker, kill_everything, kill_the_upstream],
    ids=lambda kill: kill.__name__,
)
async def test_what_is_killed_loses_doubles_and_crosses_nothing(
    kill: Kill, spool: str, tmp_path: Path
) -> None:
    instants = Random(_SEED)  # noqa: S311 - the same instants every time is the point
    async with Stage(tmp_path, "workers = 2", spool, seed=_SEED) as stage:
        await stage.start()
        for _ in range(_KILLS):
            await stage.until_accepted(_MAILS_BETWEEN)
            await asyncio.sleep(instants.random() / 50)
            await kill(stage, instants)
        account = await stage.settle()
    assert not account.faults, account.faults
    assert account.given_up == 0
    assert account.accepted + account.refused == account.sent >= _KILLS * _MAILS_BETWEEN
    # Without a spool a mail that only some got is refused, and the answer names them.
    assert account.refused == 0 or not spool
