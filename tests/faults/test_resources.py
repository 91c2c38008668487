"""A machine that runs out of things: files, disk for log and spool, a clock to be believed."""

import asyncio
import contextlib
import os
import resource
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.faults.stage import SPOOL, Stage
from tests.mail_tools import tools_folder
from tests.processes import COMMAND
from tests.small_disk import mount, small_disk
from tests.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]

_MAILS = 30
_MAILS_PAST_A_PIPE = 300
_IDLE_CLIENTS = 100
"""More than there are file descriptors."""
_PROXY = (COMMAND, "proxy", "--config", "proxy.toml")
_DAY_SECONDS = 86_400
_DISK_BYTES = 4 * 1024 * 1024
_FILE_BYTES = 2 * 1024 * 1024
_SMALL_FILE_BYTES = 768 * 1024
"""The spool keeps nothing in the last 512 KiB."""
_NAMED = 5


def in_shell(line: str) -> tuple[str, ...]:
    """Run the proxy by a shell that first does something to its process."""
    return ("/bin/sh", "-c", f'{line} "$@"', "sh", *_PROXY)


async def test_without_file_descriptors_clients_wait_and_nothing_is_lost(tmp_path: Path) -> None:
    command = in_shell("ulimit -H -n 64; exec")
    async with Stage(tmp_path, proxy_command=command, connections=4) as stage:
        await stage.start()
        await stage.until_accepted(_MAILS)
        with contextlib.ExitStack() as idle:
            for _ in range(_IDLE_CLIENTS):
                idle.enter_context(socket.create_connection(("127.0.0.1", stage.proxy.port)))
            await asyncio.sleep(1)
        await stage.until_accepted(_MAILS)
        account = await stage.settle()
    assert not account.faults, account.faults
    assert account.accepted == account.sent


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
async def test_a_log_on_a_full_disk_decides_no_answer_and_no_stop(tmp_path: Path) -> None:
    command = in_shell("exec 2>/dev/full; exec")
    async with Stage(tmp_path, proxy_command=command) as stage:
        await stage.start()
        await stage.until_accepted(_MAILS)
        account = await stage.settle()
    assert not account.faults, account.faults
    assert account.accepted == account.sent


async def test_a_log_whose_reader_stands_still_decides_no_answer_and_no_stop(
    tmp_path: Path,
) -> None:
    # The pipe is full after 64 KiB, some hundred mails.
    os.mkfifo(tmp_path / "log.fifo")
    command = in_shell("exec 2<>log.fifo; exec")
    async with Stage(tmp_path, proxy_command=command) as stage:
        await stage.start()
        await stage.until_accepted(_MAILS_PAST_A_PIPE)
        account = await stage.settle()
    assert not account.faults, account.faults
    assert account.accepted == account.sent


async def keep_until_there_is_no_room(stage: Stage, make_room: Callable[[], None]) -> None:
    """Keep mail without an upstream until it is refused, then with more room, then with less."""
    await stage.proxy.start()
    stage.clients.start()
    await until(lambda: stage.clients.refusals > _MAILS)
    full = stage.clients.accepted
    assert full > _MAILS
    make_room()
    await stage.until_accepted(_MAILS)
    # What there is goes out of the spool, and what the upstream does not take is kept again.
    await stage.upstream.start()
    await stage.until_accepted(_MAILS)
    await stage.upstream.kill()
    await stage.until_accepted(_MAILS)
    await stage.upstream.start()
    account = await stage.settle()
    assert not account.faults, account.faults
    assert account.accepted == account.sent
    assert account.given_up == 0
    answers = {each.answer[:1] for mail in stage.clients.sent.values() for each in mail.tries}
    assert answers <= {"2", "4", ""}, answers


def enlarge(disk: Path) -> None:
    assert mount("-o", f"remount,size={4 * _DISK_BYTES}", str(disk))


async def test_a_full_disk_of_the_spool_loses_nothing_and_keeps_more_when_there_is_room(
    tmp_path: Path,
) -> None:
    with small_disk(tmp_path / "disk", _DISK_BYTES) as disk:
        spool = SPOOL.replace('"partial"', '"always"').replace('"spool"', f'"{disk}/spool"')
        async with Stage(tmp_path, "workers = 2", spool) as stage:
            await keep_until_there_is_no_room(stage, lambda: enlarge(disk))


async def test_a_spool_whose_file_may_not_grow_loses_nothing_and_goes_on_when_it_may(
    tmp_path: Path,
) -> None:
    command = in_shell(f"ulimit -S -f {_FILE_BYTES // 512}; exec")
    spool = SPOOL.replace('"partial"', '"always"')

    def make_room() -> None:
        for pid in (stage.proxy.pid, *stage.proxy.workers):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)

    async with Stage(tmp_path, "workers = 2", spool, proxy_command=command) as stage:
        await keep_until_there_is_no_room(stage, make_room)


async def test_whom_a_full_spool_can_not_keep_a_copy_for_is_named_in_the_answer(
    tmp_path: Path,
) -> None:
    # The others have the mail, so that the client must not be told to try again.
    command = in_shell(f"ulimit -S -f {_SMALL_FILE_BYTES // 512}; exec")
    spool = SPOOL.replace("first_retry_seconds = 1", "first_retry_seconds = 4")
    spool = spool.replace("last_retry_seconds = 2", "last_retry_seconds = 4")

    def count_named() -> int:
        tries = (each for mail in stage.clients.sent.values() for each in mail.tries)
        return sum("copies relayed; do not send" in each.answer for each in tries)

    async with Stage(tmp_path, spool, proxy_command=command) as stage:
        await stage.start("--defer-every=2")
        await until(lambda: count_named() > _NAMED)
        await stage.upstream.kill()
        await stage.upstream.start()
        account = await stage.settle()
    assert not account.faults, account.faults
    assert account.refused > _NAMED
    assert account.accepted + account.refused == account.sent


@pytest.mark.parametrize("jump", [_DAY_SECONDS, -_DAY_SECONDS], ids=["forward", "back"])
async def test_a_clock_that_jumps_costs_no_mail(jump: int, tmp_path: Path) -> None:
    libraries = sorted(tools_folder().glob("libfaketime/usr/lib/*/faketime/libfaketimeMT.so.1"))
    if not libraries:
        pytest.skip("libfaketime was not found; scripts/mail-tools unpacks it")
    clock = tmp_path / "clock"
    clock.write_text("+0", encoding="ascii")
    faked = {
        "LD_PRELOAD": str(libraries[0]),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",  # what jumps is the time of day
    }
    async with Stage(tmp_path, env=faked) as stage:
        await stage.start()
        await stage.until_accepted(_MAILS)
        for offset in (jump, 0):
            clock.write_text(f"{offset:+}", encoding="ascii")
            await stage.until_accepted(_MAILS)
        account = await stage.settle()
        logged = stage.proxy.log.read_text(encoding="utf-8")
    assert not account.faults, account.faults
    assert account.accepted == account.sent
    assert "Traceback" not in logged
