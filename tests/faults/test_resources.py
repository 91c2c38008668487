"""A machine that runs out of things: files, disk for the log, a clock that can be believed."""

import asyncio
import contextlib
import os
import socket
from pathlib import Path

import pytest
from tests.faults.stage import Stage
from tests.mail_tools import tools_folder
from tests.processes import COMMAND

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]

_MAILS = 30
_MAILS_PAST_A_PIPE = 300
_IDLE_CLIENTS = 100
"""More than there are file descriptors."""
_PROXY = (COMMAND, "proxy", "--config", "proxy.toml")
_DAY_SECONDS = 86_400


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
