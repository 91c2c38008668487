"""Faults at random instants under full load for as long as is wanted: `make soak`.

Prints what each ten seconds brought and the account of every mail, and ends with 1 where it has a
fault. The seed gives the same order of faults; the instants differ with the machine.
"""

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import TypeAlias

from tests import process_tree
from tests.faults.account import Account
from tests.faults.nuisances import NUISANCES, Nuisance, annoy
from tests.faults.stage import SPOOL, Stage

_FAULTY_UPSTREAM = (
    (),
    (),
    ("--refuse-recipient-every=7",),
    ("--close-in-data-every=50",),
    ("--close-after-data-every=50",),
    ("--defer-every=9",),
    ("--seconds-a-byte=0.001",),
    ("--refuse-recipient-every=11", "--close-after-data-every=70", "--defer-every=13"),
)
Fault: TypeAlias = Callable[[], Awaitable[None]]

_LONGEST_AWAY_SECONDS = 1.0
_REPORT_SECONDS = 10
_KILLS = ("proxy killed", "worker killed")


class Soak:
    """One run: what fails next, and how often each thing has."""

    def __init__(self, stage: Stage, random: Random, *, kills: int) -> None:
        """Prepare to run; supervisor and workers are killed so many times as often as the rest."""
        self.happened: Counter[str] = Counter()
        self._stage = stage
        self._random = random
        self._upstream_faults: tuple[str, ...] = ()
        self._annoying: set[asyncio.Task[None]] = set()
        self._faults: dict[str, Fault] = {
            "proxy killed": self._kill_proxy,
            "worker killed": self._kill_worker,
            "worker stopped": self._stop_worker,
            "program replaced": self._replace_program,
            "proxy stopped and started": self._restart_proxy,
            "proxy told to read its configuration": self._hang_up,
            "upstream killed": self._kill_upstream,
            "upstream away for a while": self._take_upstream_away,
            "bad client": self._annoy,
        }
        self._weights = [kills if name in _KILLS else 1 for name in self._faults]

    async def run(self, seconds: float, pause_seconds: float) -> None:
        """Let things fail until the time is over, with a pause of up to so long before each."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            await asyncio.sleep(self._random.random() * pause_seconds)
            [name] = self._random.choices(list(self._faults), self._weights)
            if name.startswith("worker") and not self._stage.proxy.workers:
                continue
            await self._faults[name]()
            self.happened[name] += 1

    async def report(self) -> None:
        """Say every ten seconds how many mails ended, and what may have kept others."""
        began, before, faults = time.monotonic(), 0, 0
        while True:
            await asyncio.sleep(_REPORT_SECONDS)
            over = self._stage.clients.accepted
            say(
                f"{time.monotonic() - began:.0f} s: {over - before:,} mails of {over:,}, "
                f"{self.happened.total() - faults} faults, "
                f"{len(self._stage.proxy.workers)} workers, "
                f"upstream {' '.join(self._upstream_faults) or 'without faults'}"
            )
            before, faults = over, self.happened.total()

    async def heal(self) -> None:
        """Let bad clients end and an upstream without faults take over: every mail can end."""
        await asyncio.gather(*self._annoying)
        self._upstream_faults = ()
        await self._stage.upstream.kill()
        await self._stage.upstream.start()

    async def _kill_proxy(self) -> None:
        await self._stage.proxy.kill()
        await self._stage.proxy.start()

    async def _kill_worker(self) -> None:
        self._stage.proxy.kill_worker(self._random)

    async def _stop_worker(self) -> None:
        os.kill(self._random.choice(self._stage.proxy.workers), signal.SIGTERM)

    async def _replace_program(self) -> None:
        os.kill(self._stage.proxy.pid, signal.SIGUSR2)

    async def _restart_proxy(self) -> None:
        assert await self._stage.proxy.stop() == 0, self._stage.proxy.written
        await self._stage.proxy.start()

    async def _hang_up(self) -> None:
        os.kill(self._stage.proxy.pid, signal.SIGHUP)

    async def _kill_upstream(self) -> None:
        await self._stage.upstream.kill()
        await self._start_upstream()

    async def _take_upstream_away(self) -> None:
        await self._stage.upstream.kill()
        await asyncio.sleep(self._random.random() * _LONGEST_AWAY_SECONDS)
        await self._start_upstream()

    async def _start_upstream(self) -> None:
        self._upstream_faults = self._random.choice(_FAULTY_UPSTREAM)
        await self._stage.upstream.start(*self._upstream_faults)

    async def _annoy(self) -> None:
        # Some stay for a minute; meanwhile other things fail.
        task = asyncio.create_task(self._annoy_beside(self._random.choice(NUISANCES)))
        self._annoying.add(task)
        task.add_done_callback(self._annoying.discard)

    async def _annoy_beside(self, nuisance: Nuisance) -> None:
        with contextlib.suppress(ConnectionError):  # the proxy has just been killed
            await annoy(nuisance, self._stage.proxy.port)


async def run_soak(arguments: argparse.Namespace, folder: Path) -> Account:
    seed = arguments.seed
    random = Random(seed)  # noqa: S311 - the same faults every time is the point
    async with Stage(
        folder,
        f"workers = {arguments.workers}",
        "" if arguments.no_spool else SPOOL,
        seed=seed,
        connections=arguments.connections,
    ) as stage:
        await stage.start()
        soak = Soak(stage, random, kills=arguments.kills)
        reporting = asyncio.create_task(soak.report())
        started = time.monotonic()
        await soak.run(arguments.seconds, arguments.pause)
        took = time.monotonic() - started
        await soak.heal()
        resident = process_tree.resident_bytes(stage.proxy.pid)
        account = await stage.settle()
        reporting.cancel()
    tries = sum(len(mail.tries) for mail in stage.clients.sent.values())
    say(f"seed {seed}, {took:.0f} s, {arguments.connections} connections, {tries:,} transactions")
    for name, times in sorted(soak.happened.items()):
        say(f"  {name}: {times}")
    say(f"resident memory of the proxy at the end: {resident / 2**20:.0f} MiB")
    return account


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - a command's own voice


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.faults.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--connections", type=int, default=30)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--no-spool", action="store_true", help="nothing is kept")
    parser.add_argument("--kills", type=int, default=1, help="times as often as other faults")
    parser.add_argument("--pause", type=float, default=1, help="longest before a fault, seconds")
    parser.add_argument("--folder", type=Path, help="where logs and journal stay")
    return parser.parse_args()


def main() -> int:
    arguments = read_arguments()
    # It warns of each write to a connection that is gone, which is what happens here.
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    say(f"seed {arguments.seed}")
    with tempfile.TemporaryDirectory() as folder:
        account = asyncio.run(run_soak(arguments, arguments.folder or Path(folder)))
    say(str(account))
    for kind, mails in account.faults.items():
        for mail in mails[:10]:
            say(f"{kind}: {mail}")
    return 1 if account.faults or account.given_up else 0


if __name__ == "__main__":
    sys.exit(main())
