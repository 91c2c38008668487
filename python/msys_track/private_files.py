"""Files that are their owner's alone: read, made, and replaced so that a power cut harms none.

Some hold secrets; the others say who reads which mail.

Windows has no modes: there a file can be read by those whom its folder lets, which is not checked.
"""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from msys_track.errors import TrackingError, describe_os_error

_HAS_MODES: Final = hasattr(os, "fchown")
# Else Windows writes CR LF for each LF.
_BINARY: Final = getattr(os, "O_BINARY", 0)
_FILE_MODE: Final = 0o600
_FOLDER_MODE: Final = 0o700


def read_private_file(
    path: Path,
    error: type[TrackingError],
    *,
    missing: str,
    name: object = None,
    also_private: str = "",
) -> bytes:
    """Read a file that only those whom its owner or root meant can read.

    Args:
        path: The file.
        error: What is raised where it can't be used.
        missing: What to say of a file that is not there.
        name: What the file is called in errors; None: its path.
        also_private: What to say, behind the usual hint, of a file that others can use.
    """
    named = path if name is None else name
    # Follow links first: what counts is the folder that the file itself is in.
    real = Path(os.path.realpath(path))
    try:
        with real.open("rb") as file:
            status = os.fstat(file.fileno())
            if not is_private(status, real.parent):
                mode = stat.S_IMODE(status.st_mode)
                what = f"users other than its owner can use it (mode {mode:04o})"
                raise error(f"{named}: {what}; run `chmod 600 {real}`{also_private}")
            return file.read()
    except FileNotFoundError as cause:
        raise error(f"{named}: {missing}") from cause
    except OSError as cause:
        raise error(f"{named}: can't be read: {describe_os_error(cause)}") from cause


def change_private_file(
    path: Path, make_content: Callable[[Path], str], error: type[TrackingError]
) -> None:
    """Write a file anew, while nobody else can.

    Args:
        path: The file; if it is a link, what it leads to is written.
        make_content: Makes the new content, of the file that it is given if need be.
        error: What is raised where the file can't be written, or is being changed.
    """
    real = Path(os.path.realpath(path))
    try:
        with replace_private_file(real) as descriptor:
            write_durably(descriptor, make_content(real).encode())
    except FileExistsError as cause:
        draft = name_draft(real)
        hint = f"if nobody else is changing {real}, remove {draft}"
        raise error(f"{draft}: a change is under way or was cut off; {hint}") from cause
    except OSError as cause:
        raise error(f"{real}: can't be written: {describe_os_error(cause)}") from cause


def is_private(status: os.stat_result, folder: Path) -> bool:
    """Tell whether a file is readable only by those whom its owner or root meant."""
    mode = stat.S_IMODE(status.st_mode)
    if not mode & 0o077 or not _HAS_MODES:
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
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, _FILE_MODE)
    try:
        try:
            yield descriptor
        finally:
            os.close(descriptor)
    except BaseException:
        path.unlink(missing_ok=True)  # now that it is closed: Windows removes no open file
        raise


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
        if _HAS_MODES:
            _keep_readers(descriptor, path)
    try:
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def _keep_readers(descriptor: int, path: Path) -> None:
    """Let those read a new file who can read the old one: root may replace a service's file."""
    try:
        old = path.stat()
    except FileNotFoundError:
        return
    os.fchown(descriptor, old.st_uid, old.st_gid if old.st_mode & 0o040 else -1)
    os.fchmod(descriptor, 0o600 | old.st_mode & 0o044)


def save_file(path: Path, content: bytes) -> None:
    """Put a file of one writer in the place of what it wrote before, as a whole.

    It survives a power cut when this returns. The draft of a writer that was killed is written
    over.

    Raises:
        OSError: it could not be written; the old file stays.
    """
    draft = path.with_suffix(".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _BINARY, _FILE_MODE)
    try:
        write_all(descriptor, content)
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)
    draft.replace(path)
    sync_folder(path.parent)


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of `data`, however little the system takes at one time."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it that are missing, for their owner alone.

    `Path.mkdir` would open those above to everybody. One that is there keeps its mode.

    Raises:
        OSError: one can't be made.
    """
    for each in (*reversed(folder.parents), folder):
        if not each.exists():
            each.mkdir(mode=_FOLDER_MODE, exist_ok=True)
    folder.mkdir(mode=_FOLDER_MODE, exist_ok=True)  # says so where it is a file


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable; Windows has no call for it."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
