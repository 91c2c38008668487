"""What is kept is sent again until the upstream takes or refuses it, by one of the workers."""

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.captured_logs import capture_logs
from tests.spool.conftest import (
    DOWN,
    LOST,
    MESSAGE,
    FakeUpstream,
    MakeSpool,
    SetClock,
    delivery,
    refused,
)
from tests.waiting import until

from msys_track.errors import PartlyTakenError, SpoolError, SpoolFullError
from msys_track.metrics import Counters
from msys_track.relay.transaction import Delivery
from msys_track.smtp.path import Recipient
from msys_track.spool import queue
from msys_track.spool import spool as spool_room
from msys_track.spool.copy import KeptCopy
from msys_track.spool.file import SpoolFile
from msys_track.spool.queue import read_copies
from msys_track.spool.settings import SpoolSettings
from msys_track.spool.spool import Spool

pytestmark = pytest.mark.anyio

HOUR = 3600.0


async def keep(spool: Spool, *deliveries: Delivery) -> str:
    return await spool.keep(
        (), deliveries or (delivery(),), envelope_id="e1", why="451 4.4.1 Down"
    )


async def pass_hours(clock: SetClock, hours: float) -> None:
    """Let hours pass, in steps that are long enough for a retry each."""
    for _ in range(round(hours * 4)):
        clock.pass_time(HOUR / 4)
        await asyncio.sleep(0.03)


def copies(spool: Spool) -> list[KeptCopy]:
    with closing(SpoolFile(spool.settings.path).read()) as connection:
        return read_copies(connection, "true")


async def test_what_is_kept_goes_out_when_it_is_due_and_is_gone_then(
    make_spool: MakeSpool, upstream: FakeUpstream, clock: SetClock
) -> None:
    spool = await make_spool()
    kept = delivery("to@example.com")._replace(
        mail_parameters=("BODY=8BITMIME", "ENVID=a"),
        recipients=(Recipient(path="to@example.com", parameters=("NOTIFY=NEVER",)),),
    )
    await spool.keep(kept.mail_parameters, (kept,), envelope_id="e1", why="451 4.4.1 Down")
    clock.pass_time(30)
    await asyncio.sleep(0.05)
    assert upstream.tried == []
    clock.pass_time(60)
    await until(lambda: upstream.taken == [kept])
    await until(lambda: copies(spool) == [])


async def test_a_mail_of_many_megabytes_comes_out_as_it_went_in(
    make_spool: MakeSpool, upstream: FakeUpstream, clock: SetClock
) -> None:
    spool = await make_spool()
    kept = delivery(message=MESSAGE + bytes(range(32, 127)) * 40_000)
    await keep(spool, kept)
    clock.pass_time(100)
    await until(lambda: upstream.taken == [kept])


async def test_pauses_double_up_to_the_longest(
    make_spool: MakeSpool, upstream: FakeUpstream, clock: SetClock
) -> None:
    upstream.down = LOST
    spool = await make_spool(first_retry_seconds=60, last_retry_seconds=300)
    await keep(spool)
    pauses = []

    def has_tried(attempts: int) -> bool:
        return copies(spool)[0].attempts == attempts

    for attempt in range(6):
        (copy,) = copies(spool)
        pauses.append(copy.due_uptime - clock.uptime)
        clock.pass_time(pauses[-1] + 0.001)
        await until(partial(has_tried, attempt + 1))
    for pause, middle in zip(pauses, (60, 120, 240, 300, 300, 300), strict=True):
        assert middle * 0.79 <= pause <= middle * 1.21


async def test_the_age_of_the_oldest_copy_that_waits_is_known(
    make_spool: MakeSpool, upstream: FakeUpstream, clock: SetClock
) -> None:
    upstream.down = LOST
    spool = await make_spool()
    assert spool.oldest_seconds == 0
    await keep(spool)
    clock.pass_time(50)
    await keep(spool)
    await until(lambda: spool.oldest_seconds == 50)
    upstream.down = None
    clock.pass_time(100)
    await until(lambda: copies(spool) == [])
    await until(lambda: spool.oldest_seconds == 0)


async def test_while_the_upstream_is_down_not_every_copy_tries_it(
    make_spool: MakeSpool, upstream: FakeUpstream, clock: SetClock
) -> None:
    upstream.down = DOWN
    spool = await make_spool(copies_at_once=1)
    for _ in range(20):
        await keep(spool)
    clock.pass_time(100)
    await until(lambda: upstream.tried)
    await asyncio.sleep(0.1)
    assert len(upstream.tried) == 1
    upstream.down = None
    clock.pass_time(1)
    await until(lambda: len(upstream.taken) == 19)


@pytest.mark.parametrize("code", ["450 4.2.1 later", "550 5.1.1 unknown"])
async def test_a_refused_recipient_does_not_stop_the_others_of_a_copy(
    make_spool: MakeSpool, upstream: FakeUpstream, clock: SetClock, code: str
) -> None:
    upstream.answers["b@example.com"] = refused(code)
    spool = await make_spool()
    await keep(spool, delivery("a@example.com", "b@example.com", "c@example.com"))
    clock.pass_time(100)
    await until(lambda: {"a@example.com", "c@example.com"} <= set(upstream.reached))
    if code.startswith("5"):
        await until(lambda: "from@example.com" in upstream.reached)
        await until(lambda: copies(spool) == [])
    else:
        await until(lambda: len(copies(spool)) == 1)
        assert copies(spool)[0].recipients == (Recipient(path="b@example.com"),)
    assert len(upstream.reached) == len(set(upstream.reached))


async def test_who_has_the_mail_over_lmtp_does_not_get_it_again(
    make_spool: MakeSpool, upstream: FakeUpstream, clock: SetClock
) -> None:
    upstream.down = PartlyTakenError(
        ("a@example.com",),
        {
            "b@example.com": refused("452 4.2.2 full"),
            "c@example.com": refused("550 5.1.1 unknown"),
            "d@example.com": LOST,
        },
    )
    spool = await make_spool(first_retry_seconds=60)
    await keep(spool, delivery(*(f"{name}@example.com" for name in "abcd")))
    clock.pass_time(100)
    await until(lambda: len(copies(spool)) == 3)
    upstream.down = None
    clock.pass_time(70)  # others of the mail are still tried
    await until(lambda: upstream.reached == ["from@example.com"])
    assert b"<c@example.com>" in upstream.taken[0].wire
    assert b"<b@example.com>" not in upstream.taken[0].wire
    clock.pass_time(200)
    await until(lambda: copies(spool) == [])
    assert sorted(upstream.reached) == ["b@example.com", "d@example.com", "from@example.com"]


async def test_a_refusal_for_good_becomes_one_report_with_the_null_sender(
    make_spool: MakeSpool, upstream: FakeUpstream, clock: SetClock
) -> None:
    upstream.answers = {
        name: refused("550 5.1.1 unknown") for name in ("a@example.com", "b@example.com")
    }
    spool = await make_spool()
    await keep(spool, delivery("a@example.com"), delivery("b@example.com"))
    clock.pass_time(100)
    await until(lambda: upstream.taken)
    (report,) = upstream.taken
    assert report.sender == ""
    assert report.recipients == (Recipient(path="from@example.com"),)
    assert report.wire.count(b"Final-Recipient: rfc822;") == 2
    assert b"Subject: x\r\n" in report.wire
    await until(lambda: copies(spool) == [])


async def test_what_was_refused_after_others_were_out_is_reported_at_once(
    make_spool: MakeSpool, upstream: FakeUpstream
) -> None:
    spool = await make_spool()
    await spool.report((), (delivery(),), envelope_id="e1", why="552 5.3.4 Too big")
    await until(lambda: upstream.reached == ["from@example.com"])
    assert b"Status: 5.3.4\r\n" in upstream.taken[0].wire


async def test_after_the_last_hour_the_copy_is_given_up_with_a_report(
    make_spool: MakeSpool, upstream: FakeUpstream, clock: SetClock
) -> None:
    upstream.answers["to@example.com"] = refused("450 4.2.0 later")
    spool = await make_spool(give_up_hours=2)
    await keep(spool)
    await pass_hours(clock, 3)
    await until(lambda: upstream.reached == ["from@example.com"])
    assert b"Diagnostic-Code: smtp; 450 4.2.0 later\r\n" in upstream.taken[0].wire


async def test_a_report_that_can_not_be_sent_is_given_up_with_a_log_line(
    make_spool: MakeSpool, upstream: FakeUpstream, clock: SetClock
) -> None:
    upstream.answers["to@example.com"] = refused("550 5.1.1 unknown")
    upstream.answers["from@example.com"] = refused("550 5.1.1 unknown too")
    spool = await make_spool()
    with capture_logs() as logs:
        await keep(spool)
        clock.pass_time(100)
        await until(lambda: len(upstream.tried) == 2 and copies(spool) == [])
    (last,) = [each for each in logs if each["event"] == "spool.given_up" and each["is_report"]]
    assert last["log_level"] == "error"


async def test_no_report_goes_to_the_null_sender(
    make_spool: MakeSpool, upstream: FakeUpstream, clock: SetClock
) -> None:
    upstream.answers["to@example.com"] = refused("550 5.1.1 unknown")
    spool = await make_spool()
    await keep(spool, delivery(sender=""))
    clock.pass_time(100)
    await until(lambda: copies(spool) == [])
    assert upstream.taken == []


async def test_a_late_mail_is_reported_once_to_a_sender_who_asked(
    make_spool: MakeSpool, upstream: FakeUpstream, clock: SetClock
) -> None:
    upstream.answers = {
        name: refused("450 4.2.0 later") for name in ("a@example.com", "b@example.com")
    }
    asks = Recipient(path="a@example.com", parameters=("NOTIFY=FAILURE,DELAY",))
    spool = await make_spool()
    await keep(spool, delivery()._replace(recipients=(asks,)), delivery("b@example.com"))
    for _ in range(10):
        clock.pass_time(HOUR)
        await asyncio.sleep(0.03)
    await until(lambda: upstream.taken)
    (notice,) = upstream.taken
    assert b"Action: delayed\r\n" in notice.wire
    assert b"Will-Retry-Until: " in notice.wire
    assert b"b@example.com" not in notice.wire.partition(b"Subject: x")[0]


# Limits


@pytest.mark.parametrize("limit", [{"max_copies": 2}, {"max_bytes": 1_000}])
async def test_beyond_a_limit_nothing_of_a_mail_is_kept(
    make_spool: MakeSpool, limit: dict[str, Any]
) -> None:
    spool = await make_spool(**limit)
    await keep(spool)
    three = [delivery(message=MESSAGE * 6) for _ in range(3)]
    with pytest.raises(SpoolFullError, match=next(iter(limit))):
        await keep(spool, *three)
    assert len(copies(spool)) == 1
    assert spool.has_room(100)
    assert not spool.has_room(1 << 31)


async def test_room_comes_back_with_what_is_sent(
    make_spool: MakeSpool, upstream: FakeUpstream, clock: SetClock
) -> None:
    spool = await make_spool(max_copies=1)
    large = delivery(message=MESSAGE + b"x" * 5_000_000)
    await keep(spool, large)
    assert not spool.has_room(1)
    clock.pass_time(100)
    await until(lambda: spool.has_room(1))
    await keep(spool, large)
    clock.pass_time(100)
    await until(lambda: len(upstream.taken) == 2)


async def test_copies_are_taken_one_by_one_so_that_they_may_be_rendered_then(
    make_spool: MakeSpool,
) -> None:
    spool = await make_spool()

    def render() -> Iterator[Delivery]:
        yield delivery("a@example.com")
        raise MemoryError("no room for the second")

    with pytest.raises(MemoryError):
        await spool.keep((), render(), envelope_id="e", why="451 x")
    assert copies(spool) == []


# Several workers


async def test_no_more_is_sent_at_once_than_memory_is_to_hold(
    make_spool: MakeSpool,
    upstream: FakeUpstream,
    clock: SetClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(spool_room, "_MAX_SENT_BYTES", 2 * len(MESSAGE))
    upstream.opened = asyncio.Event()
    spool = await make_spool(copies_at_once=10)
    await keep(spool, *(delivery(f"{name}@example.com") for name in "abcde"))
    clock.pass_time(100)
    await until(lambda: len(upstream.tried) == 2)
    await pass_hours(clock, 1)
    assert len(upstream.tried) == 2
    upstream.opened.set()
    await until(lambda: len(upstream.taken) == 5)


async def test_two_workers_never_send_the_same_copy(
    make_spool: MakeSpool, upstream: FakeUpstream, clock: SetClock
) -> None:
    first = await make_spool(copies_at_once=3)
    await make_spool(copies_at_once=3)
    names = [f"r{number}@example.com" for number in range(60)]
    await keep(first, *(delivery(name) for name in names))
    clock.pass_time(100)
    await until(lambda: copies(first) == [])
    assert sorted(upstream.reached) == sorted(names)


async def test_what_a_stopped_worker_sends_is_left_to_it(
    make_spool: MakeSpool, upstream: FakeUpstream, clock: SetClock
) -> None:
    upstream.opened = asyncio.Event()
    spool = await make_spool()
    await keep(spool)
    clock.pass_time(100)
    await until(lambda: upstream.tried)
    await make_spool()
    clock.pass_time(100 * 24 * HOUR)
    await asyncio.sleep(0.1)
    upstream.opened.set()
    await until(lambda: copies(spool) == [])
    assert upstream.reached == ["to@example.com"]


async def test_stopping_waits_for_what_is_being_sent(
    make_spool: MakeSpool, upstream: FakeUpstream, clock: SetClock
) -> None:
    upstream.opened = asyncio.Event()
    spool = await make_spool()
    await keep(spool)
    clock.pass_time(100)
    await until(lambda: upstream.tried)
    closing_spool = asyncio.create_task(spool.close())
    await asyncio.sleep(0.05)
    upstream.opened.set()
    await closing_spool
    assert upstream.reached == ["to@example.com"]
    assert copies(spool) == []


async def test_what_is_cut_off_at_the_end_is_free_for_the_next_worker(
    make_spool: MakeSpool, upstream: FakeUpstream, clock: SetClock
) -> None:
    upstream.opened = asyncio.Event()
    spool = await make_spool()
    await keep(spool)
    clock.pass_time(100)
    await until(lambda: upstream.tried)
    await spool.close(grace_seconds=0.01)
    (copy,) = copies(spool)
    assert (copy.claimed_by, copy.attempts) == (None, 1)
    upstream.opened = None
    await make_spool()
    clock.pass_time(1000)
    await until(lambda: upstream.reached == ["to@example.com"])


async def test_a_spool_that_never_began_ends_as_well(
    tmp_path: Path, upstream: FakeUpstream
) -> None:
    spool = Spool(
        SpoolSettings(mode="partial", path=tmp_path / "spool"),
        upstream,
        Counters(),
        hostname="proxy.example.com",
    )
    await spool.close()
    assert not (tmp_path / "spool").exists()


async def test_what_was_claimed_when_the_end_came_is_free_for_the_next_worker(
    make_spool: MakeSpool,
    upstream: FakeUpstream,
    clock: SetClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spool, loop, has_begun = await make_spool(), asyncio.get_running_loop(), threading.Event()
    claim, closings = queue.claim_due, list[asyncio.Task[None]]()

    def begin_to_close() -> None:
        closings.append(loop.create_task(spool.close()))
        loop.call_soon(has_begun.set)

    def claim_at_the_end(*arguments: Any, **named: Any) -> list[KeptCopy]:
        if claimed := claim(*arguments, **named):
            loop.call_soon_threadsafe(begin_to_close)
            has_begun.wait(30)
        return claimed

    monkeypatch.setattr(queue, "claim_due", claim_at_the_end)
    await keep(spool)
    clock.pass_time(100)
    await until(lambda: closings)
    await closings[0]
    assert upstream.tried == []
    assert [copy.claimed_by for copy in copies(spool)] == [None]


# The clock


async def test_a_jump_of_the_time_of_day_changes_nothing(
    make_spool: MakeSpool, upstream: FakeUpstream, clock: SetClock
) -> None:
    upstream.answers["to@example.com"] = refused("450 4.2.0 later")
    spool = await make_spool()
    await keep(spool)
    clock.wall = 0.0
    clock.uptime += 1000
    await until(lambda: copies(spool)[0].attempts == 1)
    clock.wall = 4e9
    clock.uptime += 1000
    await until(lambda: copies(spool)[0].attempts == 2)
    assert [copy.state for copy in copies(spool)] == ["waiting"]
    assert upstream.taken == []


@pytest.mark.parametrize("starts", [("first", "second"), ("", "")])
async def test_after_a_restart_of_the_machine_all_is_due_and_keeps_its_age(
    starts: tuple[str, str], make_spool: MakeSpool, upstream: FakeUpstream, clock: SetClock
) -> None:
    # Where the system names no start, uptime that went back shows it.
    clock.boot_id = starts[0]
    upstream.answers["to@example.com"] = refused("450 4.2.0 later")
    spool = await make_spool(give_up_hours=3)
    await keep(spool)
    await pass_hours(clock, 2)
    await spool.close()
    tried = len(upstream.tried)
    clock.uptime, clock.boot_id = 10.0, starts[1]
    spool = await make_spool(give_up_hours=3)
    await until(lambda: len(upstream.tried) == tried + 1)
    (copy,) = copies(spool)
    assert clock.uptime - copy.kept_uptime == pytest.approx(2 * HOUR, abs=61)
    await pass_hours(clock, 1.25)
    await until(lambda: upstream.reached == ["from@example.com"])


# A file that can't be used


async def test_a_damaged_file_is_moved_aside_and_mail_is_kept_in_another(
    make_spool: MakeSpool, upstream: FakeUpstream, clock: SetClock
) -> None:
    spool = await make_spool()
    await keep(spool)
    await spool.close()
    file = spool.settings.path / "queue" / "queue.sqlite"
    damaged = bytearray(file.read_bytes())
    damaged[4096 : 4096 * 12] = b"\xa5" * 4096 * 11
    file.write_bytes(damaged)
    with capture_logs() as logs:
        spool = await make_spool()
    (line,) = [each for each in logs if each["event"] == "spool.damaged"]
    assert (Path(line["moved_to"]) / "queue.sqlite").read_bytes() == damaged
    await keep(spool)
    clock.pass_time(100)
    await until(lambda: upstream.reached == ["to@example.com"])


async def test_a_file_damaged_while_it_is_in_use_is_moved_aside_by_one_worker(
    make_spool: MakeSpool, upstream: FakeUpstream, clock: SetClock
) -> None:
    first, second = await make_spool(), await make_spool()
    file = first.settings.path / "queue" / "queue.sqlite"
    await keep(first)
    with file.open("r+b") as opened:
        opened.seek(0)
        opened.write(b"\xa5" * 4096 * 3)
    await until(lambda: list(first.settings.path.glob("damaged-*")))
    for spool in (first, second):
        await _keep_at_last(spool)
    clock.pass_time(100)
    await until(lambda: len(upstream.reached) == 2)
    assert len(list(first.settings.path.glob("damaged-*"))) == 1


async def _keep_at_last(spool: Spool) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                await keep(spool)
            except SpoolError:
                await asyncio.sleep(0.01)
            else:
                return


async def test_a_place_that_can_not_be_used_is_logged_and_tried_again(
    make_spool: MakeSpool, upstream: FakeUpstream, clock: SetClock, tmp_path: Path
) -> None:
    place = tmp_path / "taken"
    place.write_bytes(b"a file")
    counters = Counters()
    with capture_logs() as logs:
        spool = await make_spool(counters, path=place)
        with pytest.raises(SpoolError, match=str(place)):
            await keep(spool)
        await asyncio.sleep(0.05)
    assert [each["event"] for each in logs] == ["spool.unusable"]
    assert not spool.has_room(1)
    assert counters["spool.refused"] == 1
    place.unlink()
    await until(lambda: spool.has_room(1))
    await keep(spool)
    clock.pass_time(100)
    await until(lambda: upstream.taken)


async def test_a_folder_that_can_not_be_looked_through_is_logged_and_tried_again(
    make_spool: MakeSpool, upstream: FakeUpstream, clock: SetClock, tmp_path: Path
) -> None:
    in_the_way = tmp_path / "spool" / "worker-of-nobody"
    in_the_way.mkdir(parents=True)
    with capture_logs() as logs:
        spool = await make_spool()
    assert [each["event"] for each in logs] == ["spool.unusable"]
    assert str(in_the_way) in logs[0]["why"]
    in_the_way.rmdir()
    await until(lambda: spool.has_room(1))
    await keep(spool)
    clock.pass_time(100)
    await until(lambda: upstream.taken)


async def test_an_error_of_the_folder_ends_no_spool_that_is_at_work(
    make_spool: MakeSpool, upstream: FakeUpstream, clock: SetClock
) -> None:
    spool = await make_spool()
    await keep(spool)
    reserve = spool.settings.path / "reserve"
    reserve.unlink()
    reserve.symlink_to(spool.settings.path / "missing" / "reserve")
    with capture_logs() as logs:
        await until(lambda: logs)
    assert [each["event"] for each in logs] == ["spool.unusable"]
    assert not spool.has_room(1)
    reserve.unlink()
    clock.pass_time(100)
    await until(lambda: upstream.taken)


async def test_a_defect_in_sending_defers_the_copy_as_any_failure_does(
    make_spool: MakeSpool, upstream: FakeUpstream, clock: SetClock
) -> None:
    upstream.down = RuntimeError("a defect of ours")
    spool = await make_spool()
    await keep(spool)
    clock.pass_time(100)
    with capture_logs() as logs:
        await until(lambda: copies(spool)[0].attempts == 1)
    assert [each["queue_id"] for each in logs if each["event"] == "spool.failed"] == [
        copies(spool)[0].name
    ]
    upstream.down = None
    await pass_hours(clock, 1)
    await until(lambda: copies(spool) == [])
    assert upstream.reached == ["to@example.com"]


async def test_a_file_moved_aside_while_a_copy_is_refused_takes_no_part_of_it(
    make_spool: MakeSpool, upstream: FakeUpstream, clock: SetClock
) -> None:
    spool = await make_spool()
    upstream.opened = asyncio.Event()
    upstream.answers["a@example.com"] = refused("550 5.1.1 unknown")
    await keep(spool, delivery("a@example.com", "b@example.com"))
    clock.pass_time(100)
    await until(lambda: upstream.tried)
    (spool.settings.path / "queue").rename(spool.settings.path / "damaged-by-another")
    upstream.opened.set()
    await _keep_at_last(spool)
    clock.pass_time(100)
    await until(lambda: upstream.reached == ["to@example.com"])
    await until(lambda: copies(spool) == [])


async def test_a_defect_in_one_round_is_logged_and_not_the_end_of_them_all(
    make_spool: MakeSpool,
    upstream: FakeUpstream,
    clock: SetClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spool = await make_spool()
    await keep(spool)
    with capture_logs() as logs:
        fail_once(monkeypatch, "find_oldest", ZeroDivisionError())
        await until(lambda: logs)
    assert [each["event"] for each in logs] == ["spool.failed"]
    clock.pass_time(100)
    await until(lambda: upstream.taken)


@pytest.mark.parametrize(
    ("step", "event"), [("read_body", "spool.unread"), ("remove", "spool.not_recorded")]
)
async def test_an_error_of_the_disk_while_a_copy_is_sent_neither_loses_nor_doubles_it(  # noqa: PLR0913, PLR0917 - the parts of a spool
    step: str,
    event: str,
    make_spool: MakeSpool,
    upstream: FakeUpstream,
    clock: SetClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spool = await make_spool()
    await keep(spool)
    fail_once(monkeypatch, step, sqlite3.OperationalError("disk I/O error"))
    clock.pass_time(100)
    with capture_logs() as logs:
        await until(lambda: copies(spool) == [])
    assert event in [each["event"] for each in logs]
    assert len(upstream.tried) == 1


def fail_once(monkeypatch: pytest.MonkeyPatch, step: str, error: Exception) -> None:
    """Let a step of the queue fail the next time."""
    do = getattr(queue, step)

    def fail(*arguments: Any, **named: Any) -> Any:
        failures.append(error)
        if len(failures) == 1:
            raise error
        return do(*arguments, **named)

    failures: list[Exception] = []
    monkeypatch.setattr(queue, step, fail)
