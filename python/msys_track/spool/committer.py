"""The one thread that writes the spool: what waits together is committed together.

The loop never waits for a disk, and a hundred mails that come at once cost one `fsync`.
"""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

from msys_track.errors import SpoolFullError
from msys_track.spool.file import SpoolFile

_Result = TypeVar("_Result")
Work: TypeAlias = Callable[[sqlite3.Connection], _Result]

_MAX_BATCH: Final = 100


class _Job(NamedTuple):
    work: Work[Any]
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[Any]


class Committer:
    """Carries out work on the spool's file; each piece is all or nothing by itself."""

    def __init__(self, file: SpoolFile) -> None:
        self._file = file
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="spool", daemon=True)
        self._thread.start()

    async def run(self, work: Work[_Result]) -> _Result:
        """Carry out work; return its result when it is on disk.

        Raises:
            SpoolError: the file can't be used, and nothing was written.
            Exception: whatever the work raises; nothing of it was written.
        """
        return await self.submit(work)

    def submit(self, work: Work[_Result]) -> "asyncio.Future[_Result]":
        """Have work carried out even if nobody waits for it."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[_Result] = loop.create_future()
        self._jobs.put(_Job(work, loop, done))
        return done

    async def close(self) -> None:
        """Carry out what waits, close the file and end the thread."""
        self._jobs.put(None)
        await asyncio.get_running_loop().run_in_executor(None, self._thread.join)

    def _run(self) -> None:
        while True:
            jobs = [self._jobs.get()]
            with suppress(Empty):
                while len(jobs) < _MAX_BATCH:
                    jobs.append(self._jobs.get_nowait())
            batch = [job for job in jobs if job is not None]
            if batch:
                self._carry_out(batch)
            if len(batch) < len(jobs):
                self._file.close()
                return

    def _carry_out(self, batch: list[_Job]) -> None:
        try:
            with self._file.use() as connection:
                outcomes = _commit_together(connection, batch)
        except Exception as error:  # noqa: BLE001 - each caller gets it
            if isinstance(error, SpoolFullError):
                self._file.give_reserve()
            outcomes = [(None, error)] * len(batch)
        for job, outcome in zip(batch, outcomes, strict=True):
            with suppress(RuntimeError):  # its loop is closed
                job.loop.call_soon_threadsafe(_settle, job.done, *outcome)


def _commit_together(
    connection: sqlite3.Connection, batch: list[_Job]
) -> list[tuple[Any, Exception | None]]:
    outcomes: list[tuple[Any, Exception | None]] = []
    connection.execute("BEGIN IMMEDIATE")
    try:
        for job in batch:
            connection.execute("SAVEPOINT job")
            try:
                outcomes.append((job.work(connection), None))
            except sqlite3.Error:
                raise  # SQLite may have rolled back the whole transaction
            except Exception as error:  # noqa: BLE001 - its caller gets it
                connection.execute("ROLLBACK TO job")
                outcomes.append((None, error))
            connection.execute("RELEASE job")
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    return outcomes


def _settle(done: asyncio.Future[Any], result: object, error: Exception | None) -> None:
    if done.done():
        return
    if error is None:
        done.set_result(result)
    else:
        done.set_exception(error)
        done.exception()  # nobody may be waiting any longer
