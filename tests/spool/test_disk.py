"""A disk that is full or read-only: what was acknowledged goes out, more is kept later."""

import asyncio
import contextlib
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.captured_logs import capture_logs
from tests.small_disk import mount, small_disk
from tests.spool.conftest import MESSAGE, FakeUpstream, MakeSpool, SetClock, delivery
from tests.waiting import until

from msys_track.errors import SpoolError, SpoolFullError
from msys_track.spool.spool import Spool

pytestmark = pytest.mark.anyio

SIZE_BYTES = 4 * 1024 * 1024
FILE_BYTES = 700 * 1024
MOST_COPIES = 10_000


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", SIZE_BYTES) as place:
        yield place


async def keep(spool: Spool) -> None:
    await spool.keep((), (delivery(),), envelope_id="e", why="451 x")


async def fill(spool: Spool, size: int) -> list[str]:
    """Keep copies with so many bytes until there is no room; to whom they go."""
    kept = []
    with contextlib.suppress(SpoolFullError):
        for number in range(MOST_COPIES):
            name = f"r{number}@example.com"
            copy = delivery(name, message=MESSAGE + b"x" * size)
            await spool.keep((), (copy,), envelope_id="e", why="451 x")
            kept.append(name)
    assert 0 < len(kept) < MOST_COPIES
    return kept


@pytest.mark.parametrize("size", [3_000, 90_000, 1_500_000])
async def test_what_was_kept_before_the_disk_was_full_goes_out_and_makes_room(
    make_spool: MakeSpool, upstream: FakeUpstream, clock: SetClock, disk: Path, size: int
) -> None:
    spool = await make_spool(path=disk / "spool")
    kept = await fill(spool, size)
    clock.pass_time(100)
    await until(lambda: sorted(upstream.reached) == sorted(kept))
    await until(lambda: spool.has_room(1) and spool.totals.copies == 0)
    await keep(spool)


@pytest.fixture
def short_files() -> Iterator[None]:
    """Let no file be longer (`ulimit -f`)."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("short_files")
@pytest.mark.parametrize("size", [700, 90_000])
async def test_what_was_kept_before_the_file_might_not_grow_goes_out_and_makes_room(
    make_spool: MakeSpool, upstream: FakeUpstream, clock: SetClock, size: int
) -> None:
    spool = await make_spool()
    kept = await fill(spool, size)
    clock.pass_time(100)
    await until(lambda: sorted(upstream.reached) == sorted(kept))
    await until(lambda: spool.has_room(1) and spool.totals.copies == 0)
    await keep(spool)


async def test_a_proxy_starts_beside_a_spool_that_it_can_only_read(
    make_spool: MakeSpool, upstream: FakeUpstream, clock: SetClock, disk: Path
) -> None:
    before = await make_spool(path=disk / "spool")
    await keep(before)
    await before.close()
    assert mount("-o", "remount,ro", str(disk))
    clock.pass_time(100)
    with capture_logs() as logs:
        spool = await make_spool(path=disk / "spool")
        with pytest.raises(SpoolError):
            await keep(spool)
        await asyncio.sleep(0.05)
    assert [each["event"] for each in logs] == ["spool.unusable"]
    assert not spool.has_room(1)
    assert upstream.tried == []
    assert mount("-o", "remount,rw", str(disk))
    await until(lambda: upstream.reached == ["to@example.com"])
    await keep(spool)


async def test_a_reserve_that_a_quota_does_not_allow_keeps_nothing_from_going_out(
    make_spool: MakeSpool,
    upstream: FakeUpstream,
    clock: SetClock,
    disk: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spool = await make_spool(path=disk / "spool")
    await keep(spool)
    reserve = disk / "spool" / "reserve"
    # A quota is not seen in what a file system says of itself.
    roomy = os.statvfs("/")
    monkeypatch.setattr(os, "statvfs", lambda _: roomy)

    def has_no_room() -> bool:
        if not spool.has_room(1):
            return True
        reserve.unlink(missing_ok=True)  # the spool's thread may have taken it again
        with contextlib.suppress(OSError), (disk / "other").open("ab") as other:
            other.write(bytes(SIZE_BYTES))
        return False

    await until(has_no_room)
    clock.pass_time(100)
    await until(lambda: upstream.reached == ["to@example.com"])
    assert not reserve.exists()
    (disk / "other").unlink()
    await until(lambda: spool.has_room(1))
    await keep(spool)
