"""Workers that are killed at any statement of SQLite, and the account of what they were given.

A child keeps mails and sends them on; it writes each acknowledged name into one file and each name
that its upstream took into another. `python -m tests.spool.crashing ROUNDS` kills children for as
many rounds as wanted and prints the account; the test does so for a few.
"""

import asyncio
import faulthandler
import os
import random
import signal
import sqlite3
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from tests.forking import FORKING
from tests.spool.conftest import delivery
from tests.waiting import until

from msys_track.errors import UpstreamError
from msys_track.metrics import Counters
from msys_track.relay.transaction import Delivery
from msys_track.smtp.reply import Reply
from msys_track.spool.settings import SpoolSettings
from msys_track.spool.spool import Spool

COPIES_AT_ONCE = 3


@dataclass(frozen=True)
class Account:
    """What became of all copies."""

    acknowledged: set[str]
    taken: Counter[str]
    kills: int

    @property
    def lost(self) -> set[str]:
        return self.acknowledged - set(self.taken)

    @property
    def doubled(self) -> int:
        """Deliveries beyond the first of each copy."""
        return sum(count - 1 for count in self.taken.values())


class FileUpstream:
    """Takes most tries; a line in a file for each recipient, in one write."""

    offered = None

    def __init__(self, path: Path, *, is_fickle: bool) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._is_fickle = is_fickle

    async def deliver(self, given: Delivery) -> Reply:
        if self._is_fickle and random.random() < 0.3:  # noqa: S311 - no secret
            outcomes: Any = ("refused", "unknown", "not_sent")
            raise UpstreamError(451, "4.3.0 later", outcome=random.choice(outcomes))  # noqa: S311
        await asyncio.sleep(0)
        names = "".join(f"{each.path}\n" for each in given.recipients)
        os.write(self._file, names.encode())
        return Reply(250, "2.0.0 Ok")


def kill_at_statement(number: int) -> None:
    """Let this process kill itself before its `number`-th statement of SQLite."""
    connect, left = sqlite3.connect, [number]

    def count(_: str) -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def connect_counted(*arguments: Any, **settings: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*arguments, **settings)
        connection.set_trace_callback(count)
        return connection

    sqlite3.connect = connect_counted  # type: ignore[assignment]


async def work(folder: Path, name: str, mails: int) -> None:
    """Keep some mails, then send until the spool is empty."""
    spool = Spool(
        SpoolSettings(
            path=folder / "spool", first_retry_seconds=0.001, last_retry_seconds=0.002,
            copies_at_once=COPIES_AT_ONCE,
        ),
        FileUpstream(folder / "taken", is_fickle=mails > 0),
        Counters(),
        hostname="proxy.test",
        poll_seconds=0.005,
    )  # fmt: skip
    await spool.start()
    acknowledged = os.open(folder / "acknowledged", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    async def keep(number: int) -> None:
        recipients = [f"{name}-{number}-{copy}@example.com" for copy in range(4)]
        copies = (delivery(*recipients[:2]), *map(delivery, recipients[2:]))
        await spool.keep((), copies, envelope_id=name, why="451 4.4.1 x")
        os.write(acknowledged, "".join(f"{each}\n" for each in recipients).encode())

    await asyncio.gather(*(keep(number) for number in range(mails)))
    await until(lambda: spool.totals.copies == 0, 60)
    await spool.close()


def run_rounds(folder: Path, rounds: int, *, workers: int = 2) -> Account:
    """Kill a worker a round, others beside it; then let one end the work."""
    kills = 0
    for number in range(rounds):
        children = [
            start_child(folder, f"r{number}w{worker}", 2, random.randint(1, 260))  # noqa: S311
            for worker in range(workers)
        ]
        for child in children:
            code = wait_for(child)
            assert code in {0, -signal.SIGKILL}, code
            kills += code != 0
    assert wait_for(start_child(folder, "last", 0, 0)) == 0
    return Account(
        acknowledged=set((folder / "acknowledged").read_text().split()),
        taken=Counter((folder / "taken").read_text().split()),
        kills=kills,
    )


def start_child(folder: Path, name: str, mails: int, statement: int) -> BaseProcess:
    child = FORKING.Process(target=be_child, args=(folder, name, mails, statement))
    child.start()
    return child


def wait_for(child: BaseProcess) -> int | None:
    """Return a child's exit code; None if it does not end."""
    child.join(120)
    return child.exitcode


def be_child(folder: Path, name: str, mails: int, statement: int) -> None:
    """Work until the end, or until one is killed."""
    faulthandler.enable()
    if statement:
        kill_at_statement(statement)
    asyncio.run(work(folder, name, mails))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        account = run_rounds(Path(place), int(sys.argv[1]))
    print(  # noqa: T201 - the account
        f"{account.kills} kills, {len(account.acknowledged)} acknowledged copies: "
        f"{len(account.lost)} lost, {account.doubled} sent twice"
    )
    sys.exit(bool(account.lost))
