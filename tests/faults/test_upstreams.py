"""Upstreams that fail under load, as real processes: nobody loses mail by it."""

import asyncio
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
        ("--defer-every", "4"),
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


async def test_an_upstream_that_answers_too_late_is_not_asked_again_by_the_proxy(
    tmp_path: Path,
) -> None:
    async with Stage(tmp_path, "upstream_data_timeout_seconds = 0.5", connections=4) as stage:
        await stage.start("--seconds-before-the-answer=2")
        await asyncio.sleep(3)
        await stage.upstream.kill()
        await stage.upstream.start()
        account = await stage.settle()
    assert not account.faults, account.faults
    assert account.accepted == account.sent
    # The client may send again: it was told that nobody knows.
    assert account.repeated > 0


async def test_an_upstream_of_a_byte_a_second_keeps_no_mail(tmp_path: Path) -> None:
    async with Stage(tmp_path, "upstream_reply_timeout_seconds = 1", connections=4) as stage:
        await stage.start("--seconds-a-byte=1")
        await asyncio.sleep(3)
        await stage.upstream.kill()
        await stage.upstream.start()
        account = await stage.settle()
    assert not account.faults, account.faults
    assert account.accepted == account.sent > 0
