"""The files of one log: each is named by the sequence of its first line.

A sequence numbers the lines of a log from 1 on. It is never reused: the newest segment is never
removed, even if it is empty.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

SEGMENT_SECONDS: Final = 86_400.0
"""How long a segment goes on after its first line: with little to write it would never be full."""
_SUFFIX = ".ndjson"
_DIGITS = 20
_END_LENGTH = 2 * (_DIGITS + 1)


def list_segments(folder: Path) -> list[int]:
    """List the first sequences of a log's segments, in order; empty without the folder."""
    return sorted(_find_segments(folder))


def segment_path(folder: Path, first_sequence: int) -> Path:
    """Name the segment that begins with a line."""
    return folder / f"{first_sequence:0{_DIGITS}}{_SUFFIX}"


def lock_path(folder: Path) -> Path:
    """Name the file that a log's writer locks, and notes in how much of the log is durable."""
    return folder / "lock"


def publish_end(lock: int, segment: int, length: int) -> None:
    """Note that a segment is durable up to a length, and all segments before it are whole.

    A reader that does not learn of it, as on a full disk, syncs by itself.
    """
    with suppress(OSError):
        os.pwrite(lock, b"%020d %020d\n" % (segment, length), 0)


def read_end(folder: Path) -> tuple[int, int]:
    """Return what was noted last; zeros if nothing was."""
    try:
        with lock_path(folder).open("rb") as file:
            segment, length = file.read(_END_LENGTH).split()
        return int(segment), int(length)
    except (OSError, ValueError):
        return 0, 0


def _find_segments(folder: Path) -> Iterator[int]:
    try:
        names = [path.name for path in folder.iterdir()]
    except FileNotFoundError:
        return
    for name in names:
        digits = name.removesuffix(_SUFFIX)
        if len(digits) == _DIGITS and digits != name and digits.isdecimal():
            yield int(digits)
