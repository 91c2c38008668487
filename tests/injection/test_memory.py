"""What large mails took is given back, measured in a process of its own."""

import subprocess
import sys

import pytest

SCRIPT = """
import asyncio, sys
from pathlib import Path
from msys_track.injection import memory

def read_resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

async def run():
    memory._PAUSE_SECONDS = 0.01
    memory.set_up_allocator()
    giving_back = memory.MemoryReturn()
    before = read_resident_bytes()
    small = [bytes(3_000) for _ in range(30_000)]  # 90 MB in the allocator's small blocks
    pins = small[::1_000]  # which keep its end where it is
    large = [bytes(25 << 20) for _ in range(4)]
    most = read_resident_bytes() - before
    del small, large
    giving_back.note(25 << 20)
    for _ in range(200):
        await asyncio.sleep(0.02)
        if read_resident_bytes() - before < most / 4:
            break
    print(most, read_resident_bytes() - before, len(pins))

asyncio.run(run())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc/self/statm and mallopt are Linux's")
def test_memory_of_large_mails_is_given_back() -> None:
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True
    )
    most, left, _ = map(int, done.stdout.split())
    assert most > 60 << 20
    assert left < most / 4
