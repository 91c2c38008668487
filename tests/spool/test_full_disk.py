"""A disk that becomes full: what was acknowledged goes out, and room comes back."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.spool.conftest import MESSAGE, FakeUpstream, MakeSpool, SetClock, delivery
from tests.waiting import until

from msys_track.errors import SpoolFullError

pytestmark = pytest.mark.anyio

SIZE_BYTES = 4 * 1024 * 1024


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few megabytes."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_BYTES}", "tmpfs", str(place)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:  # noqa: S603 - fixed words
        pytest.skip("no right to mount a tmpfs")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)  # noqa: S603, S607


@pytest.mark.parametrize("size", [3_000, 90_000, 1_500_000])
async def test_what_was_kept_before_the_disk_was_full_goes_out_and_makes_room(
    make_spool: MakeSpool, upstream: FakeUpstream, clock: SetClock, small_disk: Path, size: int
) -> None:
    spool = await make_spool(path=small_disk / "spool")
    kept = []
    with contextlib.suppress(SpoolFullError):
        for number in range(10_000):
            name = f"r{number}@example.com"
            copy = delivery(name, message=MESSAGE + b"x" * size)
            await spool.keep("from@example.com", (), (copy,), envelope_id="e", why="451 x")
            kept.append(name)
    assert 0 < len(kept) < 10_000
    clock.pass_time(100)
    await until(lambda: sorted(upstream.reached) == sorted(kept))
    await until(lambda: spool.has_room(1) and spool.totals.copies == 0)
    await spool.keep("from@example.com", (), (delivery(),), envelope_id="e", why="451 x")
