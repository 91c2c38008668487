"""A file system of a few megabytes, for what happens when it is full."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(place: Path, size_bytes: int) -> Iterator[Path]:
    """Mount a file system of so many bytes at a new folder; skip the test without the right to."""
    place.mkdir()
    if not mount("-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(place)):
        pytest.skip("no right to mount a tmpfs")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)  # noqa: S603, S607


def mount(*arguments: str) -> bool:
    """Whether this user may and it was done."""
    command = ["mount", *arguments]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0  # noqa: S603
