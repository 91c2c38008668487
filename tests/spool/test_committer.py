"""The thread that writes the spool: what comes together is committed together, or not at all."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.waiting import until

from msys_track.errors import SpoolError
from msys_track.spool.committer import Committer
from msys_track.spool.file import SpoolFile

pytestmark = pytest.mark.anyio


@pytest.fixture
async def committer(tmp_path: Path) -> AsyncIterator[Committer]:
    made = Committer(SpoolFile(tmp_path / "spool"))
    yield made
    await made.close()


def note(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE totals SET copies = copies + 1")


def count(connection: sqlite3.Connection) -> int:
    (copies,) = connection.execute("SELECT copies FROM totals").fetchone()
    return int(copies)


async def hold(committer: Committer) -> threading.Event:
    """Let the thread wait, so that work gathers behind it, until this is set."""
    is_held, goes_on = threading.Event(), threading.Event()

    def wait(_: sqlite3.Connection) -> None:
        is_held.set()
        goes_on.wait(30)

    committer.submit(wait)
    await until(is_held.is_set)
    return goes_on


async def test_more_work_than_one_batch_takes_is_all_carried_out(committer: Committer) -> None:
    goes_on = await hold(committer)
    waiting = [committer.submit(note) for _ in range(250)]
    goes_on.set()
    await asyncio.gather(*waiting)
    assert await committer.run(count) == 250


async def test_an_error_of_the_file_undoes_what_was_to_be_committed_with_it(
    committer: Committer,
) -> None:
    goes_on = await hold(committer)
    work = [note, lambda connection: connection.execute("SELECT nonsense"), note]
    waiting = [committer.submit(each) for each in work]
    goes_on.set()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(each) for each in outcomes] == [SpoolError] * 3
    assert await committer.run(count) == 0


async def test_a_defect_of_one_piece_of_work_is_its_own_alone(committer: Committer) -> None:
    def fail(connection: sqlite3.Connection) -> None:
        note(connection)
        raise ZeroDivisionError

    goes_on = await hold(committer)
    waiting = [committer.submit(each) for each in (note, fail, note)]
    goes_on.set()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(each) for each in outcomes] == [type(None), ZeroDivisionError, type(None)]
    assert await committer.run(count) == 2


async def test_work_is_done_though_nobody_waits_for_it_any_more(committer: Committer) -> None:
    goes_on = await hold(committer)
    committer.submit(note).cancel()
    goes_on.set()
    assert await committer.run(count) == 1
