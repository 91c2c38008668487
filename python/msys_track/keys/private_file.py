"""Files with secrets in them: who may read one, and how one is written and replaced."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def is_private(status: os.stat_result, folder: Path) -> bool:
    """Tell whether a file is readable only by those whom its owner or root meant."""
    mode = stat.S_IMODE(status.st_mode)
    if not mode & 0o077:
        return True
    trusted = (0, os.geteuid())
    if status.st_uid not in trusted:
        return False
    # As PostgreSQL has it for a server's key: root's file may be readable by the group that root
    # gave it ("Secure TCP/IP Connections with SSL").
    if status.st_uid == 0 and not mode & 0o037:
        return True
    if mode & 0o333:
        return False
    # Read-only for all users, as secrets are mounted, in a folder that is closed to others.
    around = folder.stat()
    return around.st_uid in trusted and not around.st_mode & 0o077


@contextmanager
def create_private_file(path: Path) -> Iterator[int]:
    """Make a file that its owner alone can read; remove it if writing fails."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        yield descriptor
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)


def write_durably(descriptor: int, content: bytes) -> None:
    """Write the whole content of a new file, and wait until the disk has it."""
    with os.fdopen(descriptor, "wb", closefd=False) as file:
        file.write(content)
    os.fsync(descriptor)


def name_draft(path: Path) -> Path:
    """Name the file that takes a file's place when it is whole."""
    return path.with_name(f".{path.name}.new")


@contextmanager
def replace_private_file(path: Path) -> Iterator[int]:
    """Write a draft, and put it in a file's place in one step: a reader sees the old or the new.

    As long as the draft exists, nobody else can begin one. The file may be missing; if it is
    there, its readers stay the same.

    Raises:
        FileExistsError: the draft exists.
    """
    draft = name_draft(path)
    with create_private_file(draft) as descriptor:
        yield descriptor
        try:
            old = path.stat()
        except FileNotFoundError:
            pass
        else:
            # Root may replace a service's file: who could read the old one can read the new one.
            os.fchown(descriptor, old.st_uid, old.st_gid if old.st_mode & 0o040 else -1)
            os.fchmod(descriptor, 0o600 | old.st_mode & 0o044)
        draft.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
