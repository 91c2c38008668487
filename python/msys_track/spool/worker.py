"""Which worker sends a copy, known without a clock.

A worker holds a lock on a file of its own, which the kernel takes back at its end, however it
ends. A time-out would be wrong twice: too short for a worker that was stopped for a while and
goes on, too long for one that died.
"""

import fcntl
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

_PREFIX: Final = "worker-"


class WorkerLock:
    """The lock of one worker, held until `release` or the end of the process."""

    __slots__ = ("_descriptor", "_path", "name")

    def __init__(self, folder: Path) -> None:
        """Make the file and lock it.

        Raises:
            OSError: the folder can't be written.
        """
        while True:
            name = secrets.token_hex(8)
            path = _name_file(folder, name)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_nlink:
                break
            os.close(descriptor)  # another worker took it for a dead one's in this moment
        self.name = name
        self._path = path
        self._descriptor = descriptor

    def release(self) -> None:
        """Remove the file; what the worker has claimed is free."""
        with suppress(OSError):  # a disk that became read-only
            self._path.unlink(missing_ok=True)
        os.close(self._descriptor)


def is_alive(folder: Path, name: str) -> bool:
    """Whether a worker still holds its lock."""
    try:
        descriptor = os.open(_name_file(folder, name), os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)


def remove_dead(folder: Path) -> None:
    """Remove the files of workers that ended without `release`."""
    for path in folder.glob(f"{_PREFIX}*"):
        try:
            descriptor = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            continue
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink(missing_ok=True)
        os.close(descriptor)


def _name_file(folder: Path, name: str) -> Path:
    return folder / f"{_PREFIX}{name}"
